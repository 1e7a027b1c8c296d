"""Fits on actors of Ray, against fits of the same blocks on one machine."""

import os
import signal
import warnings

import numpy as np
import pytest

from unsup_fast import distributed

from .cases import CHUNK, RESULTS, D, N, model, rows, same, source
from .engines import ALL_PHASES

ray = pytest.importorskip("ray")
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("ray"),
]


@pytest.fixture(scope="module", autouse=True)
def started():
    """Start Ray on this machine, with workers that other tests do not starve."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("RAY_worker_niceness", "0")
        start()
    yield
    ray.shutdown()


def start():
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=1 << 28,
        logging_level="ERROR",
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )


@pytest.fixture(scope="module")
def one():
    """Return the fit on one machine."""
    return model().fit(source())


@pytest.fixture(scope="module")
def engine():
    """Return an engine of two actors."""
    return distributed.ray(n_holders=2, n_parts=5)


def test_fits_of_two_actors_have_the_same_bits(engine, one):
    other = model().fit(source(), engine=engine)
    same(one, other)
    np.testing.assert_array_equal(other.predict(source(), engine=engine), one.labels_)
    assert other.score(source(), engine=engine) == one.score(source())
    assert engine.actors == []


class Deadly:
    """An engine that kills the process of its last actor in the n-th call of a verb."""

    def __init__(self, engine, verb, number):
        self._engine, self._verb, self._left, self.killed = engine, verb, number, None

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def send(self, handle, verb, arguments):
        self._left -= verb == self._verb and handle is self._engine.actors[-1]
        if self._left or self.killed:
            return self._engine.send(handle, verb, arguments)
        pid = ray.get(handle.proxy.__ray_call__.remote(lambda answers: os.getpid()))
        call = self._engine.send(handle, verb, arguments)
        os.kill(pid, signal.SIGKILL)
        self.killed = pid
        return call


PHASES = [("move", 4), ("moments", 1), ("add_candidates", 2), ("measure", 1)]


@pytest.mark.parametrize(("verb", "number"), PHASES if ALL_PHASES else PHASES[:1])
def test_a_killed_actor_changes_no_bit(verb, number, engine, one):
    engine = Deadly(engine, verb, number)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        other = model().fit(source(), engine=engine)
    assert engine.killed
    assert len([w for w in caught if "was lost" in str(w.message)]) == 1
    same(one, other)
    assert engine.actors == []


def test_data_sets(one):
    pa = pytest.importorskip("pyarrow")
    data = pytest.importorskip("ray.data")
    data.DataContext.get_current().enable_progress_bars = False
    X = rows()

    def table(row):
        lists = pa.FixedSizeListArray.from_arrays(X[row : row + CHUNK].ravel(), D)
        return pa.table({"emb": lists, "id": [str(row)] * CHUNK})

    dataset = data.from_arrow([table(row) for row in range(0, N, CHUNK)])
    other = model().fit(dataset)
    same(one, other, [name for name in RESULTS if name != "labels_"])
    labelled = other.labels_.take_all()
    labels = {tuple(row["emb"]): row["label"] for row in labelled}  # blocks come in any order
    assert [labels[tuple(row)] for row in X.tolist()] == one.labels_.tolist()
    tensors = data.from_numpy(np.split(X, N // CHUNK))
    same(one, model().fit(tensors), ["cluster_centers_", "n_iter_"])
