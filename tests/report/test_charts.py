"""Charts of every kind of values."""

import re

import numpy as np
import pytest

from unsup_fast.report import charts, curves, frame

pytest.importorskip("matplotlib")


def test_profiles_carry_the_names_of_the_columns(parsed):
    names = ["alcohol", "<b>&", "$x^$", "a\x00\nb", "é" * 40, "plain"]
    means = np.random.default_rng(0).normal(size=(3, 6))
    chart = curves.profiles(means, [0, 1, 2], [0, 1, 2], names)
    parsed(chart)
    for name in ("alcohol", "&lt;b&gt;&amp;", "$x^$", "a\ufffd\ufffdb", "é" * 17 + "…", "plain"):
        assert f">{name}</text>" in chart
    means = np.zeros((2, 300))
    means[0, 40:64] = np.arange(1, 25)
    chart = curves.profiles(means, [0, 1], [0, 1], [f"c{j}" for j in range(300)])
    shown = re.findall(">(c[0-9]+)</text>", chart)
    assert shown == [f"c{j}" for j in range(40, 64)]
    assert "Means in the 24 of 300 columns in which they differ most" in chart


@pytest.mark.parametrize("shares", [[1.0], [0.0, 0.0], [0.5, 0.3, 0.2], [1e-3] * 1000])
def test_spectra_of_every_kind(shares, parsed):
    for chart in (curves.scree(np.array(shares)), curves.cumulative(np.array(shares))):
        parsed(chart)
        assert "nan" not in chart


@pytest.mark.parametrize("numbers", [[1, 2], list(range(1, 90))])
def test_every_fit_has_its_note(numbers, parsed):
    bic, aic = -(np.arange(len(numbers)) ** 1.5), 3.0 * np.arange(len(numbers))
    chart = curves.criteria(numbers, {"BIC": bic, "AIC": aic}, len(numbers) - 1)
    parsed(chart)
    few = len(numbers) <= frame.MOST_DOTS
    assert len(re.findall("<title>[0-9]+ components?: ", chart)) == (2 * len(numbers) if few else 0)
    assert f"BIC is least at {numbers[-1]}" in chart
    parsed(curves.likelihood(bic))


@pytest.mark.parametrize(
    "values", [[0, 0], [5], [1, 0.5, 1e-7], [1e-5, 2e-5], [34_612, 34_611, 34_610], [9e11, 1e11]]
)
def test_ticks_are_few_and_differ(values, parsed):
    chart = charts.inertia(np.array(values, dtype=np.float64))
    parsed(chart)
    ticks = re.findall(r'text-anchor="end">([^<]*)<', chart)
    assert 2 <= len(ticks) <= 7
    assert len(set(ticks)) == len(ticks)


@pytest.mark.parametrize("values", [[60_000, 226], [7, 6], [900, 1], [10**9, 1], [3, 0]])
def test_logarithmic_ticks_are_few(values, parsed):
    chart = charts.changes(np.array(values), 10**9)
    parsed(chart)
    ticks = re.findall(r'text-anchor="end">([^<]*)<', chart)
    assert 1 <= len(ticks) <= 7


@pytest.mark.parametrize(
    "sizes", [[5], [3, 3, 3], [0, 9], list(range(1, 100)), [1] * 99, [1, 10**6] * 50]
)
def test_sizes_of_every_kind(sizes, parsed):
    chart = charts.sizes(np.array(sizes), [0] * len(sizes))
    parsed(chart)
    assert "nan" not in chart
