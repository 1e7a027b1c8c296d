"""Bars of progress: on a terminal, on demand, and nowhere else."""

import io
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("tqdm")

from unsup_fast.models import diffusion  # noqa: E402

SCRIPT = Path(__file__).with_name("training") / "toy_training.py"
toy = SimpleNamespace(**runpy.run_path(str(SCRIPT)))
CONFIG = diffusion.Config(shape=(1, 8, 8), size="tiny")


class Screen(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.isatty = lambda: terminal


def training(folder, progress):
    toy.run("plain", folder, steps=4, hooks={"progress": progress})


def sampling(folder, progress):
    diffusion.Diffusion.build(CONFIG).sample(1, steps=4, progress=progress)


@pytest.mark.parametrize("work", [training, sampling])
@pytest.mark.parametrize(
    ("progress", "terminal", "shown"),
    [(None, True, True), (None, False, False), (True, False, True), (False, True, False)],
)
def test_who_sees_a_bar(tmp_path, monkeypatch, work, progress, terminal, shown):
    screen = Screen(terminal)
    monkeypatch.setattr("sys.stderr", screen)
    work(tmp_path, progress)
    assert ("4/4 steps" in screen.getvalue()) == shown
    assert (screen.getvalue() != "") == shown


def test_losses_stand_behind_the_bar(tmp_path, monkeypatch):
    screen = Screen(True)
    monkeypatch.setattr("sys.stderr", screen)
    training(tmp_path, None)
    last = screen.getvalue().rstrip().rsplit("\r", 1)[-1]
    assert "loss=" in last
    assert "examples/s=" in last
