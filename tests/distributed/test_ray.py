"""Fits on actors of Ray, against fits of the same blocks on one machine."""

import os
import signal
import warnings

import numpy as np
import pytest

from unsup_fast import distributed

from .cases import CHUNK, RESULTS, D, N, model, rows, same, source

ray = pytest.importorskip("ray")
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("ray"),
]


@pytest.fixture(scope="module", autouse=True)
def started():
    """Start Ray on this machine."""
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=1 << 28,
        logging_level="ERROR",
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def one():
    """Return the fit on one machine."""
    return model().fit(source())


@pytest.fixture(scope="module")
def engine():
    """Return an engine of two actors."""
    return distributed.ray(n_holders=2, n_parts=5, timeout=200)


def test_fits_of_two_actors_have_the_same_bits(engine, one):
    other = model().fit(source(), engine=engine)
    same(one, other)
    np.testing.assert_array_equal(other.predict(source(), engine=engine), one.labels_)
    assert other.score(source(), engine=engine) == one.score(source())
    assert engine.actors == []


def test_a_killed_actor_changes_no_bit(engine, one):
    killed = []

    def kill(iteration):
        if iteration.iteration == 3 and not killed:
            pid = engine.actors[1].proxy.__ray_call__.remote(lambda answers: os.getpid())
            killed.append(ray.get(pid))
            os.kill(killed[0], signal.SIGKILL)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        other = model().fit(source(), engine=engine, callback=kill)
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
