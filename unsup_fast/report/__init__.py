"""Self-contained HTML reports."""

from unsup_fast import _extras
from unsup_fast.report.clusters import kmeans
from unsup_fast.report.components import pca
from unsup_fast.report.duplicates import Duplicates, dedup
from unsup_fast.report.mixture import gmm
from unsup_fast.report.page import Content

__all__ = ["Content", "Duplicates", "check", "dedup", "gmm", "kmeans", "pca"]


def check() -> None:
    """Raise what a report would raise at its end, so that no fit is waited for in vain.

    Raises
    ------
    ImportError
        If matplotlib, pillow or jinja2 is missing, with the install command.
    """
    for package in ("matplotlib", "PIL", "jinja2"):
        _extras.check(package, "cli", "a report")
