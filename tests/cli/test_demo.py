"""`unsup-fast demo`, on a smaller generated set."""

import contextvars
import io
import json
import re

import numpy as np
import pytest
from rich.console import Console

from unsup_fast.cli.demo import comparisons
from unsup_fast.cli.demo import run as demo
from unsup_fast.cli.diffusion import demo as diffusion
from unsup_fast.cli.training import job
from unsup_fast.storage import locks


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(diffusion, "STEPS", 2)
    monkeypatch.setattr(comparisons, "BUDGET", 0.0)
    monkeypatch.setattr(comparisons, "LEAST_ROUNDS", 1)
    monkeypatch.setattr(demo, "BLOBS", {"rows": 2000, "columns": 16, "clusters": 16})
    monkeypatch.setattr(comparisons, "MIXED", {"rows": 2000, "columns": 3, "components": 4})


def test_demo(cli, tmp_path):
    ran = cli("demo", "-o", "d")
    assert ran.status == 0, ran.err
    for word in (
        "digits",
        "generated",
        "unsup_fast",
        "scikit-learn",
        "purity",
        "PCA",
        "mixtures",
        "d/report.html",
    ):
        assert word in ran.out
    summary = json.loads((tmp_path / "d/summary.json").read_text())
    assert summary["result"]["purity"] > 0.7
    assert "data:image/png" in (tmp_path / "d/report.html").read_text()
    assert cli("demo", "-o", "d").status == 0


def test_new_digits(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("accelerate")
    Image = pytest.importorskip("PIL.Image")
    console = Console(file=io.StringIO(), width=60, force_terminal=True, color_system="truecolor")
    assert diffusion.digits(tmp_path, console) == 0
    printed = console.file.getvalue()
    assert printed.count("\u2580") == 6 * 9 * 4  # six digits of 8 x 8 fit, each with a gap
    assert "New digits, a class in a row: " in printed
    assert "Cut short" not in printed
    with Image.open(tmp_path / "digits.png") as picture:
        assert picture.size == (98, 98)
    assert (tmp_path / "diffusion/report.html").exists()
    assert diffusion.digits(tmp_path, console) == 0


def test_runs_and_pictures_of_others_are_not_replaced(cli, tmp_path):
    run = tmp_path / "d/diffusion"
    run.mkdir(parents=True)
    (run / "model.safetensors").write_bytes(b"")
    ran = cli("demo", "-o", "d")
    assert ran.status == 2
    assert "diffusion: holds results already" in ran.err
    (run / "model.safetensors").rename(tmp_path / "d/digits.png")
    ran = cli("demo", "-o", "d")
    assert ran.status == 2
    assert "digits.png: exists already, and is none of the demo's" in ran.err
    assert [path.name for path in tmp_path.rglob("*")] == ["d", "diffusion", "digits.png"]


def test_a_second_demo_in_a_folder_is_refused(cli, tmp_path):
    (tmp_path / "d").mkdir()
    with locks.exclusive(tmp_path / "d"):
        ran = contextvars.Context().run(cli, "demo", "-o", "d")  # as another process
    assert ran.status == 2
    assert ran.err.startswith("error: d: another run writes here")


def test_summaries_that_are_no_demos(cli, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/summary.json").write_text("[" * 10**5)
    ran = cli("demo", "-o", "d")
    assert ran.status == 2
    assert ran.err.startswith("error: d: holds results already (summary.json)")


def test_without_torch_new_digits_are_left_out(tmp_path, monkeypatch):
    def missing(package, *_):
        raise ImportError(f"needs the package {package!r}")

    monkeypatch.setattr(job._extras, "check", missing)
    console = Console(file=io.StringIO())
    assert diffusion.digits(tmp_path, console) == 0
    assert "New digits are left out: needs the package 'torch'" in console.file.getvalue()
    assert list(tmp_path.iterdir()) == []


def test_half_blocks():
    pictures = np.array([[[0, 255], [255, 0], [9, 9]]], dtype=np.uint8)  # [1, 3, 2]
    text = diffusion.half_blocks(pictures)
    assert text.plain == "\u2580\u2580\u2580\n" * 2
    first = text.spans[0].style
    assert (first.color.name, first.bgcolor.name) == ("#000000", "#ffffff")


def test_both_libraries_find_the_same():
    ours, theirs = demo.measure(demo._blobs(), None)
    assert ours.model.inertia_ == pytest.approx(theirs.model.inertia_, rel=1e-5)
    assert ours.purity == pytest.approx(theirs.purity, abs=0.01)


def test_both_libraries_fit_the_same_mixture():
    X, _ = comparisons.mixed()
    models = comparisons.mixtures(X.astype(np.float64), 4, None)
    comparisons.medians(models, X.astype(np.float64))
    assert models[0].lower_bound_ == pytest.approx(models[1].lower_bound_, rel=1e-8)
    np.testing.assert_allclose(models[0].means_, models[1].means_, rtol=1e-6)


class Waiting:
    """An estimator whose fits take `seconds` by a clock of the test's."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds, self.fits = clock, iter(seconds), 0

    def fit(self, X):
        self.fits += 1
        self.clock[0] += next(self.seconds)


@pytest.mark.parametrize(
    ("seconds", "fits", "expected"),
    [
        ([9.0, *[0.01] * 30], 1, 9.0),  # long: one fit
        ([0.4, *[0.01] * 30], 16, 0.01),  # the first, mostly start-up, is not counted
        ([0.5, 0.5, 0.7, 0.6, 9.0], 4, 0.6),
        ([0.1, *[0.01, 0.01, 5.0, 0.01, 0.02]], 4, 0.01),  # a busy moment
    ],
)
def test_times_are_medians_without_the_first(monkeypatch, seconds, fits, expected):
    clock = [0.0]
    monkeypatch.setattr(comparisons, "BUDGET", 1.0)
    monkeypatch.setattr(comparisons, "LEAST_ROUNDS", 3)
    monkeypatch.setattr(comparisons, "perf_counter", lambda: clock[0])
    models = [Waiting(clock, seconds), Waiting(clock, [2.0] * 30)]
    times = comparisons.medians(models, None)
    assert times == [pytest.approx(expected), pytest.approx(2.0)]
    assert [model.fits for model in models] == [fits, 4]


def test_new_digits_that_are_cut_short_say_so(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    pytest.importorskip("accelerate")
    monkeypatch.setattr(diffusion, "STEPS", 40)
    monkeypatch.setattr(diffusion, "MINUTES", 1e-9)
    console = Console(file=io.StringIO(), width=200)
    assert diffusion.digits(tmp_path, console) == 0
    printed = console.file.getvalue()
    assert re.search(
        "Cut short after 1e-09 minutes, at step [1-9] of 40: these digits are", printed
    )
    assert (tmp_path / "digits.png").exists()


def test_results_of_others_are_not_replaced(cli, data):
    assert cli("kmeans", data, "-k", 2, "-o", "mine").status == 0
    ran = cli("demo", "-o", "mine")
    assert ran.status == 2
    assert "holds results already" in ran.err


def test_purity():
    labels, classes = np.array([0, 0, 0, 1, 1, 2]), np.array([5, 5, 1, 1, 1, 0])
    assert demo.purity(labels, classes) == pytest.approx(5 / 6)
