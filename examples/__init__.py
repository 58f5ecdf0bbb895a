"""Projects to copy; `moderation` is the world of `groundswell demo`."""
