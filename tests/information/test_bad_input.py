"""What is no distribution, and what the errors say."""

import re
from fractions import Fraction

import numpy as np
import pytest

from unsup_fast.information import (
    binary_cross_entropy,
    bretagnolle_huber_bound,
    cross_entropy,
    entropy,
    js_divergence,
    kl_bernoulli,
    kl_divergence,
    kl_gaussian,
    kl_gaussian_diag,
    mutual_information,
    pinsker_bound,
    total_variation,
)

TWO = [cross_entropy, kl_divergence, js_divergence, total_variation]
HALF = [0.5, 0.5]


@pytest.mark.parametrize(
    ("p", "message"),
    [
        ([0.5, -0.5, 1], r"p\[1\] is -0\.5; probabilities are finite and not negative"),
        ([[0.5, 0.5], [np.nan, 1]], r"p\[1, 0\] is nan"),
        ([np.inf, 0], r"p\[0\] is inf"),
        ([0.5, 0.6], r"p sums to 1\.1; a distribution sums to 1 within 1e-05; divide by the sum"),
        ([[0.5, 0.5], [0.2, 0.7]], r"p\[1\] sums to 0\.9;"),
        (
            np.float32([0.5, 0.501]),
            r"p sums to 1\.00099\d*; a distribution sums to 1 within 0\.00035",
        ),
        ([0, 0], "p sums to 0"),
        ([], r"p has shape \(0,\); pass probabilities along the last axis"),
        (np.ones((2, 0)), r"p has shape \(2, 0\)"),
        (0.5, r"p has shape \(\)"),
        (np.log(HALF), "for logarithms pass log=True"),
    ],
)
def test_no_distribution(p, message):
    with pytest.raises(ValueError, match=message):
        entropy(p)
    for measure in TWO:
        with pytest.raises(ValueError, match=message):
            measure(p, HALF)
        with pytest.raises(ValueError, match=re.sub(r"^p\b", "q", message)):
            measure(HALF, p)


def test_sums_that_are_off_by_rounding():
    p = np.random.default_rng(0).random(200_000).astype(np.float32)
    assert np.isfinite(entropy(p / p.sum()))
    assert np.isfinite(entropy((p / p.sum()).astype(np.float64)))
    half = np.full(1000, 1e-3, dtype=np.float16)
    assert np.isfinite(entropy(half))


@pytest.mark.parametrize(
    ("log_p", "message"),
    [
        (HALF, r"p\[0\] is 0\.5; logarithms of probabilities are at most 0"),
        ([np.nan, 0], r"p\[0\] is nan"),
        ([0.0, 0.0], r"exp\(p\) sums to 2; .* subtract the logarithm of the sum"),
        ([-np.inf, -np.inf], r"exp\(p\) sums to 0"),
        ([1000.0, 0], r"p\[0\] is 1000"),
    ],
)
def test_no_logarithms(log_p, message):
    with pytest.raises(ValueError, match=message):
        entropy(log_p, log=True)


@pytest.mark.parametrize("measure", TWO)
def test_shapes(measure):
    with pytest.raises(ValueError, match=r"last axes differ in length \(p 2, q 3\)"):
        measure(HALF, [0.2, 0.3, 0.5])
    with pytest.raises(ValueError, match=r"last axes differ in length \(p 1, q 2\)"):
        measure([1.0], HALF)
    with pytest.raises(ValueError, match=r"do not broadcast \(p \(3, 2\), q \(2, 2\)\)"):
        measure([HALF] * 3, [HALF] * 2)


@pytest.mark.parametrize("p", [["a", "b"], [0.5 + 0j, 0.5], [Fraction(1, 2)] * 2, [None, 1]])
def test_no_numbers(p):
    with pytest.raises(TypeError, match=r"p holds .*; pass real numbers"):
        entropy(p)


@pytest.mark.parametrize("base", [0, 1, -2, 0.5, np.inf, np.nan, "2"])
def test_base(base):
    with pytest.raises(ValueError, match="is no base; pass 2 for bits"):
        entropy(HALF, base=base)


def test_values_are_taken_as_they_are_without_validation():
    assert entropy([2, 2], validate=False) == pytest.approx(-4 * np.log(2))
    with pytest.raises(ValueError, match="last axes"):
        kl_divergence(HALF, [1.0], validate=False)


def test_joint():
    with pytest.raises(ValueError, match=r"joint has shape \(2,\); .* last 2 axes"):
        mutual_information(HALF)
    with pytest.raises(ValueError, match=r"joint\[1\] sums to 2"):
        mutual_information([[HALF], [[1, 1]]])
    with pytest.raises(ValueError, match=r"joint\[0, 1\] is -1"):
        mutual_information([[1, -1], [0, 1]])


def test_divergence():
    with pytest.raises(ValueError, match=r"divergence\[1\] is -0\.1; a divergence is >= 0"):
        pinsker_bound([0, -0.1])
    with pytest.raises(ValueError, match="divergence is nan"):
        pinsker_bound(np.nan)
    with pytest.raises(ValueError, match=r"divergence is -1\.0; a divergence is >= 0"):
        bretagnolle_huber_bound(-1)


@pytest.mark.parametrize("measure", [binary_cross_entropy, kl_bernoulli])
def test_coins(measure):
    with pytest.raises(ValueError, match=r"q\[1\] is 1\.2; a probability is between 0 and 1"):
        measure(0.5, [0.5, 1.2])
    with pytest.raises(ValueError, match=r"p is -0\.1"):
        measure(-0.1, 0.5)
    with pytest.raises(ValueError, match="p is nan"):
        measure(np.nan, 0.5)
    with pytest.raises(ValueError, match="do not broadcast"):
        measure(HALF, [0.1, 0.2, 0.3])


def test_covariances():
    eye, mean = np.eye(2), [0.0, 0.0]
    bad = np.stack([eye, [[1, 2], [2, 1]], eye])
    with pytest.raises(ValueError, match=r"cov_p\[1\] is not positive definite; add a small"):
        kl_gaussian(mean, bad)
    with pytest.raises(ValueError, match="cov_q is not positive definite"):
        kl_gaussian(mean, eye, mean, np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"cov_p\[0, 1\] is 0\.5, but 0\.1 across the diagonal"):
        kl_gaussian(mean, [[1, 0.5], [0.1, 1]])
    with pytest.raises(ValueError, match=r"cov_p has shape \(3, 3\); it must be \(\.\.\., 2, 2\)"):
        kl_gaussian(mean, np.eye(3))
    with pytest.raises(ValueError, match=r"cov_p has shape \(2,\); it must be \(\.\.\., D, D\)"):
        kl_gaussian(mean, [1.0, 1.0])
    with pytest.raises(ValueError, match="mean_p has 2 columns and mean_q 3"):
        kl_gaussian(mean, eye, [0.0] * 3, np.eye(3))
    with pytest.raises(ValueError, match=r"mean_p\[1\] is nan; values must be finite"):
        kl_gaussian([0, np.nan], eye)
    with pytest.raises(ValueError, match="do not broadcast"):
        kl_gaussian(np.zeros((3, 2)), np.stack([eye] * 2))
    with pytest.raises(ValueError, match=r"mean_p has shape \(\)"):
        kl_gaussian(0.0, eye)


def test_variances():
    with pytest.raises(ValueError, match=r"var_p\[1\] is 0\.0; a variance is above 0"):
        kl_gaussian_diag([0, 0], [1, 0])
    with pytest.raises(ValueError, match=r"var_q\[0\] is -1\.0; .* pass log=True"):
        kl_gaussian_diag([0, 0], [1, 1], var_q=[-1, 0])
    with pytest.raises(ValueError, match=r"last axes differ in length \(\[1, 2\]\)"):
        kl_gaussian_diag([0, 0], [1])
    with pytest.raises(ValueError, match=r"var_p\[0\] is -inf"):
        kl_gaussian_diag([0, 0], [-np.inf, 0], log=True)
