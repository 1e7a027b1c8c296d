"""`--engine`: the files are those of a run in one process."""

import os
import signal

import numpy as np
import pytest

from unsup_fast import distributed
from unsup_fast.cli.kmeans import fitting


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(1)
    X = 3 * rng.normal(size=(20, 5))[rng.integers(0, 20, 4000)] + rng.normal(size=(4000, 5))
    np.save(tmp_path / "rows.npy", X.astype(np.float32))
    return tmp_path / "rows.npy"


@pytest.mark.parametrize("options", [["--init", "k-means||"], ["--levels", 4]])
def test_results_are_those_of_one_process(cli, data, tmp_path, options):
    common = [data, "-k", 15, *options, "--no-report"]
    assert cli("kmeans", *common, "-o", tmp_path / "one").status == 0
    ran = cli("kmeans", *common, "-o", tmp_path / "two", "--engine", "local:2")
    assert ran.status == 0
    same(tmp_path, "labels.npy")


def same(tmp_path, rows_file):
    """Assert that the runs "one" and "two" wrote the same model and labels or coordinates."""
    for name in ("model.safetensors", rows_file):
        one, two = ((tmp_path / run / name).read_bytes() for run in ("one", "two"))
        assert one == two, name


@pytest.mark.parametrize(
    ("words", "rows_file"),
    [
        (["pca", "-n", 3, "--standardize"], "coordinates.npy"),
        (["gmm", "-k", "2:3", "--max-iter", 3], "labels.npy"),
    ],
)
def test_pca_and_mixtures(cli, data, tmp_path, words, rows_file):
    command = [words[0], data, *words[1:], "--chunk-size", 300, "--no-report"]
    assert cli(*command, "-o", "one").status == 0
    ran = cli(*command, "-o", "two", "--engine", "local:2")
    assert ran.status == 0, ran.err
    same(tmp_path, rows_file)


def test_a_cluster_of_dask_that_is_interrupted(cli, data, tmp_path, monkeypatch):
    """The client is not the default one; the run goes on without the cluster."""
    cluster_of = pytest.importorskip("distributed")
    common = ["kmeans", data, "-k", 15, "--init", "k-means||", "--tol", 0, "--max-iter", 6]
    common += ["--chunk-size", 300, "--no-report"]
    assert cli(*common, "-o", "one").status == 0
    step = fitting.Fitting.step

    def interrupted(self, state):
        if state.iteration == 3:
            os.kill(os.getpid(), signal.SIGINT)
        step(self, state)

    def actors(dask_scheduler):
        return [key for key in dask_scheduler.tasks if "Answers" in str(key)]

    with cluster_of.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        dashboard_address=None,
        memory_limit=0,
    ) as cluster:
        engine = cluster.scheduler_address.replace("tcp://", "dask://")
        with monkeypatch.context() as patched:
            patched.setattr(fitting.Fitting, "step", interrupted)
            ran = cli(*common, "-o", "two", "--engine", engine)
        assert ran.status == 130, ran.err
        assert "keeping iteration" in ran.out
        with cluster_of.Client(cluster, set_as_default=False) as client:
            assert client.run_on_scheduler(actors) == []
    ran = cli(*common, "-o", "two", "--resume")
    assert ran.status == 0, ran.err
    same(tmp_path, "labels.npy")


def test_workers_that_are_all_lost(cli, data, tmp_path, monkeypatch):
    common = ["kmeans", data, "-k", 15, "--init", "k-means||", "--tol", 0, "--max-iter", 6]
    common += ["--no-report"]
    assert cli(*common, "-o", "one").status == 0
    step = fitting.Fitting.step

    def lost(self, state):
        step(self, state)
        if state.iteration == 3:
            raise distributed.NoWorkerLeft("no worker is left")

    with monkeypatch.context() as patched:
        patched.setattr(fitting.Fitting, "step", lost)
        ran = cli(*common, "-o", "two", "--engine", "local:1")
    assert ran.status == 2
    message = "--engine local:1: no worker is left; finished iterations are saved: pass --resume"
    assert message in " ".join(ran.err.split())
    ran = cli(*common, "-o", "two", "--resume", "--engine", "local:1")
    assert "Going on after iteration 3" in ran.out
    same(tmp_path, "labels.npy")


def test_resuming(cli, data, tmp_path):
    common = [data, "-k", 15, "--init", "k-means||", "--no-report", "--tol", 0]
    assert cli("kmeans", *common, "-o", tmp_path / "one", "--max-iter", 6).status == 0
    two = [*common, "-o", tmp_path / "two", "--engine", "local:2"]
    assert cli("kmeans", *two, "--max-iter", 3).status == 0
    assert cli("kmeans", *two, "--max-iter", 6, "--resume").status == 0
    same(tmp_path, "labels.npy")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "local:0", "--init", "random"], "--engine local:0: is no engine; write"),
        (["--engine", "spark", "--init", "random"], "--engine spark: is no engine; write local:N"),
        (["--engine", "local:2"], "--init k-means++ passes over all rows"),
        (["-k", 16, "--levels", 16, "--engine", "local:2"], "needs more than 4,096 rows"),
    ],
)
def test_errors(cli, data, tmp_path, arguments, message):
    ran = cli("kmeans", data, "-k", 3, "-o", tmp_path / "out", *arguments)
    assert ran.status == 2
    assert message in " ".join(ran.err.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pca", "-n", 2, "--solver", "full"], "--solver full and --engine local:2 exclude"),
        (["gmm", "-k", 2, "--init", "random"], "--init random draws a number for each row"),
    ],
)
def test_what_other_commands_refuse(cli, data, tmp_path, words, message):
    ran = cli(words[0], data, *words[1:], "-o", "out", "--engine", "local:2")
    assert ran.status == 2
    assert message in " ".join(ran.err.split())
    assert not (tmp_path / "out").exists()
