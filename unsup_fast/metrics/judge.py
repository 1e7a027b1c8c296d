"""`Judge`: how samples compare with the data that a model was trained on.

The distance is the Frechet distance of principal components, the accuracy that of a support vector
machine on them. Neither is FID nor the accuracy of a good classifier: both serve to compare models
of the same data, such as a student with its teacher.
"""

from typing import ClassVar

import numpy as np
from sklearn.decomposition import PCA
from sklearn.svm import SVC

from unsup_fast._types import Array, ArrayLike, on_host
from unsup_fast.metrics.frechet import feature_frechet_distance

N_COMPONENTS, N_ROWS, HELD_OUT, SHARE = 64, 10_000, 1_000, 0.2

MOST_COLUMNS = 4096  # whose covariance is decomposed as a whole


class Judge:
    """Distance of samples to real data, and the share of them that is read as requested.

    Parameters
    ----------
    X : array-like of shape (N, ...)
        Real data, flattened to rows. At least 10 of them.
    labels : array-like of shape (N,), optional
        Their classes, as whole numbers.
    seed : int
        Seed of the choice of rows: at most 1,000 (and a fifth) are held out, and at most 10,000
        others are learned from.

    Attributes
    ----------
    real_distance : float
        Distance of the held-out rows.
    real_accuracy : float or None
        Share of the held-out rows that is read right; None without labels.

    Raises
    ------
    ValueError
        If X is too small, not finite, or labels are not one for each row and of two classes or
        more.
    """

    LEAST_ROWS: ClassVar[int] = 10

    def __init__(self, X: ArrayLike, labels: ArrayLike | None = None, *, seed: int = 0) -> None:
        rows = _rows("X", X)
        if len(rows) < self.LEAST_ROWS:
            raise ValueError(f"X has {len(rows)} rows; judging needs at least {self.LEAST_ROWS}")
        order = np.random.default_rng(seed).permutation(len(rows))
        n_held = min(HELD_OUT, int(SHARE * len(rows)))
        held, used = order[:n_held], order[n_held : n_held + N_ROWS]
        n_components = min(N_COMPONENTS, rows.shape[1], len(used) - 1)
        solver = "covariance_eigh" if rows.shape[1] <= MOST_COLUMNS else "randomized"
        self._pca = PCA(n_components, svd_solver=solver, random_state=seed)
        features = self._pca.fit_transform(rows[used].astype(np.float64))  # [U, n_components]
        self._features = features
        self._classifier: SVC | None = None
        self.real_distance = self.distance(rows[held])
        self.real_accuracy: float | None = None
        if labels is not None:
            classes = np.asarray(labels)
            if classes.shape != (len(rows),):
                raise ValueError(
                    f"labels have shape {classes.shape}; pass one for each of {len(rows)} rows of X"
                )
            if np.unique(classes[used]).size < 2:
                raise ValueError("labels have one class; pass labels=None to judge the distance")
            self._classifier = SVC().fit(features, classes[used])
            self.real_accuracy = self.accuracy(rows[held], classes[held])

    def distance(self, samples: ArrayLike) -> float:
        """Return the Frechet distance of samples (N, ...) to the real data, at least two."""
        return float(feature_frechet_distance(self._project(samples), self._features))

    def accuracy(self, samples: ArrayLike, labels: ArrayLike) -> float:
        """Return the share of samples (N, ...) that the classifier reads as their labels (N,).

        Raises
        ------
        ValueError
            If the judge was built without labels.
        """
        if self._classifier is None:
            raise ValueError("the judge knows no classes; pass labels when it is built")
        read = self._classifier.predict(self._project(samples))
        return float(np.mean(read == np.asarray(labels)))

    def _project(self, samples: ArrayLike) -> Array:
        rows = _rows("samples", samples)
        if rows.shape[1] != self._pca.n_features_in_:
            raise ValueError(
                f"samples have {rows.shape[1]} values each, and the real data have "
                f"{self._pca.n_features_in_}"
            )
        projected: Array = self._pca.transform(rows)
        return projected


def _rows(name: str, X: ArrayLike) -> Array:
    array = np.asarray(on_host(X), np.float32)
    if array.ndim < 2:
        raise ValueError(f"{name} has shape {array.shape}; pass (N, ...), a row for each sample")
    rows = array.reshape(len(array), -1)
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} holds NaN or infinite numbers; remove these rows")
    return rows
