"""Fits on the workers of a Dask cluster, against fits of the same blocks on one machine."""

import os
import signal
import sys
import time
import warnings

import cloudpickle
import numpy as np
import pytest

from unsup_fast import blocks, distributed
from unsup_fast.cluster._holder import KMeansHolder
from unsup_fast.distributed._collections import lazy_labels, parts_of
from unsup_fast.distributed._dask_workers import Workers
from unsup_fast.distributed._fleet import Fleet
from unsup_fast.distributed._open import opened
from unsup_fast.distributed._parts import Part

from . import cases
from .cases import CHUNK, D, N, model, rows, same, source
from .engines import ALL_PHASES, losses

cluster_of = pytest.importorskip("distributed")
get_mp_context = pytest.importorskip("distributed.utils").get_mp_context
dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
pytestmark = [
    pytest.mark.filterwarnings("default:::(?!unsup_fast)"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def one():
    """Return the fit on one machine."""
    return model().fit(source())


@pytest.fixture(scope="module")
def cluster():
    """Return a cluster of processes, of one worker at first."""
    settings = {
        "distributed.deploy.lost-worker-timeout": "5 minutes",  # for a busy machine
        "distributed.worker.multiprocessing-method": "forkserver",
    }
    with dask.config.set(settings):
        get_mp_context().set_forkserver_preload(["distributed", KMeansHolder.__module__])
        with cluster_of.LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=None, memory_limit=0
        ) as cluster:
            yield cluster


@pytest.fixture(scope="module")
def client(cluster):
    """Return the cluster's client, the current one."""
    with cluster_of.Client(cluster) as client:
        yield client


def actors(client):
    return sum(client.run(lambda dask_worker: len(dask_worker.state.actors)).values())


def no_actors(client, seconds=30):
    deadline = time.monotonic() + seconds
    while actors(client) and time.monotonic() < deadline:
        time.sleep(0.05)
    return actors(client) == 0


class Deadly:
    """An engine that kills the worker of its last holder at the n-th call of a verb."""

    def __init__(self, engine, verb, number, n_parts):
        self.engine, self.verb, self.number, self.n_parts = engine, verb, number, n_parts
        self.killed, self.handle = 0, None

    @property
    def n_holders(self):
        return min(self.n_parts, self.engine.n_holders)

    def make(self, index, create):
        handle = self.engine.make(index, create)
        if index == self.n_holders - 1:
            self.handle = handle
        return handle

    def send(self, handle, verb, arguments):
        if handle is self.handle and verb == self.verb and not self.killed:
            self.number -= 1
            if self.number == 0:
                pids = self.engine.client.run(os.getpid, workers=[handle.worker])
                os.kill(pids[handle.worker], signal.SIGKILL)
                self.killed = 1
        return self.engine.send(handle, verb, arguments)

    def get(self, pending):
        return self.engine.get(pending)

    def release(self, handle):
        self.engine.release(handle)


@pytest.mark.parametrize("n_workers", [1, 2, 4])
def test_fits_on_any_number_of_workers_have_the_same_bits(n_workers, cluster, client, one):
    cluster.scale(n_workers)
    client.wait_for_workers(n_workers, timeout=60)
    engine = distributed.dask(n_parts=5)
    assert engine.n_holders == n_workers
    other = model().fit(source(), engine=engine)
    same(one, other)
    np.testing.assert_array_equal(other.predict(source(), engine=engine), one.labels_)
    assert other.score(source(), engine=engine) == one.score(source())
    assert no_actors(client)


PHASES = [("moments", 1, 3), ("move", 4, 4), ("add_candidates", 2, 4), ("measure", 1, 3)]


@pytest.mark.parametrize(("verb", "number", "n_parts"), PHASES if ALL_PHASES else PHASES[:2])
def test_a_killed_worker_changes_no_bit(verb, number, n_parts, cluster, client, one):
    """Where one worker has no holder (3 parts) it takes the lost one, else a new one does."""
    cluster.scale(4)
    client.wait_for_workers(4, timeout=60)
    engine = Deadly(distributed.dask(client), verb, number, n_parts)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        other = model().fit(source(), engine=engine)
    assert engine.killed
    assert losses(caught) == 1
    same(one, other)
    assert no_actors(client)


def test_errors_of_a_holder_come_as_they_are(client):
    class Here:
        def __reduce__(self):
            return __import__, ("of_this_process_alone",)

    def unreadable():
        raise FileNotFoundError("no such rows")  # an OSError, as a lost worker's

    engine = distributed.dask()
    for error, opener in (
        (ModuleNotFoundError, Here()),
        (FileNotFoundError, unreadable),
    ):
        part = Part(index=0, open=opener)
        with pytest.raises(error):
            opened(engine, KMeansHolder, [part], n_columns=D, dtype=np.dtype(np.float32), name="X")
    assert no_actors(client)


for module in (cases, sys.modules[__name__]):  # workers cannot import the tests
    cloudpickle.register_pickle_by_value(module)


class Slow(KMeansHolder):
    """A holder that is busy for a while."""

    def wait(self, seconds):
        time.sleep(seconds)
        return seconds


def test_a_busy_worker_is_not_a_lost_one(client):
    engine = distributed.dask(timeout=1.0)
    fleet = Fleet(engine, Slow, [Part(index=0, open=source)])
    assert fleet.call("wait", 2.5) == [2.5]
    fleet.close()
    assert no_actors(client)


def test_a_reply_that_comes_as_a_wait_ends_is_no_loss(client):
    class Late:
        waits = 0

        def result(self, timeout):
            self.waits += 1
            if self.waits == 1:
                raise cluster_of.TimeoutError
            return "reply"

        def done(self):
            return True

    assert distributed.dask()._polled(None, Late()) == "reply"


def test_ctrl_c_frees_the_holders(client):
    def interrupt(iteration):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model().fit(source(), engine=distributed.dask(), callback=interrupt)
    assert no_actors(client)


def test_a_silent_worker_counts_as_lost(client):
    """The scheduler lists a worker that it no longer hears of, as behind a cut link."""
    workers = Workers(client=client, timeout=0.3)
    listed = client.scheduler_info()["workers"]
    workers._listed = lambda: listed
    address = next(iter(listed))
    assert workers.is_living(address)
    time.sleep(0.4)
    assert not workers.is_living(address)
    listed = {address: {**listed[address], "last_seen": listed[address]["last_seen"] + 1}}
    assert workers.is_living(address)


def test_arrays(client, one):
    X = da.from_array(rows(), chunks=(CHUNK, D))
    parts = parts_of(X)
    assert (parts.n_columns, parts.dtype, parts.names) == (D, np.float32, None)
    assert [part.n_rows for part in parts.parts] == [CHUNK] * (N // CHUNK)
    fitted = model().fit(X)
    same(one, fitted)
    assert fitted.labels_.chunks == X.chunks[:1]
    assert fitted.score(X) == one.score(source())
    labels = lazy_labels(X, one.predict)
    assert (labels.chunks, labels.dtype) == (X.chunks[:1], np.int32)
    np.testing.assert_array_equal(labels.compute(), one.labels_)
    # unknown sizes of chunks, one of which is empty, and results that workers hold
    X = X.persist()[da.from_array(np.arange(N) >= CHUNK, chunks=CHUNK)]
    parts = parts_of(X)
    assert {part.n_rows for part in parts.parts} == {None}
    same(model().fit(blocks.source(rows()[CHUNK:], chunk_size=CHUNK)), model().fit(X))
    np.testing.assert_array_equal(lazy_labels(X, one.predict).compute(), one.labels_[CHUNK:])


def test_levels_of_balanced_clusters(client):
    options = {"levels": [4], "balance": 3.0, "init": "random"}
    one = model(**options).fit(source())
    other = model(**options).fit(da.from_array(rows(), chunks=(CHUNK, D)))
    same(one, other)
    np.testing.assert_array_equal(other.parents_, one.parents_)
    assert one.largest_ratio_ <= 3


@pytest.mark.parametrize(
    ("dtype", "scale", "expected"),
    [
        (np.float16, 1, np.float32),
        (np.float64, 1, np.float64),
        (np.int8, 10, np.float32),
        (np.int64, 10, np.float32),
        (np.int64, 1 << 24, np.float64),
    ],
)
def test_types_are_those_of_a_source(dtype, scale, expected, client):
    X = (rows()[: 2 * CHUNK] * scale).astype(dtype)
    parts = parts_of(da.from_array(X, chunks=(CHUNK, D)))
    assert parts.dtype == expected == blocks.source(X).dtype
    opened_rows = np.concatenate([part.open().to_array() for part in parts.parts])
    np.testing.assert_array_equal(opened_rows.astype(expected), blocks.source(X).to_array())


def test_dataframes(client, one):
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    frame = pd.DataFrame(rows(), columns=[f"x{i}" for i in range(D)])
    frame.insert(3, "name", "text")
    X = dd.from_pandas(frame, npartitions=4)
    parts = parts_of(X)
    assert parts.names == tuple(name for name in frame if name != "name")
    chunks = [part.open().to_array() for part in parts.parts]
    np.testing.assert_array_equal(np.concatenate(chunks), rows())
    labels = lazy_labels(X, one.predict).compute()
    np.testing.assert_array_equal(labels, one.labels_)
    assert labels.index.equals(frame.index)


def test_refused_collections(client):
    X = da.from_array(rows(), chunks=(CHUNK, 3))
    with pytest.raises(blocks.DataError, match=r"chunks of 3 of its 8 columns.*X.rechunk"):
        parts_of(X)
    with pytest.raises(blocks.DataError, match="a dask array of 1 dimensions"):
        parts_of(X[:, 0])
    bad = rows()
    bad[300, 2] = np.nan
    part = parts_of(da.from_array(bad, chunks=(CHUNK, D))).parts[1]
    with pytest.raises(blocks.DataError, match="partition 1 of X: row 50, column 2 is nan"):
        part.open()
    assert parts_of(rows()) is None
    with pytest.raises(TypeError, match="pass a collection of Dask or Ray"):
        lazy_labels(rows(), len)
    with pytest.raises(ValueError, match="timeout=0"):
        distributed.dask(timeout=0)


def test_all_workers_lost(cluster, client):
    """The last test of this cluster: its workers go."""
    engine = distributed.dask(timeout=3.0)
    fleet = Fleet(engine, Slow, [Part(index=0, open=source)])
    cluster.scale(0)
    with (
        pytest.warns(RuntimeWarning, match="was lost"),
        pytest.raises(distributed.NoWorkerLeft, match=r"no worker .* is left.*within 3 s"),
    ):
        fleet.call("wait", 20)
    fleet.close()


def test_without_a_client(monkeypatch):
    def none():
        raise ValueError("no client")

    monkeypatch.setattr(cluster_of, "get_client", none)
    with pytest.raises(ValueError, match="there is no current client of Dask"):
        distributed.dask()


def test_a_client_that_has_given_up():
    """A client closes itself, and forgets the scheduler, where that is not there for long."""

    class Closed:
        scheduler = None

    workers = Workers(client=Closed(), timeout=1.0)
    with pytest.raises(distributed.NoWorkerLeft, match=r"Dask cannot be reached \(the client is"):
        workers.living()
