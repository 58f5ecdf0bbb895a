"""Projects to copy; `tickets` is the world of `groundswell demo`."""
