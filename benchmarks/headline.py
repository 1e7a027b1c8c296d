"""Draw the README's chart from the CSV files in docs/benchmarks: headline.py FILE.svg."""

import csv
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"
MACHINE = "epyc-zen5-2-cores"
CASES = (  # table, case, rival, label
    ("kmeans", "MNIST, k=1000", "faiss", "k-means, MNIST, k=1000 (faiss)"),
    ("kmeans", "sentences, k=1000", "faiss", "k-means, 50k sentences, k=1000 (faiss)"),
    ("em", "full, 200k x 16, k=32", "torch", "Gaussian mixture, 200k x 16, k=32 (torch)"),
    ("pca", "1M x 100 -> 10", "scikit-learn", "PCA, 1M x 100 (scikit-learn)"),
    ("denoise", "DDPM step, new, 64x3x256x256", "torch", "DDPM step, 64x3x256x256 (torch)"),
    ("sqrtm", "20,000 samples, d=2048", "eigvals", "FID's matrix root, d=2048 (eigenvalues)"),
)


def median(table: str, case: str, library: str) -> float:
    """Return the median seconds of a library in a table's last row of that case."""
    with (FOLDER / f"{table}-{MACHINE}.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if (r["case"], r["library"]) == (case, library)]
    if not rows:
        raise SystemExit(f"{table}: no row of {library} for the case {case!r}")
    return float(rows[-1]["median_s"])


def main(path: str) -> None:
    """Write the chart to an SVG file."""
    ratios = {
        label: median(table, case, rival) / median(table, case, "unsup_fast")
        for table, case, rival, label in CASES
    }
    figure, axes = plt.subplots(figsize=(8, 2.6))
    bars = axes.barh(list(ratios)[::-1], list(ratios.values())[::-1], color="#3b6fb6")
    axes.bar_label(bars, [f"{ratio:.1f} x" for ratio in list(ratios.values())[::-1]], padding=4)
    axes.axvline(1, color="#888888", linewidth=1)
    axes.set_xlabel("times as fast as the fastest exact rival (in brackets)")
    axes.set_xlim(0, max(ratios.values()) * 1.12)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main(sys.argv[1])
