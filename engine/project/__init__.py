"""The project folder: configuration and scaffolding."""
