"""The picture of two players' paths."""

import numpy as np
import pytest

from unsup_fast.report.dynamics import spirals

pytest.importorskip("matplotlib")


def circle(turns, growth, steps=100):
    w = np.exp((2j * np.pi * turns + np.log(growth)) * np.linspace(0, 1, steps + 1))
    return w.real, w.imag


def test_each_path_has_a_panel(parsed):
    paths = {"<outward> $a$": circle(1, 2), "inward": circle(2, 0.25), "far": circle(1, 1e9, 300)}
    drawing = spirals(paths)
    tags = parsed(drawing)
    images = [attributes for tag, attributes in tags if tag == "svg" and "aria-label" in attributes]
    assert [image["aria-label"] for image in images[1:]] == [
        "<outward> $a$: 2 times as far in 100 steps",
        "inward: 0.25 times as far in 100 steps",
        "far: 1G times as far in 300 steps",
    ]
    assert "&lt;outward&gt; $a$</text>" in drawing
    assert "prefers-color-scheme: dark" in drawing
    assert "nan" not in drawing
    assert "#0f1e" not in drawing  # all colours are those of the style
    assert drawing == spirals(paths)


def test_tensors_one_path_and_paths_that_end_nowhere(parsed):
    torch = pytest.importorskip("torch")
    from unsup_fast.models.gan import dynamics

    start = torch.ones(1), torch.zeros(1)
    path = dynamics.play(lambda a, b: (a * b).sum(), *start, lr=0.1, rule="simultaneous", steps=9)
    parsed(spirals({"play": path}))
    parsed(spirals({"nothing moves": ([0.0], [0.0])}))
    drawing = spirals({"away": ([1.0, 3.0, np.inf, np.nan], [0.0, 1e300, -np.inf, np.nan])})
    parsed(drawing)
    assert "3 steps" in drawing
    assert "inf" not in drawing


def test_errors():
    with pytest.raises(ValueError, match="paths is empty; pass at least one path by its title"):
        spirals({})
    with pytest.raises(
        ValueError, match=r"'a' has theta of shape \(3, 2\) and phi of shape \(3,\)"
    ):
        spirals({"a": (np.zeros((3, 2)), np.zeros(3))})
    with pytest.raises(ValueError, match=r"'a' begins at \[nan  0.\]; pass finite numbers"):
        spirals({"a": ([np.nan], [0.0])})
