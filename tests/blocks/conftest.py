"""The same rows in every kind of data that `source` accepts."""

import numpy as np
import pytest
import scipy.sparse as sp

ARRAYS = {
    "array": lambda X: X,
    "fortran": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "swapped": lambda X: X.astype(">f4"),
    "csr": sp.csr_array,
    "csc": sp.csc_matrix,
    "function": lambda X: lambda: iter([X[:1], X[1:1], X[1:18], X[18:]]),
}
SAVED = ["array", "fortran", "swapped"]
FRAMES = ["Table", "RecordBatch", "lists", "pandas", "pandas lists", "stream", "to_arrow"]
FILES = ["parquet", "lists parquet", "dataset", "feather", "arrow", "arrow stream"]


class Stream:
    """A frame that speaks Arrow as polars' does."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, schema=None):
        return self.table.__arrow_c_stream__(schema)


class ToArrow:
    """A frame that speaks Arrow as older polars' does."""

    def __init__(self, table):
        self.table = table

    def to_arrow(self):
        return self.table


@pytest.fixture
def X():
    """Return 50 x 4 float32 rows."""
    return np.random.default_rng(5).normal(size=(50, 4)).astype(np.float32)


@pytest.fixture(
    params=[
        *ARRAYS,
        *(f"{name}.npy" for name in SAVED),
        "npz",
        *FRAMES,
        *FILES,
    ]
)
def data(request, X, tmp_path):
    """Return the rows of X in a kind of data whose numbers are float32."""
    kind = request.param
    if kind in ARRAYS:
        return ARRAYS[kind](X)
    if kind.endswith(".npy"):
        np.save(tmp_path / kind, ARRAYS[kind.removesuffix(".npy")](X))
        return tmp_path / kind
    if kind == "npz":
        np.savez_compressed(tmp_path / "x.npz", X)
        return tmp_path / "x.npz"
    return tabled(kind, X, tmp_path)


def tabled(kind, X, folder):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.dataset
    import pyarrow.feather
    import pyarrow.parquet as pq

    columns = pa.table({f"x{j}": X[:, j] for j in range(4)} | {"t": ["x"] * 50})
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 4)
    lists = pa.table({"t": ["x"] * 50, "v": fixed})
    chunks = pa.concat_tables([columns.slice(0, 11), columns.slice(11)])
    path = folder / f"x.{kind.removeprefix('lists ').removesuffix(' stream')}"
    if kind == "Table":
        return chunks
    if kind == "RecordBatch":
        return lists.to_batches()[0]
    if kind == "lists":
        return lists.cast(pa.schema([("t", pa.string()), ("v", pa.list_(pa.float32()))]))
    if kind in ("pandas", "pandas lists"):
        pytest.importorskip("pandas")
        return (columns if kind == "pandas" else lists).to_pandas()
    if kind in ("stream", "to_arrow"):
        return (Stream if kind == "stream" else ToArrow)(chunks)
    if kind in ("parquet", "lists parquet"):
        pq.write_table(columns if kind == "parquet" else lists, path, row_group_size=13)
    elif kind == "dataset":
        path.mkdir()
        for i in range(3):
            pq.write_table(columns.slice(19 * i, 19), path / f"{i}.parquet", row_group_size=7)
        return pyarrow.dataset.dataset(path)
    elif kind == "feather":
        pyarrow.feather.write_feather(columns, path, chunksize=17)
    else:
        new = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
        with pa.OSFile(str(path), "wb") as file, new(file, lists.schema) as writer:
            writer.write_table(lists, 17)
    return path
