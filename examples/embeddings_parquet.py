"""Cluster embeddings in a Parquet file without reading the file into memory.

    python examples/embeddings_parquet.py                     # 400,000 rows, a file of 200 MB
    python examples/embeddings_parquet.py --rows 20000000     # as large as the disk allows

The script writes the file first: unit vectors around 50 topics, each with a text.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from unsup_fast import KMeans, blocks
from unsup_fast.metrics import purity_score

N_TOPICS, N_COLUMNS, BATCH = 50, 128, 20_000


def write(path: Path, n_rows: int) -> np.ndarray:
    """Write embeddings and texts to a file, a batch at a time; return the topic of each row."""
    random = np.random.default_rng(0)
    topics = random.normal(size=(N_TOPICS, N_COLUMNS))
    labels = random.integers(N_TOPICS, size=n_rows)
    kind = pa.list_(pa.float32(), N_COLUMNS)
    schema = pa.schema({"text": pa.string(), "embedding": kind})
    with pq.ParquetWriter(path, schema) as file:
        for start in range(0, n_rows, BATCH):
            some = labels[start : start + BATCH]
            vectors = topics[some] + 1.5 * random.normal(size=(len(some), N_COLUMNS))
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            flat = pa.array(vectors.astype(np.float32).ravel())
            texts = [f"text {start + i} about topic {topic}" for i, topic in enumerate(some)]
            columns = [pa.array(texts), pa.FixedSizeListArray.from_arrays(flat, N_COLUMNS)]
            file.write_table(pa.table(columns, schema=schema))
    return labels


def peak_memory() -> float:
    """Return the largest memory of this process so far, in MB."""
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main() -> None:
    """Write a file, cluster it, and print what was learned."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=400_000, help="Rows of the file.")
    rows_to_write = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "embeddings.parquet")
        topics = write(path, rows_to_write)
        before = peak_memory()

        # The column of lists becomes 128 columns; texts are left out, and a note says so.
        rows = blocks.source(path)
        print(rows, *rows.notes, sep="\n  ")
        start = time.perf_counter()
        model = KMeans(N_TOPICS, metric="cosine", init="k-means||", n_init=1, random_state=0)
        model.fit(rows)
        seconds = time.perf_counter() - start

        size = path.stat().st_size / 1e6
        print(f"\n{model.n_iter_} passes over {size:.0f} MB in {seconds:.1f} s")
        print(f"memory rose by {peak_memory() - before:.0f} MB at most")
        print(f"purity against the true topics: {purity_score(topics, model.labels_):.3f}")

        # The rows nearest to their centroid, read by number from the file.
        print("\nlargest clusters, each with its most central text:")
        texts = pq.read_table(path, columns=["text"])["text"]
        sample = np.arange(min(len(topics), 20_000))
        distances = model.transform(rows.take(sample))  # 1 - cosine, [S, K]
        for cluster in np.argsort(-model.cluster_sizes_)[:5]:
            central = sample[distances[:, cluster].argmin()]
            print(f"  {model.cluster_sizes_[cluster]:>6} rows, {texts[int(central)].as_py()!r}")


if __name__ == "__main__":
    main()
