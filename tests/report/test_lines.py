"""Lines of a text file."""

import pytest

from unsup_fast.report.lines import Lines


@pytest.mark.parametrize("end", ["", "\n"])
def test_lines(tmp_path, end):
    (tmp_path / "t.txt").write_text("one\ntwo\nthree" + end)
    lines = Lines(tmp_path / "t.txt")
    assert lines.count == 3
    assert lines.take([2, 0]) == {0: "one", 2: "three"}
