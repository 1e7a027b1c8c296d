"""Pages from templates: jinja2 fills them in and escapes all text."""

import html
from functools import lru_cache
from typing import Any

from unsup_fast import _extras
from unsup_fast._text import printable


def render(template: str, **context: Any) -> Any:
    """Return a template of this package, filled in, as text that no template escapes again.

    Parameters
    ----------
    template : str
        Name of a file in `templates/`.
    **context
        What the template calls by name. Text is escaped, and control characters are shown.

    Raises
    ------
    ImportError
        If jinja2 is missing, with the install command.
    """
    page = _environment().get_template(template).render(context)
    return _extras.require("markupsafe", "cli", "a report").Markup(page)


@lru_cache(maxsize=1)
def _environment() -> Any:
    jinja2 = _extras.require("jinja2", "cli", "a report")
    markup = _extras.require("markupsafe", "cli", "a report").Markup

    def shown(value: Any) -> Any:
        if isinstance(value, markup):
            return value
        return markup(html.escape(printable(str(value), keep="\n\t")))

    return jinja2.Environment(
        loader=jinja2.PackageLoader("unsup_fast.report"),
        autoescape=True,
        finalize=shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
