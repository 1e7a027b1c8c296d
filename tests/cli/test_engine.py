"""`unsup-fast kmeans --engine`: the files are those of a run in one process."""

import numpy as np
import pytest


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
    one, two = (np.load(tmp_path / name / "labels.npy") for name in ("one", "two"))
    np.testing.assert_array_equal(one, two)
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two")]
    assert models[0] == models[1]


def test_resuming(cli, data, tmp_path):
    common = [data, "-k", 15, "--init", "k-means||", "--no-report", "--tol", 0]
    assert cli("kmeans", *common, "-o", tmp_path / "one", "--max-iter", 6).status == 0
    two = [*common, "-o", tmp_path / "two", "--engine", "local:2"]
    assert cli("kmeans", *two, "--max-iter", 3).status == 0
    assert cli("kmeans", *two, "--max-iter", 6, "--resume").status == 0
    one, two = (np.load(tmp_path / name / "labels.npy") for name in ("one", "two"))
    np.testing.assert_array_equal(one, two)


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
