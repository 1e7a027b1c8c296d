"""Fits in forked children, next to other threads, and while the interpreter ends."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import warnings

import joblib
import numpy as np
import pytest
import scipy.sparse as sp

from unsup_fast import blocks
from unsup_fast.cluster import KMeans, MiniBatchKMeans
from unsup_fast.decomposition import PCA, IncrementalPCA
from unsup_fast.kernels import threads
from unsup_fast.kernels.assign import assign
from unsup_fast.kernels.covariance import covariance
from unsup_fast.kernels.eigh import eigh
from unsup_fast.kernels.randn import randn
from unsup_fast.kernels.sqrtm import sqrtm
from unsup_fast.mixture import GaussianMixture

X = np.random.default_rng(0).normal(size=(20_000, 6)).astype(np.float32)


def kmeans(n_threads=None):
    return KMeans(5, max_iter=3, tol=0, random_state=0, n_threads=n_threads).fit(X).labels_


def streamed(n_threads=None):
    source = blocks.source(lambda: iter(np.split(X.astype(np.float16), 4)), chunk_size=3000)
    return KMeans(5, max_iter=3, tol=0, random_state=0, n_threads=n_threads).fit(source).labels_


def sparse(n_threads=None):
    model = KMeans(5, max_iter=3, tol=0, random_state=0, n_threads=n_threads)
    return model.fit(sp.csr_matrix(X)).cluster_centers_


def minibatch(n_threads=None):
    return MiniBatchKMeans(5, random_state=0, n_threads=n_threads).fit(X).cluster_centers_


def mixture(n_threads=None):
    model = GaussianMixture(3, max_iter=3, tol=0, random_state=0, n_threads=n_threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # three iterations do not converge
        return model.fit(X).means_


def pca(n_threads=None):
    return PCA(3, n_threads=n_threads).fit_transform(X)


def incremental(n_threads=None):
    return IncrementalPCA(3, n_threads=n_threads).fit(X).components_


def kernels(n_threads=None):
    numbers = randn((100_000,), seed=1, n_threads=n_threads)
    products = covariance(X.astype(np.float64), n_threads=n_threads).scatter
    wide = np.cov(numbers[:40_000].reshape(250, 160), rowvar=False)  # BLAS runs in threads
    root = sqrtm(wide + np.eye(160), n_threads=n_threads)
    return np.concatenate([numbers, products.ravel(), eigh(wide).values, root.ravel()])


FITS = [kmeans, streamed, sparse, minibatch, mixture, pca, incremental, kernels]


@pytest.mark.parametrize("n_threads", [None, 2])
@pytest.mark.parametrize("fit", FITS)
def test_a_forked_child_computes_the_same_bits(in_child, fit, n_threads):
    expected = fit(n_threads)
    assert np.array_equal(in_child(lambda: fit(n_threads)), expected)


def test_a_child_of_a_child(in_child):
    expected = kmeans(2)
    assert np.array_equal(in_child(lambda: in_child(lambda: kmeans(2))), expected)


def test_a_child_forked_while_other_threads_compute(in_child):
    expected, stop = kmeans(2), threading.Event()

    def work():
        while not stop.is_set():
            kmeans(2)
            assert blocks.source(X).moments.first_nonfinite is None

    others = [threading.Thread(target=work) for _ in range(2)]
    for thread in others:
        thread.start()
    try:
        for _ in range(8):
            assert np.array_equal(in_child(lambda: kmeans(2)), expected)
    finally:
        stop.set()
        for thread in others:
            thread.join()


def test_multiprocessing_and_joblib():
    expected = kmeans(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: threads and fork
        with multiprocessing.get_context("fork").Pool(2) as pool:
            results = pool.map(kmeans, [2, 2, None], chunksize=1)
        with joblib.parallel_config("multiprocessing", n_jobs=2):
            results += joblib.Parallel()(joblib.delayed(kmeans)(2) for _ in range(2))
    assert all(np.array_equal(labels, expected) for labels in results)


def test_a_signal_handler_that_forks(in_child):
    """The child, which lacks the threads that the operation needs, gets an exception."""

    def child():
        children = []

        def fork(*_):
            children.append(os.fork())

        signal.signal(signal.SIGALRM, fork)
        signal.setitimer(signal.ITIMER_REAL, 0.15)
        many = np.zeros((300_000, 8), np.float32)
        try:
            for _ in range(1000):
                assign(many, many[:2000], n_threads=2)
                if children:
                    break
        except RuntimeError:
            os._exit(7 if children == [0] else 1)
        if children == [0]:
            os._exit(7)  # forked between two operations
        return os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1])

    assert in_child(child) == 7


def test_many_python_threads_share_the_pool():
    centers = X[:50]
    expected = assign(X, centers, n_threads=1).labels
    results = []

    def work(n_threads):
        results.extend(assign(X, centers, n_threads=n_threads).labels for _ in range(10))

    users = [threading.Thread(target=work, args=(n,)) for n in (1, 2, 3, 4, 7, 64)]
    for thread in users:
        thread.start()
    for thread in users:
        thread.join()
    assert len(results) == 60
    assert all(np.array_equal(labels, expected) for labels in results)


DAEMON = """
import threading, time
import numpy as np
from unsup_fast.kernels.assign import assign
from unsup_fast.kernels.randn import randn
X = np.zeros((400_000, 8), np.float32)
def work():
    while True:
        {work}
threads = [threading.Thread(target=work, daemon=True) for _ in range(3)]
for thread in threads:
    thread.start()
time.sleep(0.4)
"""


@pytest.mark.parametrize("work", ["assign(X, X[:300], n_threads=2)", "randn((100,), seed=1)"])
def test_the_interpreter_ends_while_daemon_threads_compute(work):
    run = subprocess.run(
        [sys.executable, "-c", DAEMON.format(work=work)], capture_output=True, text=True
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_threads_that_the_system_refuses(in_child):
    resource = pytest.importorskip("resource")
    centers = X[:50]
    expected = assign(X, centers, n_threads=1).labels

    def child():
        if os.getuid() == 0:
            os.setuid(65534)  # limits do not apply to root
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        with pytest.raises(RuntimeError):
            threading.Thread(target=print).start()
        return assign(X, centers, n_threads=4).labels

    assert np.array_equal(in_child(child), expected)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("n_threads", [1, 4])
def test_memory_that_cannot_be_had_is_an_error(in_child, n_threads):
    import resource

    from unsup_fast.kernels import _native

    wide, columns = np.zeros((5000, 3000), np.float32), np.ones(3000, np.float32)
    sums, products = np.zeros(3000), np.zeros((3000, 3000))

    def child():
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (20 << 20), resource.RLIM_INFINITY))
        taken = []  # also what the heap has left of earlier tests
        with contextlib.suppress(MemoryError):
            while True:
                taken.append(bytearray(1 << 20))
        del taken[:2]  # for the exception
        _native.covariance(
            X=wide, shift=columns, scale=columns, sums=sums, products=products, n_threads=n_threads
        )

    assert isinstance(in_child(child), MemoryError)


@pytest.mark.parametrize("n_threads", [10**9, 10**30])
def test_a_huge_number_of_threads_is_clipped(n_threads):
    assert threads.effective(n_threads) == max(64, os.cpu_count())
    assert np.array_equal(kmeans(n_threads), kmeans(1))
