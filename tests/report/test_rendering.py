"""Templates escape all text, and name what they lack."""

import pytest

from unsup_fast.report import rendering

jinja2 = pytest.importorskip("jinja2")


def test_text_is_escaped_and_control_characters_are_shown():
    page = rendering.render("chart.html", caption="<i>a</i> & 'b'\x1b\u202e", drawing="<svg></svg>")
    assert "&lt;i&gt;a&lt;/i&gt; &amp; &#x27;b&#x27;\\x1b\\u202e" in page
    assert "<svg></svg>" in page


def test_a_template_is_not_escaped_by_another():
    inner = rendering.render("chart.html", caption="<&>", drawing="")
    outer = rendering.render("chart.html", caption=inner, drawing="")
    assert str(inner) in outer


def test_a_missing_part_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="drawing"):
        rendering.render("chart.html", caption="a")
