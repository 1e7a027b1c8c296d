"""Compare clusterings of handwritten digits with numbers that one can defend.

    python examples/compare_methods.py
    python examples/compare_methods.py --seeds 20

A single run shows one draw of the starting rows. So every method runs with several seeds, and the
table shows mean and standard deviation. Purity and the adjusted Rand index compare labels with
the true digits, which no method sees; inertia is measured in one space for all; the likelihood is
that of rows that were held out.
"""

import argparse
import time
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import train_test_split

from unsup_fast import PCA, GaussianMixture, KMeans, MiniBatchKMeans
from unsup_fast.metrics import purity_score, reconstruction_error

K = 10


def inertia(X: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean squared distance of rows to the mean of their cluster, for any labels."""
    squares = [((X[labels == k] - X[labels == k].mean(0)) ** 2).sum() for k in np.unique(labels)]
    return float(np.sum(squares) / len(X))


def main() -> None:
    """Fit all methods with all seeds, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="Runs of each method.")
    seeds = range(parser.parse_args().seeds)
    warnings.simplefilter("ignore", ConvergenceWarning)  # constant pixels: variances are raised

    X, digits = load_digits(return_X_y=True)
    X_train, X_test, y_train, _ = train_test_split(X, digits, test_size=0.3, random_state=0)
    reduced = PCA(20).fit(X_train)
    Z_train, Z_test = reduced.transform(X_train), reduced.transform(X_test)
    lost = reconstruction_error(X_test, reduced) / ((X_test - X_train.mean(0)) ** 2).sum(1).mean()
    print(f"{len(X_train)} rows to fit, {len(X_test)} held out; 20 axes lose {lost:.1%}\n")

    # (name, estimator of a seed, rows that it sees)
    methods = [
        ("KMeans", lambda s: KMeans(K, n_init=1, random_state=s), X_train),
        ("KMeans, n_init=10", lambda s: KMeans(K, n_init=10, random_state=s), X_train),
        ("MiniBatchKMeans", lambda s: MiniBatchKMeans(K, n_init=1, random_state=s), X_train),
        ("KMeans, cosine", lambda s: KMeans(K, metric="cosine", random_state=s), X_train),
        ("KMeans on 20 axes", lambda s: KMeans(K, n_init=1, random_state=s), Z_train),
        ("GaussianMixture, tied", lambda s: mixture("tied", K, s), Z_train),
    ]
    print(f"{'':24}{'purity':>14}{'adjusted Rand':>16}{'inertia':>16}{'ms':>8}")
    for name, build, rows in methods:
        figures = []
        for seed in seeds:
            start = time.perf_counter()
            labels = build(seed).fit_predict(rows)
            ms = 1e3 * (time.perf_counter() - start)
            scores = purity_score(y_train, labels), adjusted_rand_score(y_train, labels)
            figures.append([*scores, inertia(X_train, labels), ms])
        (p, r, i, ms), (dp, dr, di, _) = np.mean(figures, axis=0), np.std(figures, axis=0)
        print(f"{name:24}{p:8.3f} ± {dp:.3f}{r:10.3f} ± {dr:.3f}{i:10.1f} ± {di:3.1f}{ms:8.1f}")

    print("\nlog-likelihood of a held-out row, in nats, on 20 axes:")
    print(f"{'components':>12}{'tied':>16}{'diag':>16}{'full':>16}")
    for k in (1, 5, 10, 20, 40):
        cells = ""
        for kind in ("tied", "diag", "full"):
            values = [mixture(kind, k, s).fit(Z_train).score(Z_test) for s in list(seeds)[:3]]
            cells += f"{np.mean(values):10.2f} ± {np.std(values):3.2f}"
        print(f"{k:>12}{cells}")
    print("\nMore components fit the training rows better; held-out rows say when to stop.")


def mixture(kind: str, k: int, seed: int) -> GaussianMixture:
    """Return a mixture that is started by k-means++."""
    options = {"init_params": "k-means++", "reg_covar": 1e-2, "random_state": seed}
    return GaussianMixture(k, covariance_type=kind, **options)


if __name__ == "__main__":
    main()
