"""Self-contained HTML reports."""

from unsup_fast.report.page import Content, kmeans

__all__ = ["Content", "kmeans"]
