"""groundswell: from SQL labeling functions to labels and trained models, inside the database."""

__version__ = "0.1.0"
