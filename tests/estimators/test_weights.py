"""Weights of rows: what cannot be one is refused by one sentence, wherever weights are taken."""

import re

import numpy as np
import pandas as pd
import pytest

from unsup_fast.blocks import source
from unsup_fast.cluster import KMeans, MiniBatchKMeans, k_means, kmeans_parallel, kmeans_plusplus
from unsup_fast.metrics import reconstruction_error
from unsup_fast.mixture import GaussianMixture

N = 40
ROWS = np.random.RandomState(0).randn(N, 3)


def fitted(model):
    return model.fit(ROWS)


CALLS = {
    f"KMeans {init} {metric}": (
        lambda X, w, init=init, metric=metric: KMeans(
            2, init=ROWS[:2] if init == "array" else init, n_init=1, metric=metric
        ).fit(X, sample_weight=w)
    )
    for init in ("k-means++", "k-means||", "random", "array")
    for metric in ("euclidean", "cosine")
} | {
    "KMeans score": lambda X, w: fitted(KMeans(2)).score(X, sample_weight=w),
    "MiniBatchKMeans": lambda X, w: MiniBatchKMeans(2).fit(X, sample_weight=w),
    "MiniBatchKMeans partial": lambda X, w: MiniBatchKMeans(2).partial_fit(X, sample_weight=w),
    "MiniBatchKMeans more": lambda X, w: fitted(MiniBatchKMeans(2)).partial_fit(X, sample_weight=w),
    "k_means": lambda X, w: k_means(X, 2, sample_weight=w),
    "kmeans_plusplus": lambda X, w: kmeans_plusplus(X, 2, sample_weight=w),
    "kmeans_parallel": lambda X, w: kmeans_parallel(X, 2, sample_weight=w),
    "GaussianMixture": lambda X, w: GaussianMixture(2).fit(X, sample_weight=w),
    "GaussianMixture score": lambda X, w: fitted(GaussianMixture(2)).score(X, sample_weight=w),
    "reconstruction_error": lambda X, w: reconstruction_error(
        X, fitted(KMeans(2)), sample_weight=w
    ),
}


def with_first(value):
    return np.r_[value, np.ones(N - 1)]


def masked():
    return np.ma.masked_array(np.ones(N), np.arange(N) == 7)


OUT_OF_RANGE = r"sample_weight is .* at most, out of range; scale all weights so that the largest"
BAD = {
    "one negative": (with_first(-1.0), "sample_weight of row 0 is -1.0; weights must be >= 0 and"),
    "all negative": (-np.ones(N), "sample_weight of row 0 is -1.0; weights must be >= 0 and"),
    "negative but near zero": (with_first(-5e-324), "sample_weight of row 0 is -5e-324; weights"),
    "sums to zero": (np.tile([1.0, -1.0], N // 2), "sample_weight of row 1 is -1.0; weights must"),
    "whole numbers": (-np.ones(N, int), "sample_weight of row 0 is -1.0; weights must be >= 0"),
    "NaN": (with_first(np.nan), "sample_weight of row 0 is nan; weights must be >= 0 and finite"),
    "infinite": (with_first(np.inf), "sample_weight of row 0 is inf; weights must be >= 0 and fin"),
    "a sum that overflows": (np.full(N, 1e308), OUT_OF_RANGE),
    "one that is huge": (with_first(1e308), OUT_OF_RANGE),
    "subnormal": (np.full(N, 1e-320), OUT_OF_RANGE),
    "all zero": (np.zeros(N), "sample_weight of every row is 0; at least one weight must be above"),
    "too few": (np.ones(3), r"sample_weight.shape == \(3,\), expected \(40,\): pass one weight"),
    "a matrix": (np.ones((N, 1)), r"sample_weight.shape == \(40, 1\), expected \(40,\): pass one"),
    "masked": (masked(), "sample_weight is masked, that is missing, in row 7 "),
    "pandas NA": (pd.Series(masked().filled(np.nan)).astype("Float64"), "row 7 is nan; weights"),
    "an object NA": (
        pd.Series([pd.NA if i == 7 else 1 for i in range(N)], dtype=object),
        "sample_weight is missing in row 7 ",
    ),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("weight", BAD)
def test_one_sentence(name, weight):
    value, message = BAD[weight]
    with pytest.raises(ValueError, match=message):
        CALLS[name](ROWS, value)


@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_one_number_for_all_rows(value):
    with pytest.raises(ValueError, match=f"sample_weight of row 0 is {value}; weights must be "):
        KMeans(2).fit(ROWS, sample_weight=value)
    assert KMeans(2).fit(ROWS, sample_weight=2).inertia_ > 0


@pytest.mark.parametrize("name", ["KMeans k-means++ euclidean", "GaussianMixture"])
@pytest.mark.parametrize("weight", ["one negative", "a sum that overflows", "too few"])
def test_sources_and_float32(name, weight):
    value, message = BAD[weight]
    for X in (source(lambda: [ROWS], chunk_size=11), ROWS.astype(np.float32)):
        with pytest.raises(ValueError, match=message):
            CALLS[name](X, value)


def test_range_is_that_of_the_rows():
    weight = np.full(N, 1e100)
    assert np.isfinite(KMeans(2, random_state=0).fit(ROWS, sample_weight=weight).inertia_)
    with pytest.raises(ValueError, match=re.escape("largest is between 1e-30 and 1e+30")):
        KMeans(2).fit(ROWS.astype(np.float32), sample_weight=weight)
    with pytest.raises(ValueError, match=r"squared distances of X times sample_weight overflow fl"):
        KMeans(2).fit(ROWS * 1e120, sample_weight=weight)


@pytest.mark.parametrize("factor", [1e-149, 1e149])
def test_only_ratios_move_centroids(factor):
    weight = np.random.RandomState(1).randint(1, 4, N).astype(float)
    one = KMeans(3, random_state=0).fit(ROWS, sample_weight=weight)
    other = KMeans(3, random_state=0).fit(ROWS, sample_weight=weight * factor)
    np.testing.assert_allclose(other.cluster_centers_, one.cluster_centers_, rtol=1e-10)
    assert other.inertia_ == pytest.approx(one.inertia_ * factor, rel=1e-10)


@pytest.mark.parametrize("container", [list, pd.Series, np.ma.masked_array, "tensor"])
def test_containers(container):
    weight = np.random.RandomState(1).rand(N)
    expected = KMeans(3, random_state=0).fit(ROWS, sample_weight=weight).cluster_centers_
    if container == "tensor":
        container = pytest.importorskip("torch").from_numpy
    result = KMeans(3, random_state=0).fit(ROWS, sample_weight=container(weight)).cluster_centers_
    np.testing.assert_array_equal(result, expected)
