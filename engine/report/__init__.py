"""The report: one offline HTML file from the published store."""

from .page import build_report

__all__ = ["build_report"]
