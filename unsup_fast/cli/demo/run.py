"""`unsup-fast demo`: data without a download, timed against scikit-learn, and new digits."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.cluster import KMeans as SklearnKMeans
from sklearn.datasets import load_digits

from unsup_fast import blocks, report
from unsup_fast._types import Array
from unsup_fast.cli import files, results, terminal
from unsup_fast.cli.demo import comparisons
from unsup_fast.cli.demo.settings import DemoSettings
from unsup_fast.cli.diffusion import demo as diffusion
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.cluster import KMeans
from unsup_fast.report.numbers import percent, real
from unsup_fast.storage import records

MAX_ITER, TOL = 300, 1e-4
BLOBS = {"rows": 200_000, "columns": 64, "clusters": 256}


@dataclass(frozen=True)
class Case:
    """A data set with known classes."""

    name: str
    X: Array
    classes: Array
    n_clusters: int


@dataclass(frozen=True)
class Measured:
    """The result of a library for a case."""

    model: Any
    seconds: float
    purity: float


def purity(labels: Array, classes: Array) -> float:
    """Return the share of rows whose class is the most frequent one of their cluster.

    Parameters
    ----------
    labels, classes : ndarray of shape (N,)
        Non-negative integers.
    """
    table = np.zeros((labels.max() + 1, classes.max() + 1), dtype=np.int64)  # [K, C]
    np.add.at(table, (labels, classes), 1)
    return float(table.max(axis=1).sum() / len(labels))


def run(settings: DemoSettings) -> int:
    """Run the demo and return its exit status.

    Raises
    ------
    UserError
        If `out` cannot be written to, or holds results that are not a demo's.
    BlockingIOError
        If another run writes there.
    ImportError
        If a package that the report needs is missing.
    """
    report.check()
    out = settings.out
    with RunFolder(out).open(overwrite=settings.overwrite or _is_demo(out)):
        diffusion.check(out, overwrite=settings.overwrite)
        return _run(out, settings.threads)


def _run(out: Path, threads: int | None) -> int:
    console = terminal.console(soft_wrap=False)
    table = comparisons.table(
        "k-means, to convergence, from the same rows and the same first centroids",
        ("iterations", "inertia", "purity"),
    )
    digits: Measured | None = None
    cases = (_digits(), _blobs())
    for case in cases:
        with console.status(f"{case.name} ..."):
            ours, theirs = measure(case, threads)
        digits = digits or ours
        comparisons.add(
            table,
            case.name,
            case.X,
            [one.seconds for one in (ours, theirs)],
            [
                [str(one.model.n_iter_), real(one.model.inertia_), percent(one.purity)]
                for one in (ours, theirs)
            ],
        )
    console.print(table)
    for grown in (comparisons.pca(cases, threads), comparisons.gmm(cases, threads)):
        for case in cases:
            with console.status(f"{case.name} ..."):
                table = next(grown)
        console.print()
        console.print(table)
    console.print(
        "Purity: the share of rows whose class is the most frequent one of their cluster.\n"
        f"{comparisons.TIMED}\nLog-likelihood: the mean of a row.",
        style="dim",
    )
    assert digits is not None
    page = write(out, cases[0], digits, threads)
    console.print(terminal.plain(f"The report of the digits: {page}"), soft_wrap=True)
    return diffusion.digits(out, console)


def measure(case: Case, threads: int | None) -> tuple[Measured, Measured]:
    """Fit both libraries from the same rows of a case; ours first."""
    chosen = np.random.default_rng(0).choice(len(case.X), case.n_clusters, replace=False)
    shared: dict[str, Any] = {
        "n_clusters": case.n_clusters,
        "init": np.ascontiguousarray(case.X[chosen]),
        "n_init": 1,
        "max_iter": MAX_ITER,
        "tol": TOL,
    }
    models = (KMeans(n_threads=threads, **shared), SklearnKMeans(**shared))
    times = comparisons.medians(models, case.X)
    ours, theirs = (
        Measured(model, took, purity(model.labels_, case.classes))
        for model, took in zip(models, times, strict=True)
    )
    return ours, theirs


def write(out: Path, case: Case, measured: Measured, threads: int | None) -> Path:
    """Write labels, model, summary and report of the digits; return the report's path."""
    model = measured.model
    # The starting rows are no parameter that a reader could repeat; what they are, is.
    parameters = {
        "n_clusters": case.n_clusters,
        "init": f"{case.n_clusters} rows at random",
        "max_iter": MAX_ITER,
        "tol": TOL,
    }
    total = float(case.X.astype(np.float64).var(axis=0).sum()) * len(case.X)
    summary = {
        "command": "demo",
        "data": {
            "file": "sklearn.datasets.load_digits()",
            "rows": len(case.X),
            "columns": case.X.shape[1],
            "dtype": str(case.X.dtype),
            "notes": [f"Purity against the written digit: {percent(measured.purity)}."],
        },
        "parameters": parameters,
        "result": {
            "inertia": float(model.inertia_),
            "explained": 1 - float(model.inertia_) / total,
            "iterations": int(model.n_iter_),
            "converged": model.n_iter_ < MAX_ITER,
            "stopped": "converged" if model.n_iter_ < MAX_ITER else f"reached {MAX_ITER}",
            "seconds": round(measured.seconds, 6),
            "purity": measured.purity,
            "empty_clusters": int(np.count_nonzero(model.cluster_sizes_ == 0)),
        },
        "machine": results.machine(threads),
        "versions": results.versions(),
    }
    page = report.kmeans(
        report.Content(
            title="Handwritten digits in ten clusters",
            data_name="scikit-learn's digits",
            X=blocks.source(case.X),
            model=model,
            summary=summary,
            labels_name=files.LABELS[0],
            image_shape=(8, 8),
        )
    )
    out.mkdir(parents=True, exist_ok=True)
    results.write_labels(out / files.LABELS[0], model.labels_)
    model.save(out / files.MODEL)
    results.write_summary(out / files.SUMMARY, summary)
    results.write_text(out / files.REPORT, page)
    return out / files.REPORT


def _digits() -> Case:
    bunch = load_digits()
    return Case("digits", bunch.data.astype(np.float32), bunch.target, 10)


def _blobs() -> Case:
    """Return rows of overlapping normal distributions, so that Lloyd has something to do."""
    random = np.random.default_rng(1)
    n_rows, n_columns, n_clusters = BLOBS["rows"], BLOBS["columns"], BLOBS["clusters"]
    centers = random.normal(size=(n_clusters, n_columns)).astype(np.float32)
    classes = random.integers(n_clusters, size=n_rows)
    X = centers[classes]  # [N, D]
    X += 1.2 * random.standard_normal(X.shape, dtype=np.float32)
    return Case("generated", X, classes, n_clusters)


def _is_demo(out: Path) -> bool:
    try:
        summary = records.read(out / files.SUMMARY, kind=results.SUMMARY)
    except (OSError, ValueError):
        return False
    return summary.get("command") == "demo"
