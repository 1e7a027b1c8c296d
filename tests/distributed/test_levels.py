"""Levels of clusters over processes, against those of the same blocks in one."""

import warnings

import numpy as np
import pytest

from unsup_fast import blocks
from unsup_fast.cluster import KMeans, _fleet_members, _pruning, _splits

from .engines import InProcess, Killer, losses

N, K, CHUNK = 1603, 48, 50
ENGINES = ((1, 1), (3, 7), (7, 64))
RESULTS = (
    "cluster_centers_",
    "parents_",
    "labels_",
    "cluster_sizes_",
    "inertia_history_",
    "n_changed_history_",
    "inertia_",
    "n_iter_",
)


def grouped():
    rng = np.random.default_rng(5)
    shares = rng.dirichlet(np.ones(60))
    X = 4 * rng.normal(size=(60, 8))[rng.choice(60, N, p=shares)] + rng.normal(size=(N, 8)) + 3
    return X.astype(np.float32)


def model(**options):
    return KMeans(K, levels=[6], random_state=3, max_iter=6).set_params(**options)


def same(one, other):
    for name in RESULTS:
        np.testing.assert_array_equal(
            np.asarray(getattr(one, name)), np.asarray(getattr(other, name)), err_msg=name
        )


FITS = {
    "samples": (20, {}),
    "all rows": (1000, {"init": "random"}),
    "samples, then all rows": (120, {"n_threads": 2}),
    "three levels": (16, {"levels": [4, 16], "init": "random"}),
    "cosine": (20, {"metric": "cosine", "init": "k-means||"}),
    "standardize": (20, {"standardize": True}),
    "balance": (20, {"balance": 3.0}),
}


@pytest.mark.parametrize("name", FITS)
def test_levels_of_any_fleet_have_the_same_bits(name, monkeypatch):
    per_cluster, options = FITS[name]
    monkeypatch.setattr(_splits, "ROWS_PER_CLUSTER", per_cluster)
    X = blocks.source(grouped(), chunk_size=CHUNK)
    one = model(**options).fit(X)
    for (n_holders, n_parts), room in zip(ENGINES, (0, 5000, 1 << 20), strict=True):
        monkeypatch.setattr(_fleet_members, "ROOM", room)
        engine = InProcess(n_holders, n_parts)
        same(one, model(**options).fit(X, engine=engine))


def test_weights(monkeypatch):
    monkeypatch.setattr(_splits, "ROWS_PER_CLUSTER", 20)
    X = blocks.source(grouped(), chunk_size=CHUNK)
    weight = np.random.default_rng(0).random(N) * (np.arange(N) % 3 > 0)
    one = model(levels=[3, 9]).fit(X, sample_weight=weight)
    for n_holders, n_parts in ENGINES:
        engine = InProcess(n_holders, n_parts)
        same(one, model(levels=[3, 9]).fit(X, sample_weight=weight, engine=engine))


@pytest.mark.parametrize("verb", ["level_rows", "fit_samples", "divide_levels", "begin", "move"])
def test_a_lost_process_changes_nothing(verb, monkeypatch):
    monkeypatch.setattr(_splits, "ROWS_PER_CLUSTER", 20)
    X = blocks.source(grouped(), chunk_size=CHUNK)
    one = model().fit(X)
    with pytest.warns(RuntimeWarning, match="was lost"):
        same(one, model().fit(X, engine=InProcess(2, 5, lose=verb)))


@pytest.mark.parametrize("per_cluster", [20, 1000])
def test_a_process_lost_among_guessed_bounds(per_cluster, monkeypatch):
    """A holder that replaces it divides its rows by levels before it begins the last pass."""
    monkeypatch.setattr(_splits, "ROWS_PER_CLUSTER", per_cluster)
    monkeypatch.setattr(_pruning, "WORTHWHILE", 0)
    monkeypatch.setattr(_pruning, "may_pay", lambda *_: True)
    monkeypatch.setattr(_pruning, "choose_basis", lambda X, centers, shift, find: find().first(3))
    X = blocks.source(grouped(), chunk_size=CHUNK)
    one = model(init="random").fit(X)
    with pytest.warns(RuntimeWarning, match="was lost"):
        same(one, model(init="random").fit(X, engine=InProcess(2, 5, lose="measure")))


def test_a_killed_process_changes_nothing(engine):
    X = blocks.source(grouped(), chunk_size=CHUNK)
    one = model(balance=3.0).fit(X)
    deadly = Killer(engine, "divide_levels", 3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        other = model(balance=3.0).fit(X, engine=deadly)
    assert losses(caught) == 1
    same(one, other)
