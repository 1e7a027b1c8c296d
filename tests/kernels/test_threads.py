import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import threadpoolctl

from unsup_fast.kernels import _native, threads

pytestmark = pytest.mark.any_level


def test_an_explicit_number_is_taken():
    assert threads.effective(7) == 7


def test_omp_num_threads_is_honoured():
    code = "from unsup_fast.kernels import threads; print(threads.effective())"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"OMP_NUM_THREADS": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "1\n"


def test_fewer_threads_than_asked_for_do_all_the_work():
    code = """
import numpy as np
from unsup_fast.kernels.assign import assign
X = np.random.default_rng(0).normal(size=(800, 100)).astype("f4")
print((assign(X, X, n_threads=4).labels == np.arange(800)).all())
"""
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"OMP_THREAD_LIMIT": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "True\n"


@pytest.mark.parametrize("options", [{}, {"user_api": "openmp"}])
def test_threadpoolctl_is_honoured(options):
    before = _native.max_threads()
    with threadpoolctl.threadpool_limits(1, **options):
        assert threads.effective() == 1
        with threadpoolctl.threadpool_limits(5, **options):
            assert _native.max_threads() == 5
        assert _native.max_threads() == 1
    assert _native.max_threads() == before
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        assert _native.max_threads() == before


def test_a_limit_of_threadpoolctl_is_of_its_thread():
    with threadpoolctl.threadpool_limits(1), ThreadPoolExecutor(1) as pool:
        before = pool.submit(_native.max_threads).result()
    assert before == _native.max_threads()


def test_threadpoolctl_lists_the_operations():
    ours = [lib for lib in threadpoolctl.threadpool_info() if lib["internal_api"] == "unsup_fast"]
    assert [lib["num_threads"] for lib in ours] == [_native.max_threads()]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"OMP_NUM_THREADS": "3,2"}, 3),
        ({"OMP_NUM_THREADS": "many"}, None),
        ({"OMP_NUM_THREADS": "0"}, None),
        ({"OMP_NUM_THREADS": "9", "OMP_THREAD_LIMIT": "4"}, 4),
    ],
)
def test_variables_of_openmp(variables, expected):
    code = "from unsup_fast.kernels import _native; print(_native.max_threads())"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "", **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert int(run.stdout) == (expected or cpus)


@pytest.mark.parametrize(("text", "expected"), [("max 100000", None), ("150000 100000", 2)])
def test_container_quota(tmp_path, text, expected):
    (tmp_path / "cpu.max").write_text(text)
    assert threads._cgroup_quota(tmp_path) == expected


def test_older_container_quota(tmp_path):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("50000\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert threads._cgroup_quota(tmp_path) == 1
    assert threads._cgroup_quota(tmp_path / "nothing") is None
