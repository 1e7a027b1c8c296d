"""Near pairs within clusters, against float64 brute force over all pairs."""

import threading
from contextlib import closing
from itertools import combinations
from math import sqrt

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from unsup_fast import blocks
from unsup_fast._rows.errors import ZeroRowError
from unsup_fast.cluster import _pairs, _strips, iter_pairs, pairs_above

METRICS = ["cosine", "euclidean"]


def value(x, y, metric):
    """Return the value of a pair of rows by Python's numbers, in float64."""
    x, y = x.tolist(), y.tolist()
    if metric == "euclidean":
        return sqrt(sum((a - b) ** 2 for a, b in zip(x, y, strict=True)))
    xx, yy, xy = (
        sum(a * b for a, b in zip(u, v, strict=True)) for u, v in ((x, x), (y, y), (x, y))
    )
    return xy / sqrt(xx * yy)


def brute_force(X, labels, threshold, metric):
    """Return the near pairs as a dict of their values."""
    pairs = {}
    for i, j in combinations(range(len(X)), 2):
        if labels[i] == labels[j] >= 0:
            of_pair = value(X[i], X[j], metric)
            if of_pair >= threshold if metric == "cosine" else of_pair <= threshold:
                pairs[i, j] = of_pair
    return pairs


def as_dict(pairs):
    keys = list(zip(pairs.i.tolist(), pairs.j.tolist(), strict=True))
    assert keys == sorted(set(keys))
    assert pairs.i.dtype == pairs.j.dtype == np.int64
    assert pairs.values.dtype == np.float64
    return dict(zip(keys, pairs.values.tolist(), strict=True))


def assert_same(actual, expected):
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(params=[None, (13, 4, 2, 20), (7, 5, 30, 31)], ids=["usual", "tiny", "odd"])
def tiles(request, monkeypatch):
    """Cut clusters into tiles, small clusters and strips of other sizes."""
    if request.param is not None:
        cut(monkeypatch, *request.param)


def cut(monkeypatch, rows, columns, small, most):
    monkeypatch.setattr(_strips, "ROWS", rows)
    monkeypatch.setattr(_strips, "COLUMNS", columns)
    monkeypatch.setattr(_pairs, "SMALL", small)
    whole = _pairs._search
    monkeypatch.setattr(
        _pairs, "_search", lambda search, *rest: whole(search._replace(most=most), *rest)
    )


@pytest.fixture
def rows():
    """Return 300 rows of 7 columns, float32, in 5 clusters and none, with equal rows."""
    random = np.random.default_rng(0)
    X = random.normal(size=(300, 7)).astype(np.float32)
    X[200:] = X[:100]
    X[250:] += 0.05 * random.normal(size=(50, 7)).astype(np.float32)
    return X, random.integers(-1, 5, size=300)


@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=25)
@given(st.data())
def test_integers_against_brute_force(metric, data):
    """Whole numbers are exact in brute force, too, so that ties at the threshold are decided."""
    n, d = data.draw(st.integers(1, 24)), data.draw(st.integers(1, 4))
    numbers = st.lists(st.integers(-3, 3), min_size=d, max_size=d).filter(any)
    X = np.array(data.draw(st.lists(numbers, min_size=n, max_size=n)), dtype=np.float32)
    labels = np.array(data.draw(st.lists(st.integers(-1, 2), min_size=n, max_size=n)))
    anywhere = brute_force(X, 0 * labels, -1.0 if metric == "cosine" else np.inf, metric)
    thresholds = sorted({0.5, *anywhere.values()})
    threshold = data.draw(st.sampled_from(thresholds))
    if metric == "cosine":
        threshold = min(threshold, 1.0)
    expected = brute_force(X, labels, threshold, metric)
    with pytest.MonkeyPatch.context() as patch:
        if data.draw(st.booleans()):
            cut(patch, rows=3, columns=4, small=5, most=4)
        assert as_dict(pairs_above(X, labels, threshold, metric=metric)) == {
            pair: min(of_pair, 1.0) if metric == "cosine" else of_pair
            for pair, of_pair in expected.items()
        }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("metric", "threshold"), [("cosine", 0.6), ("euclidean", 2.0)])
def test_sets_of_brute_force(tiles, rows, metric, threshold, dtype):
    X, labels = rows[0].astype(dtype), rows[1]
    expected = brute_force(X, labels, threshold, metric)
    assert 100 < len(expected) < 6000
    actual = as_dict(pairs_above(X, labels, threshold, metric=metric, n_threads=2))
    assert actual.keys() == expected.keys()
    assert actual == pytest.approx(expected, rel=1e-14, abs=1e-14)


@pytest.mark.parametrize(("metric", "threshold"), [("cosine", 0.8), ("euclidean", 1.5)])
def test_no_bit_depends_on_threads_tiles_or_memory(rows, metric, threshold, monkeypatch):
    X, labels = rows
    expected = pairs_above(X, labels, threshold, metric=metric, n_threads=1)
    assert len(expected.i) > 40
    for sizes in ((5, 7, 9, 43), (128, 64, 1, 61), (2, 3, 1000, 99)):
        with monkeypatch.context() as patch:
            cut(patch, *sizes)
            for n_threads in (1, 2):
                actual = pairs_above(X, labels, threshold, metric=metric, n_threads=n_threads)
                assert_same(actual, expected)


def test_a_cluster_larger_than_memory(monkeypatch):
    random = np.random.default_rng(1)
    X = random.normal(size=(400, 512)).astype(np.float32) + 2
    sizes, whole = [], blocks.Source.take
    monkeypatch.setattr(
        blocks.Source, "take", lambda self, rows: (sizes.append(len(rows)), whole(self, rows))[1]
    )
    actual = pairs_above(X, np.zeros(400, int), 0.82, working_memory=1)
    assert max(sizes) * 512 * 20 <= 1 << 19  # half of a MiB, for there are two strips
    wide = X.astype(np.float64)
    lengths = np.sqrt((wide**2).sum(axis=1))
    cosines = np.triu(wide @ wide.T / lengths / lengths[:, None], 1)
    i, j = np.nonzero(cosines >= 0.82)
    assert 0 < len(i) < 70_000
    assert_same(actual[:2], (i, j))
    np.testing.assert_allclose(actual.values, cosines[i, j], rtol=1e-13)


def test_what_float32_cannot_tell():
    """Angles whose cosines are 1e-12 around the threshold."""
    threshold, steps = 0.75, np.arange(-20, 21)
    angles = np.arccos(threshold) + steps * 1e-12
    X = np.column_stack([np.cos(angles), np.sin(angles)])
    X = np.vstack([[1.0, 0.0], X])
    pairs = as_dict(pairs_above(X, np.zeros(42, int), threshold))
    near = [step for step in steps[steps != 0].tolist() if (0, step + 21) in pairs]
    assert near == list(range(-20, 0))


def test_rows_far_from_the_origin():
    random = np.random.default_rng(2)
    X = (1e4 + 0.05 * random.normal(size=(120, 3))).astype(np.float32)
    labels = random.integers(2, size=120)
    expected = brute_force(X, labels, 0.02, "euclidean")
    assert len(expected) > 10
    assert as_dict(pairs_above(X, labels, 0.02, metric="euclidean")) == pytest.approx(expected)


@pytest.mark.parametrize("unit", [1e-300, 1e-160, 1e150, 1e300])
def test_the_range_of_float64(rows, unit):
    X, labels = rows[0].astype(np.float64), rows[1]
    power = 2.0 ** np.round(np.log2(unit))
    for metric, threshold, by in (("cosine", 0.7, 1.0), ("euclidean", 1.5, power)):
        expected = pairs_above(X, labels, threshold, metric=metric)
        actual = pairs_above(power * X, labels, by * threshold, metric=metric)
        assert_same(actual[:2], expected[:2])
        np.testing.assert_allclose(actual.values / by, expected.values, rtol=1e-14)


def test_lengths_of_rows_do_not_count(rows):
    X, labels = rows
    lengths = 10.0 ** np.random.default_rng(3).integers(-12, 12, size=(300, 1))
    expected = pairs_above(X, labels, 0.7)
    actual = pairs_above((lengths * X).astype(np.float64), labels, 0.7)
    assert_same(actual[:2], expected[:2])


@pytest.mark.parametrize(("metric", "threshold"), [("cosine", 1.0), ("euclidean", 0.0)])
def test_equal_rows(metric, threshold):
    X = np.random.default_rng(4).normal(size=(40, 33)).astype(np.float32)
    X[[7, 20, 39]] = X[3]
    pairs = pairs_above(X, np.zeros(40, int), threshold, metric=metric)
    together = list(combinations([3, 7, 20, 39], 2))
    assert as_dict(pairs) == dict.fromkeys(together, threshold)


def test_all_pairs():
    X = np.random.default_rng(5).normal(size=(70, 3))
    for metric, threshold in (("cosine", -1), ("euclidean", 1e6)):
        assert len(pairs_above(X, np.zeros(70, int), threshold, metric=metric).i) == 70 * 69 // 2


@pytest.mark.parametrize("labels", [[3], [-1], [0, 1], [-1, -1], [9, -5, 10**9]])
def test_no_pairs(labels):
    pairs = pairs_above(np.ones((len(labels), 2)), labels, 0.0, metric="euclidean")
    assert as_dict(pairs) == {}


@pytest.mark.parametrize(
    "kind", ["float16", "list", "csr", "tensor", "callable", "mapped", "frame"]
)
def test_kinds_of_rows(kind, rows, tmp_path):
    X, labels = rows[0].astype(np.float16).astype(np.float32), rows[1]
    expected = pairs_above(X, labels, 0.8)
    if kind == "float16":
        X = X.astype(np.float16)
    elif kind == "list":
        X, labels = X.tolist(), labels.tolist()
    elif kind == "csr":
        X = sp.csr_array(X)
    elif kind == "tensor":
        torch = pytest.importorskip("torch")
        X, labels = torch.from_numpy(X), torch.from_numpy(labels)
    elif kind == "callable":
        whole = X
        X = blocks.source(lambda: iter([whole[:100], whole[100:]]), chunk_size=37)
    elif kind == "mapped":
        np.save(tmp_path / "rows.npy", X.astype(np.float16))
        X = np.load(tmp_path / "rows.npy", mmap_mode="r")
    else:
        X = pytest.importorskip("pandas").DataFrame(X, columns=list("abcdefg"))
    assert_same(pairs_above(X, labels, 0.8), expected)


def test_parquet(rows, tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    X, labels = rows
    values = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 7)
    pq.write_table(pa.table({"row": values}), tmp_path / "rows.parquet", row_group_size=50)
    source = blocks.source(tmp_path / "rows.parquet", chunk_size=64)
    assert_same(pairs_above(source, labels, 0.8), pairs_above(X, labels, 0.8))


def test_zero_rows(tiles, rows):
    X, labels = rows
    X[17] = 0
    labels[17] = 2
    with pytest.raises(ZeroRowError, match="row 17 of X is zero"):
        pairs_above(X, labels, 0.9)
    labels[17] = -1  # outside of all clusters
    assert len(pairs_above(X, labels, 0.9).i) > 0
    assert len(pairs_above(X, 0 * labels, 0.1, metric="euclidean").i) > 0


def test_parts_and_progress(tiles, rows):
    X, labels = rows
    seen = []
    parts = iter_pairs(X, labels, 0.7, callback=lambda *done: seen.append(done))
    assert seen == []
    parts = list(parts)
    assert_same(_strips.sorted_pairs(parts), pairs_above(X, labels, 0.7, n_threads=1))
    sizes = np.bincount(labels[labels >= 0])
    total = int((sizes * (sizes - 1) // 2).sum())
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert len(parts) >= 5


def test_closing_ends_the_threads(rows):
    X, labels = rows
    with closing(iter_pairs(X, labels, 0.7, n_threads=2)) as parts:
        next(parts)
        assert any("unsup_fast-pairs" in each.name for each in threading.enumerate())
    assert not any("unsup_fast-pairs" in each.name for each in threading.enumerate())


REFUSED = {
    "metric": ({"metric": "l2"}, ValueError, "metric='l2' is not one of cosine, euclidean"),
    "cosine": ({"threshold": 1.5}, ValueError, "threshold=1.5 .* pass a number from -1 to 1"),
    "nan": ({"threshold": np.nan}, ValueError, "threshold=nan .* pass a number from -1 to 1"),
    "text": ({"threshold": "high"}, ValueError, "threshold='high'"),
    "distance": ({"threshold": -1, "metric": "euclidean"}, ValueError, "pass a number >= 0"),
    "infinite": ({"threshold": np.inf, "metric": "euclidean"}, ValueError, ">= 0 and finite"),
    "labels": ({"labels": [0, 1]}, ValueError, r"labels have shape \(2,\); pass one for each of 3"),
    "float": ({"labels": [0.0, 1.0, 1.0]}, TypeError, "labels are float64; pass integers"),
    "memory": ({"working_memory": 0}, ValueError, "working_memory=0 is not a number of MiB"),
    "path": ({"X": "rows.npy"}, TypeError, "X is a path, not rows"),
    "rows": ({"X": [[1.0, np.nan]] * 3}, ValueError, "row 0, column 1 is nan"),
    "span": (
        {"X": [[1e308], [-1e308], [0]], "metric": "euclidean"},
        ValueError,
        "spans more than float64",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    changed, error, said = REFUSED[name]
    arguments = {"X": np.ones((3, 2)), "labels": [0, 0, 1], "threshold": 0.5} | changed
    with pytest.raises(error, match=said):
        iter_pairs(**arguments)  # at once
