"""What is shown while a fit runs."""

import io

import numpy as np
import pytest
from rich.console import Console

from unsup_fast.cli import progress
from unsup_fast.cli.progress import Display, Outlook, Silent, showing


def outlook(changes, shifts=None, max_iter=300, tol=0.0):
    one = Outlook(max_iter)
    shifts = changes if shifts is None else shifts
    for iteration, (changed, shift) in enumerate(zip(changes, shifts, strict=True), start=1):
        one.add(iteration, changed, shift, tol)
    return one


def test_steady_decay_is_foreseen():
    changes = [int(1e6 * 0.5**i) for i in range(12)]
    expected, most = outlook(changes).iterations()
    assert most == 288
    assert abs(expected - 10) <= 1  # 1e6 / 2^21 is the first below one half


def test_whichever_end_comes_first_counts():
    changes = [int(1e6 * 0.9**i) for i in range(12)]
    shifts = [10.0 * 0.1**i for i in range(12)]
    expected, _ = outlook(changes, shifts, tol=1e-14).iterations()
    assert expected == pytest.approx(4, abs=1)


def test_never_more_than_is_allowed():
    changes = [int(1e9 * 0.99**i) for i in range(20)]
    assert outlook(changes, max_iter=30).iterations() == (10, 10)


@pytest.mark.parametrize(
    "changes", [[5], [9, 8], [7] * 20, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]]
)
def test_without_decay_nothing_is_foretold(changes):
    expected, most = outlook(changes).iterations()
    assert expected in (None, most)  # a slope of rounding errors comes to the same
    assert most == 300 - len(changes)


def test_time_left_is_at_most(monkeypatch):
    clock = iter(np.arange(0.0, 100.0, 2.0))
    monkeypatch.setattr(progress, "monotonic", lambda: next(clock))
    one = outlook([int(1e6 * 0.5**i) for i in range(12)], max_iter=100)
    expected, most = one.seconds()
    assert most == 2.0 * 88
    assert expected < 30
    assert "about " in progress._left(one)
    assert "at most 2 min 56 s" in progress._left(one)


def test_display_fits_80_columns():
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    display = Display()
    display.begin("Choosing the first centroids")
    console.print(display.bar.get_renderable())
    one = outlook([int(1e7 * 0.8**i) for i in range(12)], max_iter=10_000)
    display.step("inertia 1.2346e300, 9,999,999 labels changed (> 99.99 %)", one)
    console.print(display.bar.get_renderable())
    lines = console.file.getvalue().splitlines()
    assert "Choosing the first centroids" in lines[0]
    assert len(lines) == 4
    assert all(len(line) <= 80 for line in lines)
    assert "iteration 12 of at most 10000" in lines[1]
    assert "at most" in lines[3]


def test_display_while_seeding(monkeypatch):
    clock = iter(np.arange(0.0, 100.0, 3.0))
    monkeypatch.setattr(progress, "monotonic", lambda: next(clock))
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    display = Display()
    display.begin("Choosing the first centroids")
    display.seeding(250, 1000)
    console.print(display.bar.get_renderable())
    text = console.file.getvalue()
    assert "25 % chosen" in text
    assert "Choosing the first centroids" in text
    assert "about 9 s left" in text
    display.seeding(1000, 1000)
    one = Outlook(300)
    one.iteration = 1
    display.step("inertia 1", one)
    assert display.bar.tasks[0].completed == pytest.approx(1 / 300)


def test_lines_while_seeding(capsys, monkeypatch):
    clock = iter(np.arange(0.0, 100.0, 0.5))
    monkeypatch.setattr(progress, "monotonic", lambda: next(clock))
    shown = progress.Lines()
    shown.begin("Choosing the first centroids")
    for done in range(1, 21):
        shown.seeding(done, 20)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Choosing the first centroids ..."
    assert 3 <= len(lines) <= 7
    assert "chosen, about" in lines[1]


def test_display_on_a_terminal():
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    with showing(console, quiet=False) as shown:
        assert isinstance(shown, Display)
        shown.begin("Working")
    with showing(console, quiet=True) as shown:
        assert type(shown) is Silent


def test_lines_come_at_a_modest_rate(capsys, monkeypatch):
    clock = iter(np.arange(0.0, 100.0, 0.5))
    monkeypatch.setattr(progress, "monotonic", lambda: next(clock))
    shown = progress.Lines()
    for iteration in range(1, 21):
        one = Outlook(300)
        one.iteration = iteration
        shown.step("inertia 1", one)
    assert 4 <= len(capsys.readouterr().out.splitlines()) <= 11
