"""Reports: one self-contained HTML file from a data set and the models that learned from it."""

from impasto.report.page import build_report

__all__ = ["build_report"]
