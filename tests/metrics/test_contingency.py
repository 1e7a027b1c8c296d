"""Counts of classes in clusters, against scikit-learn and counting by hand."""

from collections import Counter

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.cluster import contingency_matrix as reference

from unsup_fast.metrics import contingency, contingency_matrix, purity_score

KINDS = {
    "int8": lambda x: (x - 100).astype(np.int8),
    "uint8": lambda x: x.astype(np.uint8),
    "int32": lambda x: x.astype(np.int32),
    "int64": lambda x: x - 2**62,
    "uint64": lambda x: x.astype(np.uint64),
    "large uint64": lambda x: x.astype(np.uint64) + np.uint64(2**63 + 5),
    "spread out": lambda x: np.int64(10) ** (x % 19),
    "both ends": lambda x: np.where(x % 2, np.iinfo(np.int64).max, np.iinfo(np.int64).min),
    "bool": lambda x: x % 2 == 0,
    "float": lambda x: x / 1.0,
    "strings": lambda x: np.array([f"c{i}" for i in x]),
    "objects": lambda x: np.array([f"c{i}" for i in x], dtype=object),
    "list": lambda x: x.tolist(),
    "strided": lambda x: np.repeat(x, 3)[::3],
    "swapped": lambda x: x.astype(">i4"),
}


def check(labels_true, labels_pred):
    table, true = contingency_matrix(labels_true, labels_pred), reference(labels_true, labels_pred)
    assert table.dtype == np.int64
    np.testing.assert_array_equal(table, true)
    as_csr = contingency_matrix(labels_true, labels_pred, sparse=True)
    assert as_csr.format == "csr"
    np.testing.assert_array_equal(as_csr.toarray(), true)
    purity = true.max(axis=0).sum() / len(labels_true)
    assert purity_score(labels_true, labels_pred) == pytest.approx(purity, rel=1e-15)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", ["int32", "strings", "spread out", "large uint64"])
def test_agrees_with_scikit_learn(kind, other):
    x, y = np.random.default_rng(0).integers(0, 30, (2, 500))
    check(KINDS[kind](x), KINDS[other](y))
    check(KINDS[other](y), KINDS[kind](x))


@pytest.mark.parametrize("n_rows", [1, 17, 4095, 4096, 4097, 9001])
def test_blocks(monkeypatch, n_rows):
    monkeypatch.setattr(contingency, "BLOCK", 4096)
    check(*np.random.default_rng(1).integers(3, 12, (2, n_rows)))


def test_large_tables(monkeypatch):
    monkeypatch.setattr(contingency, "CELLS", 50)
    rng = np.random.default_rng(2)
    check(rng.integers(0, 15, 100), rng.integers(0, 9, 100))
    check(rng.permutation(100), rng.permutation(100))
    check(2**40 * rng.integers(0, 5, 100), rng.integers(0, 9, 100))


def test_a_cluster_for_each_row_takes_no_square_of_memory():
    labels = np.random.default_rng(3).permutation(200_000)
    assert purity_score(labels, labels[::-1]) == 1
    table = contingency_matrix(labels, labels, sparse=True)
    assert table.shape == (200_000, 200_000)
    assert table.nnz == 200_000


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.sampled_from(["a", "b", "cc"])), min_size=1))
def test_counting_by_hand(pairs):
    classes, clusters = zip(*pairs, strict=True)
    counts = Counter(pairs)
    table = [[counts[i, k] for k in sorted(set(clusters))] for i in sorted(set(classes))]
    np.testing.assert_array_equal(contingency_matrix(classes, clusters), table)
    purity = purity_score(classes, clusters)
    most = Counter(classes).most_common(1)[0][1] / len(pairs)
    assert most <= purity <= 1
    assert purity_score(classes, classes) == purity_score(classes, range(len(pairs))) == 1
    assert purity_score(classes, [0] * len(pairs)) == most


def test_options():
    table = contingency_matrix([0, 1, 1], [0, 0, 1], eps=0.5)
    np.testing.assert_array_equal(table, [[1.5, 0.5], [1.5, 1.5]])
    assert contingency_matrix([0, 1], [0, 0], dtype=np.float32).dtype == np.float32
    assert contingency_matrix([0, 1], [0, 0], sparse=True, dtype=np.int32).dtype == np.int32
    assert sp.issparse(contingency_matrix([], [], sparse=True))
    assert contingency_matrix([], []).shape == (0, 0)
    with pytest.raises(ValueError, match="pass eps=None or sparse=False"):
        contingency_matrix([0], [0], eps=1, sparse=True)


def test_tensors():
    torch = pytest.importorskip("torch")
    labels = torch.tensor([0, 0, 1, 2])
    np.testing.assert_array_equal(
        contingency_matrix(labels, [0, 0, 1, 1]), [[2, 0], [0, 1], [0, 1]]
    )
    assert purity_score(labels, labels.int()) == 1


@pytest.mark.parametrize("function", [contingency_matrix, purity_score])
def test_bad_labels(function):
    with pytest.raises(ValueError, match="labels_true has 2 labels and labels_pred 3; both"):
        function([0, 1], [0, 1, 2])
    with pytest.raises(ValueError, match=r"labels_pred has shape \(2, 1\); pass one label"):
        function([0, 1], [[0], [1]])
    with pytest.raises(ValueError, match=r"labels_true\[1\] is 0\.5; labels are whole numbers"):
        function([0, 0.5], [0, 1])
    with pytest.raises(ValueError, match=r"labels_true\[0\] is nan"):
        function([np.nan, 0.5], [0, 1])
    with pytest.raises(TypeError, match="labels_pred cannot be ordered"):
        function([0, 1], np.array(["a", None], dtype=object))
    with pytest.raises(ValueError, match="empty"):
        purity_score([], [])
