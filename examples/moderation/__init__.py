"""The world of `groundswell demo`: text posts that people labelled, image posts that nobody did."""
