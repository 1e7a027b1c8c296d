"""Comparisons of PCA and mixtures with scikit-learn's, for the demo."""

import warnings
from collections.abc import Iterator, Sequence
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from rich.table import Table
from sklearn.decomposition import PCA as SklearnPCA
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

from unsup_fast._types import Array
from unsup_fast.decomposition import PCA
from unsup_fast.metrics import purity_score
from unsup_fast.mixture import GaussianMixture
from unsup_fast.report.numbers import count, percent, real, seconds

# A fit is timed up to so many times, for so many seconds, but three times at least; one that takes
# more than LONG seconds is timed once.
ROUNDS, LEAST_ROUNDS, BUDGET, LONG = 15, 3, 1.0, 3.0
TIMED = (
    f"Time: the median of {LEAST_ROUNDS} to {ROUNDS} fits in turn, after one that is not counted, "
    f"in which threads start and memory is allocated; one fit where it takes over {LONG:g} s."
)
AXES = 10
ITERATIONS = 20
MIXED = {"rows": 50_000, "columns": 8, "components": 16}


def medians(models: Sequence[Any], X: Array) -> list[float]:
    """Return the median seconds of a fit of each model; they are fitted in turn.

    Parameters
    ----------
    models : sequence of estimators
    X : ndarray of shape (N, D)
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = [_seconds(model, X) for model in models]
        times: list[list[float]] = [[took] if took > LONG else [] for took in first]
        for round_ in range(ROUNDS):
            for model, took, seen in zip(models, first, times, strict=True):
                if took <= LONG and (round_ < LEAST_ROUNDS or sum(seen) < BUDGET):
                    seen.append(_seconds(model, X))
    return [median(seen) for seen in times]


def _seconds(model: Any, X: Array) -> float:
    start = perf_counter()
    model.fit(X)
    return perf_counter() - start


def table(title: str, figures: Sequence[str]) -> Table:
    """Return an empty table of cases and libraries."""
    empty = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in ("data", "library"):
        empty.add_column(name, no_wrap=True)
    for name in ("time", "speed", *figures):
        empty.add_column(name, justify="right", no_wrap=True)
    return empty


def add(to: Table, name: str, X: Array, times: Sequence[float], figures: Sequence[Any]) -> None:
    """Add a case: our row, and scikit-learn's."""
    if to.row_count:
        to.add_row()
    shape = f"{count(len(X))} x {X.shape[1]}"
    for i, (what, library) in enumerate(((name, "unsup_fast"), (shape, "scikit-learn"))):
        speed = f"{times[1] / times[i]:.1f} x"
        style = "" if i else "bold"
        to.add_row(what, library, seconds(times[i]), speed, *figures[i], style=style)


def pca(cases: Sequence[Any], threads: int | None) -> Iterator[Table]:
    """Yield the table of PCA as it grows, once a case."""
    measured = table(f"PCA, {AXES} axes", ("explained",))
    for case in cases:
        models: tuple[Any, ...] = (PCA(AXES, n_threads=threads), SklearnPCA(AXES))
        times = medians(models, case.X)
        shares = [[percent(model.explained_variance_ratio_.sum())] for model in models]
        add(measured, case.name, case.X, times, shares)
        yield measured


def gmm(cases: Sequence[Any], threads: int | None) -> Iterator[Table]:
    """Yield the table of mixtures as it grows, once a case."""
    title = f"Gaussian mixtures, full covariance, {ITERATIONS} iterations from the same start"
    measured = table(title, ("log-likelihood", "purity"))
    digits = cases[0]
    for name, X, classes, k in (
        (f"{digits.name}, {AXES} axes", PCA(AXES).fit_transform(digits.X), digits.classes, 10),
        ("generated", *mixed(), MIXED["components"]),
    ):
        models = mixtures(X, k, threads)
        times = medians(models, X)
        figures = [
            [real(model.score(X)), percent(purity_score(classes, model.predict(X)))]
            for model in models
        ]
        add(measured, name, X, times, figures)
        yield measured


def mixed() -> tuple[Array, Array]:
    """Return rows of normal distributions of several shapes, and the distribution of each."""
    random = np.random.default_rng(2)
    n_rows, n_columns, k = MIXED["rows"], MIXED["columns"], MIXED["components"]
    classes = random.integers(k, size=n_rows)
    shapes = random.normal(size=(k, n_columns, n_columns)).astype(np.float32)
    rows = random.standard_normal((n_rows, n_columns), dtype=np.float32)
    X = np.einsum("ij,ijk->ik", rows, shapes[classes])  # [N, D]
    X += 3 * random.standard_normal((k, n_columns), dtype=np.float32)[classes]
    return X, classes


def mixtures(X: Array, k: int, threads: int | None) -> tuple[Any, Any]:
    """Return a mixture of ours and of scikit-learn's with the same start."""
    chosen = np.random.default_rng(0).choice(len(X), k, replace=False)
    shared: dict[str, Any] = {
        "n_components": k,
        "weights_init": np.full(k, 1 / k),
        "means_init": X[chosen],
        "precisions_init": np.tile(np.diag(1 / X.var(axis=0)), (k, 1, 1)),
        "init_params": "random_from_data",
        "tol": 0,
        "max_iter": ITERATIONS,
        "random_state": 0,
    }
    return GaussianMixture(n_threads=threads, **shared), SklearnGaussianMixture(**shared)
