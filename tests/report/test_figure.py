"""Figures: notes, names, and a quiet matplotlib."""

import os
import subprocess
import sys

import pytest

from unsup_fast.report import figure

pytest.importorskip("matplotlib")


def test_notes_and_names_are_escaped(parsed):
    def paint(axes):
        dots = axes.scatter([0, 1], [0, 1], color=figure.ACCENT)
        figure.mark(dots, "dots", ['<a> & "b"', "c]"])

    drawing = figure.svg('<"name">', (100, 50), (9, 9, 9, 9), paint)
    tags = parsed(drawing)
    assert tags[0][1]["aria-label"] == '<"name">'
    assert '<title>&lt;a&gt; &amp; "b"</title>' in drawing
    assert "<title>c]</title>" in drawing
    assert drawing == figure.svg('<"name">', (100, 50), (9, 9, 9, 9), paint)


QUIET = """
import sys, warnings
warnings.simplefilter("error")
import numpy as np
from unsup_fast.report import charts
assert "matplotlib" not in sys.modules
assert charts.inertia(np.array([3.0, 2.0])).count("<svg") == 1
assert "matplotlib.pyplot" not in sys.modules
import matplotlib
assert matplotlib.rcParams["svg.fonttype"] == "path"
"""


def test_matplotlib_is_late_and_quiet_without_a_cache(tmp_path):
    (tmp_path / "file").write_text("not a directory")
    (tmp_path / "matplotlibrc").write_text("no.such.key: 1\nsvg.fonttype: path\naxes.grid: no\n")
    settings = {"MPLCONFIGDIR": str(tmp_path / "file"), "MATPLOTLIBRC": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", QUIET],
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout + ran.stderr == ""
