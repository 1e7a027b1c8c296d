"""A worker of Dask behind a link that is cut: it counts as lost, and the result is the same.

The worker runs in a network namespace. Only root may make one, so the test runs as root where the
variable UNSUP_FAST_TEST_CUT_LINK is set.
"""

import os
import shutil
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

from unsup_fast import blocks, distributed
from unsup_fast.cluster import KMeans

from .engines import losses

cluster_of = pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.skipif(
        "UNSUP_FAST_TEST_CUT_LINK" not in os.environ or os.getuid() or not shutil.which("ip"),
        reason="needs root, ip and UNSUP_FAST_TEST_CUT_LINK",
    ),
    pytest.mark.filterwarnings("default:::(?!unsup_fast)"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.timeout(900),
]

SPACE, OURS, THEIRS = "unsup-fast", "unsup-fast0", "unsup-fast1"
HERE, THERE = "198.18.0.1", "198.18.0.2"  # of the range for tests of networks
TIMEOUT = 10.0


def ip(*words):
    subprocess.run(["ip", *words], check=True)


@pytest.fixture
def link():
    """Make a namespace with a link to it."""
    ip("netns", "add", SPACE)
    try:
        ip("link", "add", OURS, "type", "veth", "peer", "name", THEIRS, "netns", SPACE)
        ip("address", "add", f"{HERE}/30", "dev", OURS)
        ip("link", "set", OURS, "up")
        ip("-n", SPACE, "address", "add", f"{THERE}/30", "dev", THEIRS)
        ip("-n", SPACE, "link", "set", THEIRS, "up")
        ip("-n", SPACE, "link", "set", "lo", "up")
        yield
    finally:
        ip("netns", "del", SPACE)  # and the link with it


def worker(scheduler, host, *prefix):
    """Start a worker; without a nanny, so that it is one process."""
    words = [scheduler, "--host", host, "--no-nanny", "--nthreads", "1", "--no-dashboard"]
    program = [sys.executable, "-m", "distributed.cli.dask_worker", *words, "--memory-limit", "0"]
    return subprocess.Popen([*prefix, *program], stderr=subprocess.DEVNULL)


@pytest.fixture
def client(link):
    """Return the client of a cluster of a worker here and one in the namespace."""
    with cluster_of.LocalCluster(n_workers=0, host=HERE, dashboard_address=None) as cluster:
        scheduler = cluster.scheduler_address
        processes = [
            worker(scheduler, HERE),
            worker(scheduler, THERE, "ip", "netns", "exec", SPACE),
        ]
        try:
            with cluster_of.Client(cluster) as client:
                client.wait_for_workers(2, timeout=300)
                yield client
        finally:
            for process in processes:
                process.kill()
                process.wait()


def test_a_cut_link_changes_no_bit(client):
    rng = np.random.default_rng(5)
    X = (2 * rng.normal(size=(30, 8))[rng.integers(0, 30, 3000)]).astype(np.float32)
    X += rng.normal(size=X.shape).astype(np.float32)
    source = blocks.source(X, chunk_size=250)
    model = KMeans(40, init="k-means||", random_state=0, max_iter=8, tol=0)
    cut = []

    def cut_after(iteration):
        if iteration.iteration == 3:
            ip("-n", SPACE, "link", "set", THEIRS, "down")
            cut.append(time.monotonic())

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        engine = distributed.dask(client, timeout=TIMEOUT)
        model.fit(source, engine=engine, callback=cut_after)
    print(f"ended {time.monotonic() - cut[0]:.1f} s after the cut; timeout {TIMEOUT:g} s")
    assert losses(caught) == 1
    one = KMeans(40, init="k-means||", random_state=0, max_iter=8, tol=0).fit(source)
    for name in ("cluster_centers_", "labels_", "inertia_history_", "n_changed_history_"):
        np.testing.assert_array_equal(
            np.asarray(getattr(model, name)), getattr(one, name), err_msg=name
        )
