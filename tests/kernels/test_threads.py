import subprocess
import sys

import pytest
import threadpoolctl

from unsup_fast.kernels import threads


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


def test_threadpoolctl_is_honoured():
    with threadpoolctl.threadpool_limits(1):
        assert threads.effective() == 1


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
