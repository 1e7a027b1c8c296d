"""Fits over processes of this machine, against fits of the same blocks in one."""

from dataclasses import replace
from functools import partial
from importlib import import_module

import numpy as np
import pytest

from unsup_fast import blocks, distributed
from unsup_fast.cluster import KMeans, MiniBatchKMeans, kmeans_parallel
from unsup_fast.cluster._holder import KMeansHolder
from unsup_fast.distributed import _fleet
from unsup_fast.distributed._holder import Build
from unsup_fast.distributed._open import opened
from unsup_fast.distributed._parts import Part

from .cases import same
from .engines import ALL_PHASES, InProcess, Killer, losses

N, D, K, CHUNK = 6000, 12, 80, 500


def grouped(offset=0.0):
    rng = np.random.default_rng(5)
    centers = 2 * rng.normal(size=(40, D))
    rows = centers[rng.integers(0, 40, N)] + rng.normal(size=(N, D))
    return (rows + offset).astype(np.float32)


def emptying(offset=0.0):
    """Return rows and centroids, of which 37 have no rows in the second iteration."""
    X = grouped(offset)
    init = np.repeat(X[:43], 2, axis=0)[:K].copy()
    init[1::2] += np.float32(1e-3)
    return X, init


def model(**options):
    return KMeans(K, **{"init": "k-means||", "random_state": 0, "max_iter": 8, **options})


class Watched:
    """An engine that another one runs, whose calls a test sees."""

    n_holders, n_parts = 2, 5

    def __init__(self, engine):
        self.engine = engine
        self.handles = []

    def make(self, index, create):
        self.handles.append(self.engine.make(index, create))
        return self.handles[-1]

    def send(self, handle, verb, arguments):
        return self.engine.send(handle, verb, arguments)

    def get(self, pending):
        return self.engine.get(pending)

    def release(self, handle):
        self.engine.release(handle)


@pytest.fixture(scope="module")
def three(engine):
    """Return an engine of three processes: the two of `engine`, and one with two threads."""
    return replace(engine, n_holders=3, n_parts=12, n_threads=2)


FITS = {
    "k-means||": {},
    "random": {"init": "random", "n_init": 2},
    "cosine": {"metric": "cosine"},
    "standardize": {"standardize": True},
    "lloyd": {"algorithm": "lloyd"},
    "inertia": {"tol": 0, "tol_inertia": 1e-3},
}


@pytest.mark.parametrize("name", FITS)
def test_fits_of_any_fleet_have_the_same_bits(name, engine, three):
    X = blocks.source(grouped(), chunk_size=CHUNK)
    one = model(**FITS[name]).fit(X)
    for fleet in (replace(engine, n_holders=1, n_parts=1), engine, three):
        other = model(**FITS[name]).fit(X, engine=fleet)
        same(one, other)
    np.testing.assert_array_equal(other.predict(X, engine=engine), one.labels_)
    assert other.score(X, engine=engine) == one.score(X)


@pytest.mark.parametrize("init", ["k-means||", "random"])
def test_weights(init, engine):
    X = blocks.source(grouped(), chunk_size=CHUNK)
    weight = np.random.default_rng(0).random(N) * (np.arange(N) % 3 > 0)
    one = model(init=init, n_init=1).fit(X, sample_weight=weight)
    other = model(init=init, n_init=1).fit(X, sample_weight=weight, engine=engine)
    same(one, other)
    score = other.score(X, sample_weight=weight, engine=engine)
    assert score == one.score(X, sample_weight=weight)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_clusters_that_empty(offset, engine):
    X, init = emptying(offset)
    counts = []
    X = blocks.source(X, chunk_size=CHUNK)
    fit = partial(model, init=init, tol=0, max_iter=4)
    one = fit().fit(X, callback=lambda state: counts.append(len(np.unique(state.labels))))
    assert min(counts[:2]) < K
    same(one, fit().fit(X, engine=engine))


def test_files_of_float16_in_small_parts(tmp_path, engine):
    X = grouped()[:2000].astype(np.float16)
    np.save(tmp_path / "rows.npy", X)
    X = blocks.source(tmp_path / "rows.npy", chunk_size=5)
    one = model(max_iter=3).fit(X)
    same(one, model(max_iter=3).fit(X, engine=replace(engine, n_parts=64)))


def test_parts_without_rows_and_holders_without_parts(engine):
    X = grouped()[:1000]
    whole = [partial(blocks.source, rows, chunk_size=500) for rows in (X[:500], X[500:])]
    empty = partial({}.get, "rows")
    parts = [Part(index=i, open=part) for i, part in enumerate([whole[0], empty, whole[1]])]
    rows = opened(
        replace(engine, n_holders=4),
        KMeansHolder,
        parts,
        n_columns=D,
        dtype=np.dtype(np.float32),
        name="X",
    )
    try:
        assert rows.fleet.n_holders == 3
        other = model().fit(rows)
    finally:
        rows.fleet.close()
    one = model().fit(blocks.source(X, chunk_size=500))
    np.testing.assert_array_equal(one.cluster_centers_, other.cluster_centers_)
    np.testing.assert_array_equal(one.inertia_history_, other.inertia_history_)
    assert one.inertia_ == other.inertia_


KILLS = {"moments": 1, "add_candidates": 3, "move": 4, "measure": 1}


@pytest.mark.parametrize("verb", KILLS if ALL_PHASES else ["add_candidates", "move"])
def test_a_killed_process_changes_nothing(verb, engine):
    X = blocks.source(grouped(), chunk_size=CHUNK)
    killer = Killer(engine, verb, 2 * KILLS[verb])  # in the call of the second holder
    with pytest.warns(RuntimeWarning) as caught:
        other = model().fit(X, engine=killer)
    assert losses(caught) == 1
    same(model().fit(X), other)


@pytest.mark.parametrize(("verb", "call"), [("take", 2), ("draw_candidates", 4), ("farthest", 2)])
def test_a_lost_holder_changes_nothing(verb, call):
    X, init = emptying() if verb == "farthest" else (grouped(), "k-means||")
    X = blocks.source(X, chunk_size=CHUNK)
    with pytest.warns(RuntimeWarning) as caught:
        other = model(init=init).fit(X, engine=InProcess(2, 5, lose=verb, calls=(call,)))
    assert losses(caught) == 1
    same(model(init=init).fit(X), other)


def test_a_lost_holder_of_a_weighted_fit():
    X, weight = blocks.source(grouped(), chunk_size=CHUNK), np.arange(1.0, N + 1)
    with pytest.warns(RuntimeWarning) as caught:
        other = model().fit(
            X, sample_weight=weight, engine=InProcess(2, 5, lose="add_up", calls=(6,))
        )
    assert losses(caught) == 1
    same(model().fit(X, sample_weight=weight), other)


def test_holders_that_are_always_lost(monkeypatch):
    monkeypatch.setattr(_fleet, "TRIES", 2)
    with (
        pytest.warns(RuntimeWarning, match="was lost"),
        pytest.raises(distributed.NoWorkerLeft, match="lost 2 times in one call"),
    ):
        model().fit(grouped(), engine=InProcess(2, 5, lose="moments", calls=range(1, 100)))


def test_interrupt_frees_the_holders(engine):
    def interrupt(state):
        if state.iteration == 2:
            raise KeyboardInterrupt

    X = blocks.source(grouped(), chunk_size=CHUNK)
    fitted, watched = model(), Watched(engine)
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(X, engine=watched, callback=interrupt)
    assert len(fitted.inertia_history_) == 2
    assert fitted.inertia_ == -fitted.score(X)
    np.testing.assert_array_equal(np.asarray(fitted.labels_), fitted.predict(X))
    for handle in watched.handles:
        if handle in engine.idle:
            pending = engine.send(handle, "labels", ())
            with pytest.raises(AttributeError, match="NoneType"):
                engine.get(pending)
        else:
            assert handle.process.poll() is not None


def test_processes_end_with_the_engine(engine):
    with replace(engine, idle=[]) as other:
        handle = other.make(0, dict)
        assert other.get(other.send(handle, "copy", ())) == {}
        other.release(handle)
        (process,) = other.idle
        assert process.process.poll() is None
    assert process.process.poll() is not None
    assert other.idle == []


def test_labels_are_read_on_demand(engine):
    X = grouped()
    seen = []
    fitted = model(max_iter=2).fit(
        X,
        engine=engine,
        callback=lambda state: seen.append((len(state.labels), np.asarray(state.labels))),
    )
    assert [count for count, _ in seen] == [N, N]
    assert all(labels.shape == (N,) for _, labels in seen)
    assert fitted.labels_.shape == (N,)
    assert len(fitted.labels_) == N
    np.testing.assert_array_equal(np.asarray(fitted.labels_), fitted.predict(X))


def test_labels_are_written_in_parts(engine, tmp_path):
    X = blocks.source(grouped(), chunk_size=CHUNK)
    fitted = model(max_iter=2).fit(X, engine=engine)
    labels = np.asarray(fitted.labels_)
    for folder, options in (("here", {}), ("there", {"engine": engine})):
        names = fitted.labels_to(tmp_path / folder, **options)
        assert len(names) == (12 if folder == "here" else 5)
        assert sorted(names) == names
        read = [np.load(tmp_path / folder / name) for name in names]
        np.testing.assert_array_equal(np.concatenate(read), labels)
        assert names[1] == f"labels-{len(read[0]):013d}.npy"
    (name,) = model(max_iter=2).fit(grouped()).labels_to(tmp_path / "array")
    np.testing.assert_array_equal(np.load(tmp_path / "array" / name), labels)


def test_seeding(engine):
    X = blocks.source(grouped(), chunk_size=CHUNK)
    one = kmeans_parallel(X, 20, random_state=3)
    other = kmeans_parallel(X, 20, random_state=3, engine=engine)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_errors(engine):
    with pytest.raises(ValueError, match="init='k-means\\+\\+' passes over all rows"):
        KMeans(3).fit(grouped(), engine=engine)
    bad = grouped()
    bad[4000, 3] = np.nan
    with pytest.raises(blocks.DataError, match="row 4000, column 3 is nan"):
        model().fit(blocks.source(bad, chunk_size=CHUNK), engine=engine)
    with pytest.raises(ValueError, match="n_samples=5 should be >= n_clusters=80"):
        model().fit(grouped()[:5], engine=engine)
    with pytest.raises(ValueError, match="standardize=True with sample_weight"):
        model(standardize=True).fit(grouped(), sample_weight=np.ones(N), engine=engine)
    with pytest.raises(ValueError, match="n_holders=0"):
        distributed.local(0)
    with pytest.raises(ValueError, match="MiniBatchKMeans takes no engine"):
        MiniBatchKMeans(3).fit(grouped(), engine=engine)


def test_holders_that_would_round_differently(engine):
    class Mixed(Watched):
        def get(self, pending):
            reply = super().get(pending)
            mixed = isinstance(reply, Build) and pending.holder is self.handles[-1]
            return reply._replace(simd="other") if mixed else reply

    X = blocks.source(grouped(), chunk_size=CHUNK)
    with pytest.raises(
        distributed.EngineError, match=r"simd \w+ and other.*set UNSUP_FAST_SIMD to the lower"
    ):
        model().fit(X, engine=Mixed(engine))


def test_what_a_process_cannot_import_is_said(engine):
    class Here:
        def __reduce__(self):
            return import_module, ("of_this_process_alone",)

    part = Part(index=0, open=Here())
    with pytest.raises(ModuleNotFoundError, match="of_this_process_alone"):
        opened(engine, KMeansHolder, [part], n_columns=D, dtype=np.dtype(np.float32), name="X")


class Unstable(InProcess):
    """An engine that loses some holders while it makes them.

    Parameters
    ----------
    lost : set of int
        Which calls of `make` do.
    """

    def __init__(self, lost, **options):
        super().__init__(2, 5, **options)
        self._lost, self._made = lost, -1

    def make(self, index, create):
        self._made += 1
        if self._made in self._lost:
            raise distributed.HolderLost("as the test wants")
        return super().make(index, create)

    def release(self, handle):
        assert handle is not None


@pytest.mark.parametrize(
    ("lost", "lose", "n_losses"),
    [({0, 1, 2}, None, 3), (set(), "build", 1), ({2, 3}, "move", 3)],
)
def test_holders_that_are_lost_while_they_are_made(lost, lose, n_losses):
    X = blocks.source(grouped(), chunk_size=CHUNK)
    one = model().fit(X)
    with pytest.warns(RuntimeWarning) as caught:
        other = model().fit(X, engine=Unstable(lost, lose=lose))
    assert losses(caught) == n_losses
    same(one, other)
