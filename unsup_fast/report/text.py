"""Text from outside in a page."""

import html

from unsup_fast._text import printable


def escape(text: str) -> str:
    """Return text as HTML that shows it: markup, and control characters escaped."""
    return html.escape(printable(text, keep="\n\t"))
