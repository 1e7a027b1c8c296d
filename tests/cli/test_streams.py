"""Files that are read a block at a time, and runs over them that are killed."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from unsup_fast.blocks import _source
from unsup_fast.cli import files
from unsup_fast.cluster import KMeans

EVERY_ITERATION = (
    "import sys; from unsup_fast.cli import checkpoint, run; checkpoint.EVERY = 0; "
    "checkpoint.WRITING_SHARE = 0; sys.exit(run(sys.argv[1:]))"
)


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(_source, "KEPT", 0)


def save(kind, X, folder):
    path = folder / f"d.{kind}"
    if kind == "npy":
        np.save(path, X.astype(np.float16))
        return path
    import pyarrow as pa
    import pyarrow.csv as csv
    import pyarrow.feather as feather
    import pyarrow.parquet as pq

    table = pa.table({f"x{j}": column for j, column in enumerate(X.T)})
    if kind == "csv":
        csv.write_csv(table, path)
    elif kind == "parquet":
        pq.write_table(table, path, row_group_size=70)
    else:
        feather.write_feather(table, path, chunksize=70)
    return path


@pytest.mark.parametrize("kind", ["npy", "csv", "parquet", "arrow", "feather"])
def test_labels_are_those_of_the_rows_in_memory(cli, blobs, tmp_path, kind):
    path = save(kind, blobs[0], tmp_path)
    ran = cli("kmeans", path, "-k", 4, "-o", "out", "--chunk-size", 64)
    assert ran.status == 0, ran.err
    X = blobs[0].astype(np.float16) if kind == "npy" else blobs[0]
    X = X.astype(np.float64 if kind == "csv" else np.float32)
    expected = KMeans(4, n_init=1, random_state=0).fit(X)
    np.testing.assert_array_equal(labels(tmp_path / "out"), expected.labels_)
    model = KMeans.load(tmp_path / "out/model.safetensors")
    np.testing.assert_allclose(model.cluster_centers_, expected.cluster_centers_, rtol=1e-6)
    ran = cli("predict", "out", path, "-o", "new.npy", "--distances", "--chunk-size", 77)
    assert ran.status == 0, ran.err
    np.testing.assert_array_equal(np.load(tmp_path / "new.npy"), expected.labels_)
    np.testing.assert_allclose(
        np.load(tmp_path / "new.distances.npy"), expected.transform(X).min(axis=1), rtol=1e-4
    )


def labels(out):
    if (out / "labels.npy").exists():
        return np.load(out / "labels.npy")
    import pyarrow.parquet as pq

    return pq.read_table(out / "labels.parquet")["label"].to_numpy()


def test_a_run_goes_on_with_the_same_blocks_only(cli, blobs, tmp_path):
    path = save("npy", blobs[0], tmp_path)
    words = ["kmeans", path, "-k", 20, "-o", "out", "--tol", 0, "--max-iter", 2]
    assert cli(*words, "--chunk-size", 64).status == 0
    ran = cli(*words[:-1], 9, "--chunk-size", 65, "--resume")
    assert ran.status == 2
    assert "--chunk-size = 64, not 65" in ran.err
    assert cli(*words[:-1], 9, "--chunk-size", 64, "--resume").status == 0
    ran = cli(*words, "--overwrite", "--chunk-size", 0)
    assert ran.status == 2
    assert "--chunk-size" in ran.err


def test_killed_at_any_moment(cli, tmp_path):
    """SIGKILL leaves no time to tidy up; the last finished iteration is on the disk."""
    save("npy", np.random.default_rng(0).random((50_000, 6), dtype=np.float32), tmp_path)
    words = ["kmeans", "d.npy", "-k", "60", "--init", "random", "--tol", "0"]
    words += ["--max-iter", "200", "--threads", "1", "--chunk-size", "9000"]
    base = [sys.executable, "-c", EVERY_ITERATION, *words, "-o"]
    assert cli(*words, "-o", "straight").status == 0
    checkpoint = tmp_path / "out" / files.CHECKPOINT
    for number, moment in enumerate((0.0, 0.029)):
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        more = ["out", "--resume"] if number else ["out"]
        with subprocess.Popen([*base, *more], cwd=tmp_path, stdout=subprocess.PIPE) as process:
            while process.poll() is None:
                if checkpoint.exists() and checkpoint.stat().st_mtime_ns != before:
                    break
                time.sleep(0.001)
            time.sleep(moment)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
    for name in (files.CHECKPOINT, files.LABELS[0]):
        (tmp_path / "out" / f".{name}.0123abcd.tmp").write_bytes(b"torn")
    (tmp_path / "out" / ".tmpAb3xYz").write_bytes(b"torn by safetensors")
    assert cli(*words, "-o", "out", "--resume").status == 0
    one, other = tmp_path / "out", tmp_path / "straight"
    assert {path.name for path in one.iterdir()} == {path.name for path in other.iterdir()}
    np.testing.assert_array_equal(labels(one), labels(other))
    a, b = (KMeans.load(folder / "model.safetensors") for folder in (one, other))
    np.testing.assert_array_equal(a.cluster_centers_, b.cluster_centers_)
    np.testing.assert_array_equal(a.inertia_history_, b.inertia_history_)
    np.testing.assert_array_equal(a.n_changed_history_, b.n_changed_history_)
    assert a.inertia_ == b.inertia_
