"""PCA over processes of this machine, against fits of the same blocks in one."""

import numpy as np
import pytest

from unsup_fast import blocks
from unsup_fast.decomposition import PCA, IncrementalPCA

from .engines import InProcess, Killer, losses

N, D, CHUNK = 3_300, 9, 50  # 66 blocks
AXES = (
    "components_",
    "explained_variance_",
    "explained_variance_ratio_",
    "singular_values_",
    "mean_",
    "noise_variance_",
)


def rows(dtype=np.float32):
    rng = np.random.default_rng(0)
    return (rng.normal(size=(N, D)) @ rng.normal(size=(D, D)) + 1e3).astype(dtype)


def same(one, other, names=AXES):
    for name in names:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def files(tmp_path, X):
    np.save(tmp_path / "X.npy", X)
    return blocks.source(tmp_path / "X.npy", chunk_size=CHUNK)


SOURCES = {
    "array": lambda tmp_path, X: blocks.source(X, chunk_size=CHUNK),
    "file": files,
    "function": lambda tmp_path, X: blocks.source(
        lambda: iter([X[:1000], X[1000:]]), chunk_size=CHUNK
    ),
}


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("standardize", [False, True])
def test_axes_of_any_fleet_have_the_same_bits(kind, standardize, tmp_path):
    X = SOURCES[kind](tmp_path, rows())
    model = PCA(3, standardize=standardize)
    one = model.fit(X)
    for n_holders, n_parts in ((1, 1), (2, 5), (3, 64)):
        engine = InProcess(n_holders, n_parts)
        other = PCA(3, standardize=standardize).fit(X, engine=engine)
        same(one, other)
        assert other.n_samples_ == N


def test_axes_are_those_of_float64(tmp_path):
    X = rows(np.float64)
    model = PCA().fit(blocks.source(X, chunk_size=CHUNK), engine=InProcess(2, 7))
    values, vectors = np.linalg.eigh(np.cov(X.T))
    np.testing.assert_allclose(model.explained_variance_, values[::-1], rtol=1e-9)
    np.testing.assert_allclose(np.abs((model.components_ * vectors.T[::-1]).sum(axis=1)), 1)


def test_incremental(tmp_path):
    X = blocks.source(rows(np.float16), chunk_size=CHUNK)
    one = IncrementalPCA(4).fit(X)
    other = IncrementalPCA(4).fit(X, engine=InProcess(2, 5))
    same(one, other, (*AXES, "var_", "n_samples_seen_"))
    same(one.partial_fit(rows()[:100]), other.partial_fit(rows()[:100]))


def test_progress_and_columns():
    seen = []
    X = rows()
    model = PCA(2).fit(X, engine=InProcess(2, 2), callback=lambda *state: seen.append(state))
    assert seen[-1] == (N, N)
    assert model.n_features_in_ == D
    same(model, PCA(2).fit(blocks.source(X)))


def test_what_an_engine_refuses():
    engine = InProcess(1, 1)
    with pytest.raises(ValueError, match="svd_solver='full' needs all rows"):
        PCA(2, svd_solver="full").fit(rows(), engine=engine)
    with pytest.raises(ValueError, match="device='cuda' is not available with an engine"):
        PCA(2, device="cuda").fit(rows(), engine=engine)
    bad = rows()
    bad[1234, 5] = np.nan
    with pytest.raises(ValueError, match="row 1234"):
        PCA(2).fit(blocks.source(bad, chunk_size=CHUNK), engine=engine)


@pytest.mark.parametrize("verb", ["load", "moments", "derive", "covariance"])
def test_a_lost_holder(verb):
    X = blocks.source(rows(), chunk_size=CHUNK)
    one = PCA(3, standardize=True).fit(X)
    with pytest.warns(RuntimeWarning) as caught:
        other = PCA(3, standardize=True).fit(X, engine=InProcess(2, 5, lose=verb))
    assert losses(caught) == 1
    same(one, other)


def test_processes_of_which_one_is_killed(tmp_path, engine):
    X = files(tmp_path, rows())
    one = PCA(3).fit(X)
    with pytest.warns(RuntimeWarning) as caught:
        other = PCA(3).fit(X, engine=Killer(engine, "covariance", 2))
    assert losses(caught) == 1
    same(one, other)
