"""Tests of label models."""
