"""PCA over blocks: the same as in memory, and one pass."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from unsup_fast import blocks
from unsup_fast.decomposition import PCA, IncrementalPCA

NAMES = (
    "components_",
    "explained_variance_",
    "explained_variance_ratio_",
    "singular_values_",
    "mean_",
    "noise_variance_",
)


@pytest.fixture(scope="module")
def rows():
    """Return 3000 x 7 rows that drift far from where they begin."""
    rng = np.random.default_rng(3)
    return rng.normal(size=(3000, 7)) * 2.0 ** -np.arange(7) + np.linspace(0, 30, 3000)[:, None]


def stream(X, chunk_size=None):
    """Return a source that yields its rows in blocks only."""
    return blocks.source(lambda: [X], chunk_size=chunk_size)


def same(one, other, rtol=1e-9):
    for name in NAMES:
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=rtol, atol=rtol)
    assert one.n_components_ == other.n_components_


@pytest.mark.parametrize("chunk_size", [17, 611, 3000, None])
@pytest.mark.parametrize("wanted", [3, 0.99, None])
def test_a_source_is_the_rows(rows, chunk_size, wanted):
    source = stream(rows, chunk_size)
    model, expected = PCA(wanted).fit(source), PCA(wanted).fit(rows)
    same(model, expected)
    assert model.n_samples_ == 3000
    np.testing.assert_array_equal(expected.transform(source), expected.transform(rows))
    np.testing.assert_array_equal(expected.score_samples(source), expected.score_samples(rows))
    same(IncrementalPCA(expected.n_components_).fit(source), expected)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 2999), max_size=6, unique=True))
def test_any_batches_are_the_whole(cuts):
    X = np.random.default_rng(0).normal(size=(3000, 5)) + np.linspace(0, 30, 3000)[:, None]
    model = IncrementalPCA()
    for part in np.split(X, sorted(cuts)):
        model.partial_fit(part)
    same(model, PCA().fit(X))
    np.testing.assert_allclose(model.var_, X.var(axis=0))
    assert model.n_samples_seen_ == 3000


def test_one_row_at_a_time(rows):
    model = IncrementalPCA()
    for row in rows[:40]:
        model.partial_fit(row[None])
        assert np.isfinite(model.explained_variance_ratio_).all()
    same(model, PCA().fit(rows[:40]))


def test_axes_are_computed_when_they_are_asked_for(rows, monkeypatch):
    from unsup_fast.decomposition import _solvers

    calls, solve = [], _solvers.of_covariance
    monkeypatch.setattr(_solvers, "of_covariance", lambda *a: calls.append(1) or solve(*a))
    model = IncrementalPCA(2)
    for part in np.array_split(rows, 10):
        model.partial_fit(part)
    assert not calls
    again = pickle.loads(pickle.dumps(model))
    assert model.components_.shape == (2, 7)
    model.transform(rows)
    assert len(calls) == 1
    np.testing.assert_array_equal(again.components_, model.components_)
    assert not hasattr(IncrementalPCA(), "components_")
    with pytest.raises(AttributeError, match="no attribute 'componentz_'"):
        _ = model.componentz_


def test_data_are_read_once(rows):
    passes = []

    def batches():
        passes.append(1)
        yield from np.array_split(rows, 5)

    source = blocks.source(batches, chunk_size=700)
    source._room = 0
    for cls in (PCA, IncrementalPCA):
        passes.clear()
        cls(2).fit(source)
        assert len(passes) == 1


def test_types(rows, tmp_path):
    for name, X in (("half", rows.astype(np.float16)), ("same", rows.astype(np.float32))):
        np.save(tmp_path / f"{name}.npy", X)
        mapped = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
        model = PCA(2).fit(mapped)
        assert model.components_.dtype == np.float32
        same(model, PCA(2).fit(X.astype(np.float32)), 1e-4)
    assert PCA(2).fit(rows).transform(rows.astype(np.float32)).dtype == np.float64


def test_tables(rows):
    pa = pytest.importorskip("pyarrow")
    table = pa.table({f"x{j}": rows[:, j] for j in range(7)})
    model = PCA(2).fit(table)
    same(model, PCA(2).fit(rows))
    assert model.feature_names_in_.tolist() == table.column_names
    np.testing.assert_array_equal(model.transform(table), PCA(2).fit(rows).transform(rows))
    with pytest.raises(ValueError, match="The feature names should match those"):
        model.transform(table.rename_columns([*"abcdefg"]))


@pytest.mark.parametrize("solver", ["auto", "arpack", "covariance_eigh"])
@pytest.mark.parametrize("wanted", [1, 3])
def test_sparse_rows(solver, wanted):
    X = sp.random_array((400, 30), density=0.2, rng=np.random.default_rng(1), format="csr")
    model = PCA(wanted, svd_solver=solver).fit(X)
    expected = PCA(wanted, svd_solver="full").fit(X.toarray())
    same(model, expected, 1e-8)
    np.testing.assert_allclose(model.transform(X), expected.transform(X.toarray()), atol=1e-8)
    same(IncrementalPCA(wanted).fit(X.tocsc()), expected, 1e-8)
    with pytest.raises(TypeError, match="sparse rows have no score"):
        model.score(X)


def test_progress(rows):
    calls = []
    source = blocks.source(rows.astype(np.float16), chunk_size=1000)
    PCA(2).fit(source, callback=lambda *s: calls.append(s))
    assert calls == [(1000, 3000), (2000, 3000), (3000, 3000)]
    calls.clear()
    IncrementalPCA(2).fit(stream(rows, 1500), callback=lambda *s: calls.append(s))
    assert calls == [(1500, None), (3000, None)]
    for solver in ("full", "covariance_eigh", "arpack"):
        calls.clear()
        PCA(2, svd_solver=solver).fit(rows, callback=lambda *s: calls.append(s))
        assert calls == [(3000, 3000)]


def test_bad_values_and_arguments(rows):
    X = rows.copy()
    X[2100, 3] = np.nan
    for call in (PCA(2).fit, IncrementalPCA(2).fit, PCA(2).fit(rows).transform):
        with pytest.raises(ValueError, match="X: row 2100, column 3 is nan"):
            call(stream(X, 500))
    with pytest.raises(ValueError, match="svd_solver='full' needs all rows at once"):
        PCA(2, svd_solver="full").fit(stream(rows))
    with pytest.raises(ValueError, match="n_components=9 must be between 0 and"):
        PCA(9).fit(stream(rows))
    with pytest.raises(ValueError, match="X has 6 features, but PCA is expecting 7 features"):
        PCA(2).fit(rows).transform(stream(rows[:, :6]))
    with pytest.raises(ValueError, match=r"n_components=5 exceeds the 4 rows of X; pass .* <= 4"):
        IncrementalPCA(5).fit(stream(rows[:4]))
    model = IncrementalPCA(2).fit(rows)
    before = model.components_
    with pytest.raises(ValueError, match="nan"):
        model.partial_fit(stream(X, 500))
    np.testing.assert_array_equal(model.components_, before)
    assert model.n_samples_seen_ == 3000


@pytest.mark.parametrize("sizes", [(1,) * 12, (10,) * 5, (3, 1, 46)], ids=str)
def test_a_first_batch_may_be_small(rows, sizes, tmp_path):
    """Until n_components rows have come there are as many axes as rows, those of PCA on them."""
    X = np.tile(rows[:50], (1, 3)) + np.random.default_rng(1).normal(size=(50, 21))
    model, n_seen = IncrementalPCA(20), 0
    for size in sizes:
        model.partial_fit(X[n_seen : n_seen + size])
        n_seen += size
        assert model.n_components_ == min(n_seen, 20) == len(model.components_)
        assert model.transform(X).shape == (50, min(n_seen, 20))
        if n_seen > 1:
            expected, rank = PCA(min(n_seen, 20)).fit(X[:n_seen]), min(n_seen - 1, 20)
            for name in ("singular_values_", "components_"):  # the last axis may have no variance
                one, other = (getattr(m, name)[:rank] for m in (model, expected))
                np.testing.assert_allclose(one, other, atol=1e-7)
        model.save(tmp_path / "model.safetensors")
        model = IncrementalPCA.load(tmp_path / "model.safetensors")
    assert model.get_params()["n_components"] == 20


def test_axes_cannot_be_more_than_the_columns_or_change_their_number(rows):
    with pytest.raises(ValueError, match="n_components=8 invalid for n_features=7"):
        IncrementalPCA(8).partial_fit(rows[:2])
    model = IncrementalPCA(5).partial_fit(rows[:10])
    with pytest.raises(ValueError, match="between calls to partial_fit"):
        model.set_params(n_components=4).partial_fit(rows[10:20])
    same(model.set_params(n_components=5).partial_fit(rows[10:]), PCA(5).fit(rows))
