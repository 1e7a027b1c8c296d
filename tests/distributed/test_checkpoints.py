"""Fits that stop and go on from a checkpoint, against fits that were not stopped."""

import numpy as np
import pytest
import scipy.sparse as sp

from unsup_fast import blocks
from unsup_fast.cluster import KMeans, _checkpoint

N, D, K = 3000, 6, 25
RESULTS = ("cluster_centers_", "labels_", "inertia_history_", "n_changed_history_", "inertia_")


@pytest.fixture(autouse=True)
def every_iteration(monkeypatch):
    monkeypatch.setattr(_checkpoint, "EVERY", 0.0)
    monkeypatch.setattr(_checkpoint, "SHARE", 0.0)


def rows():
    rng = np.random.default_rng(2)
    X = 2 * rng.normal(size=(30, D))[rng.integers(0, 30, N)] + rng.normal(size=(N, D))
    return blocks.source(X.astype(np.float32), chunk_size=400)


def model(**options):
    return KMeans(K, **{"init": "k-means||", "random_state": 0, "max_iter": 9, **options})


def same(one, other):
    for name in RESULTS:
        np.testing.assert_array_equal(
            np.asarray(getattr(one, name)), np.asarray(getattr(other, name)), err_msg=name
        )
    assert one.n_iter_ == other.n_iter_


class Dead(Exception):
    """Ends a fit as the death of its process would."""


def stop_at(iteration):
    def stop(state):
        if state.iteration == iteration + 1:
            raise Dead

    return stop


@pytest.mark.parametrize("where", ["here", "engine"])
@pytest.mark.parametrize(
    "options",
    [{}, {"metric": "cosine"}, {"standardize": True}, {"weighted": True}, {"tol_inertia": 1e-3}],
    ids=str,
)
def test_a_fit_goes_on_to_the_same_bits(tmp_path, engine, where, options):
    options = dict(options)
    weight = np.arange(1.0, N + 1) if options.pop("weighted", False) else None
    X, path = rows(), tmp_path / "checkpoint"
    used = {"engine": engine} if where == "engine" else {}
    one = model(**options).fit(X, sample_weight=weight)
    fit = {"sample_weight": weight, "checkpoint": path}
    with pytest.raises(Dead):
        model(**options).fit(X, callback=stop_at(3), **fit, **used)
    seen = []
    other = model(**options).fit(
        X, callback=lambda state: seen.append(state.iteration), **fit, **used
    )
    assert seen[0] == 4
    same(one, other)
    seen.clear()
    again = model(**options).fit(X, callback=lambda state: seen.append(1), **fit, **used)
    assert seen == []
    same(one, again)


def test_more_iterations(tmp_path, engine):
    X, path = rows(), tmp_path / "checkpoint"
    model(max_iter=3, tol=0).fit(X, checkpoint=path)
    other = model(max_iter=6, tol=0).fit(X, checkpoint=path, engine=engine)
    same(model(max_iter=6, tol=0).fit(X), other)


def test_a_url():
    pytest.importorskip("fsspec")
    X = rows()
    one = model(max_iter=3).fit(X, checkpoint="memory://fits/checkpoint")
    same(one, model(max_iter=3).fit(X, checkpoint="memory://fits/checkpoint"))


def test_what_is_another_fit(tmp_path):
    X, path = rows(), tmp_path / "checkpoint"
    model(max_iter=1).fit(X, checkpoint=path)
    saved = path.read_bytes()
    for other, name in (
        (model(metric="cosine"), "metric='euclidean', and this fit has 'cosine'"),
        (model(init="random", n_init=1), "init='k-means||'"),
        (model(random_state=1), "random_state=0"),
    ):
        with pytest.raises(
            ValueError, match=r"checkpoint: was saved with " + name.replace("|", r"\|")
        ):
            other.fit(X, checkpoint=path)
    changed = X.to_array().copy()
    changed[7, 2] += 1
    with pytest.raises(ValueError, match="was saved with rows="):
        model().fit(blocks.source(changed, chunk_size=400), checkpoint=path)
    assert path.read_bytes() == saved
    path.write_bytes(saved[:-1])
    with pytest.raises(ValueError, match="remove it to begin anew"):
        model().fit(X, checkpoint=path)


def test_what_has_no_checkpoint(tmp_path):
    path = tmp_path / "checkpoint"
    with pytest.raises(ValueError, match="pass n_init=1"):
        model(init="random", n_init=2).fit(rows(), checkpoint=path)
    with pytest.raises(ValueError, match="sparse rows"):
        model().fit(sp.random(100, 5, 0.5, format="csr"), checkpoint=path)
    assert not path.exists()
