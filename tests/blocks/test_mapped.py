"""Mapped files that become shorter while they are read."""

import gc
import mmap
import os
import signal
import warnings

import numpy as np
import pytest

from unsup_fast import blocks
from unsup_fast.blocks import DataError, mapped
from unsup_fast.cluster import KMeans, MiniBatchKMeans
from unsup_fast.decomposition import PCA
from unsup_fast.kernels import _native
from unsup_fast.kernels.moments import moments
from unsup_fast.mixture import GaussianMixture

ROWS = np.random.default_rng(0).normal(size=(20_000, 8))


@pytest.fixture(params=["float32", "float64"])
def path(tmp_path, request):
    np.save(tmp_path / "rows.npy", ROWS.astype(request.param))
    return tmp_path / "rows.npy"


def cut_at(path, size, iteration=2):
    """Return a callback that shortens the file in an iteration; of a number below 0, by so much."""

    def callback(state):
        if state.iteration == iteration:
            os.truncate(path, size if size >= 0 else path.stat().st_size + size)

    return callback


def fit(data, callback):
    model = KMeans(30, init="random", n_init=1, tol=0, max_iter=20, random_state=0)
    model.fit(data, callback=callback)


@pytest.mark.parametrize("size", [0, 4096, 100_000, -1])  # -1: no page is lost
@pytest.mark.parametrize("opened", ["source", "memmap"])
def test_a_fit_says_that_the_file_became_shorter(in_child, path, size, opened):
    def child():
        data = blocks.source(path) if opened == "source" else np.load(path, mmap_mode="r")
        fit(data, cut_at(path, size))

    error = in_child(child)
    assert isinstance(error, OSError)
    assert str(error).startswith(f"{path}: became shorter while it was read")


@pytest.mark.parametrize("model", [MiniBatchKMeans(3), PCA(2), GaussianMixture(2), KMeans(3)])
def test_all_estimators(in_child, path, model):
    def child():
        data = np.load(path, mmap_mode="r")
        mapped.watch(data, str(path))
        os.truncate(path, 4096)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(data)

    assert isinstance(in_child(child), OSError | DataError)


def test_prediction(in_child, path):
    model = KMeans(3, n_init=1, random_state=0).fit(np.load(path))

    def child():
        data = np.load(path, mmap_mode="r")
        model.predict(data)
        os.truncate(path, 4096)
        model.predict(data)

    assert isinstance(in_child(child), OSError | DataError)


@pytest.mark.parametrize("read", ["blocks", "take"])
def test_rows_that_are_converted(in_child, tmp_path, read):
    path = tmp_path / "columns.npy"
    np.save(path, np.asfortranarray(ROWS.astype(np.float16)))

    def child():
        source = blocks.source(path, chunk_size=1000)
        passes = source.blocks()
        next(passes)
        os.truncate(path, 8192)
        if read == "take":
            source.take([0, 19_999])
        for _ in passes:
            pass

    assert isinstance(in_child(child), OSError | DataError)


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
@pytest.mark.parametrize("size", [8192, -1])
@pytest.mark.parametrize("read", ["blocks", "take"])
def test_tables(in_child, tmp_path, kind, size, read):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / f"rows.{kind}"
    table = pa.table({f"c{j}": ROWS[:, j] for j in range(8)})
    if kind == "parquet":
        parquet.write_table(table, path, row_group_size=1000, compression="none")
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=1000)

    def child():
        source = blocks.source(path, chunk_size=1000)
        passes = source.blocks()
        next(passes)
        os.truncate(path, size if size > 0 else path.stat().st_size + size)
        if read == "take":
            source.take([0, 1500])
        for _ in passes:
            pass

    error = in_child(child)
    assert isinstance(error, OSError | DataError)
    assert str(error).startswith(f"{path}: ")


def test_other_data_and_later_files_are_not_affected(path):
    data = np.load(path, mmap_mode="r")
    mapped.watch(data, str(path))
    os.truncate(path, 4096)
    assert data[-1].tolist() == [0] * 8
    with pytest.raises(OSError, match="became shorter"):
        mapped.refuse_shrunk(data[5:, 2:])
    with pytest.raises(OSError, match="became shorter"):
        moments(data)
    moments(ROWS)
    del data
    gc.collect()
    np.save(path, ROWS)
    blocks.source(path).to_array()


def test_bus_errors_elsewhere_end_the_process(in_child, path):
    """Those of maps that are not watched, and signals that are sent."""

    def other():
        mapped.watch(np.load(path, mmap_mode="r"))
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            os.truncate(path, 4096)
            return data[8192]

    def sent():
        mapped.watch(np.load(path, mmap_mode="r"))
        os.kill(os.getpid(), signal.SIGBUS)

    for run in (sent, other):
        with pytest.raises(ChildProcessError, match=f"status -{signal.SIGBUS.value}$"):
            in_child(run)


def test_each_map_is_watched_once(path, monkeypatch):
    calls = []

    def watch(*arguments):
        calls.append(arguments)
        return _native.watch(*arguments)

    class Native:
        unwatch, refuse_shrunk = _native.unwatch, _native.refuse_shrunk

    Native.watch = staticmethod(watch)
    monkeypatch.setattr(mapped, "compiled", lambda: Native)
    data = np.load(path, mmap_mode="r")
    for part in (data, data[3:], data.reshape(-1), np.asarray(data)):
        mapped.watch(part)
    assert len(calls) == 1
    assert mapped.mapping(ROWS) is None
