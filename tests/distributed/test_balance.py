"""Balanced clusters over processes, against those of the same blocks in one."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from unsup_fast import blocks
from unsup_fast.cluster import KMeans
from unsup_fast.cluster._exact import exact_sum, rounded
from unsup_fast.cluster._fleet_choices import median

from .engines import InProcess

K, CHUNK = 20, 60
ENGINES = ((1, 1), (3, 7), (7, 64))
ATTRIBUTES = ("cluster_centers_", "labels_", "cluster_sizes_", "_penalties")


def grouped(dtype=np.float32):
    """Return 1201 x 5 rows, most of them in one dense lump."""
    rng = np.random.default_rng(2)
    lump, wide = rng.normal(size=(800, 5)) + 3, 6 * rng.normal(size=(401, 5))
    return rng.permutation(np.concatenate([lump, wide])).astype(dtype)


def model(**options):
    options = {"init": "random", "n_init": 1, "max_iter": 3, "balance": 1.5, **options}
    return KMeans(K, random_state=0).set_params(**options)


def same(one, other):
    for name in ATTRIBUTES:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert other.inertia_ == one.inertia_


FITS = {
    "float32": {},
    "cosine": {"metric": "cosine", "n_threads": 2},
    "standardize": {"standardize": True},
    "one cluster": {"n_clusters": 1},
}


@pytest.mark.parametrize("name", [*FITS, "float64"])
def test_clusters_of_any_fleet_have_the_same_bits(name):
    X = blocks.source(grouped(np.float64 if name == "float64" else np.float32), chunk_size=CHUNK)
    options = FITS.get(name, {})
    one = model(**options).fit(X)
    assert one.largest_ratio_ <= 1.5
    for n_holders, n_parts in ENGINES:
        engine = InProcess(n_holders, n_parts)
        other = model(**options).fit(X, engine=engine)
        same(one, other)
        np.testing.assert_array_equal(other.predict(X, engine=engine), one.labels_)


def test_equal_rows_without_a_gap():
    """The step is then the mean of all distances, and no penalty parts the rows."""
    X = np.repeat(np.array([[0.0], [1.0], [5.1]]), [50, 2, 2], axis=0)
    init = np.array([[0.0], [0.0], [5.0]])
    fits = []
    for engine in (None, InProcess(2, 4)):
        fit = KMeans(3, init=init, max_iter=1, balance=1.1)
        with pytest.warns(ConvergenceWarning, match=r"balance=1.1 was not reached in 200 rounds"):
            fits.append(fit.fit(blocks.source(X, chunk_size=9), engine=engine))
    same(*fits)


def test_labels_in_files(tmp_path):
    X = blocks.source(grouped(), chunk_size=CHUNK)
    engine = InProcess(2, 5)
    fitted = model().fit(X, engine=engine)
    names = fitted.labels_to(tmp_path, engine=engine)
    labels = np.concatenate([np.load(tmp_path / name) for name in names])
    np.testing.assert_array_equal(labels, np.asarray(fitted.labels_))


@pytest.mark.parametrize("verb", ["begin_choices", "count_gaps", "count_choices"])
def test_a_lost_process_changes_nothing(verb):
    X = blocks.source(grouped(), chunk_size=CHUNK)
    one = model().fit(X)
    with pytest.warns(RuntimeWarning, match="was lost"):
        other = model().fit(X, engine=InProcess(2, 5, lose=verb))
    same(one, other)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=40)
@given(st.lists(st.floats(0, 1e30), min_size=1, max_size=60), st.integers(0, 9))
def test_the_median_of_numbers_that_are_counted(dtype, values, n_equal):
    values = np.array(values + values[:1] * n_equal, dtype)
    counted = median(
        lambda most: (values <= most[:, None]).sum(axis=1), len(values), np.dtype(dtype)
    )
    assert counted == np.median(values)


@given(st.lists(st.floats(0, 1e300), min_size=1, max_size=60))
def test_sums_are_rounded_once(values):
    assert rounded(exact_sum(np.array(values))) == math.fsum(values)
    half = len(values) // 2
    parts = [exact_sum(np.array(part)) for part in (values[half:], values[:half]) if part]
    assert sum(parts) == exact_sum(np.array(values))


def test_sums_of_many_numbers():
    values = np.random.default_rng(0).lognormal(sigma=9, size=(1 << 20) + 77).astype(np.float32)
    assert rounded(exact_sum(values)) == math.fsum(values.tolist())
