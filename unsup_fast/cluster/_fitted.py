"""What a model with centroids does with further rows."""

from os import PathLike, fspath
from typing import Any

from sklearn.utils.validation import check_is_fitted

from unsup_fast._rows.centroids import Centroids
from unsup_fast._rows.directions import COST
from unsup_fast.cluster import _fleet, _input
from unsup_fast.cluster._centers import centroids_of
from unsup_fast.distributed import Engine
from unsup_fast.distributed._collections import is_collection


class FittedClusters:
    """Methods of an estimator that has `cluster_centers_`."""

    device: str | None
    metric: str

    def predict(self, X: Any, *, engine: Engine | None = None) -> Any:
        """Return the index of the nearest centroid of each row; see also `balance`.

        Parameters
        ----------
        X : array-like, sparse matrix, tensor, pyarrow table or Source of shape (N, D)
        engine : Engine, optional
            Processes that label the rows, as in `fit`.

        Returns
        -------
        ndarray or tensor of shape (N,), int32
            Of a dask array, dask dataframe or Ray data set a lazy one, without an engine.
        """
        check_is_fitted(self)
        if engine is None and is_collection(X):
            return _fleet.labels_of(self, X)
        if engine is not None:
            with _fleet.spread(X, engine, self) as spread_rows:
                return _fleet.predicted(self, spread_rows)
        rows, centroids = _input.fitted(self, X, self.device)
        return rows.to_user(centroids.labels(rows))

    def labels_to(self, folder: str | PathLike[str], *, engine: Engine | None = None) -> list[str]:
        """Write `labels_` into files, without gathering those of a fit on an engine.

        Parameters
        ----------
        folder : str or Path
            A folder, which is made if it is missing, or a URL where fsspec is installed.
        engine : Engine, optional
            Processes that label and write, as in `fit`; each must reach the folder.

        Returns
        -------
        list of str
            Names of the files, `.npy` with int32, in the order of the rows: each begins at the row
            that its name says.

        Raises
        ------
        OSError
            If a file cannot be written; each is written whole or not at all.
        """
        check_is_fitted(self)
        return _fleet.write_labels(self, fspath(folder), engine)

    def nearest(self, X: Any, top: int) -> tuple[Any, Any]:
        """Return the nearest centroids of each row and their distances, in one pass.

        Parameters
        ----------
        X : array-like, sparse matrix, CPU tensor, pyarrow table or Source of shape (N, D)
        top : int
            How many centroids m, from 1 to 16 and at most K.

        Returns
        -------
        labels : ndarray or tensor of shape (N, m), int32
            Indices in the order of (distance, index). The first column is ``predict(X)``; for
            sparse rows, which become dense part by part, up to near ties.
        distances : ndarray or tensor of shape (N, m)
            Those of `transform`, but computed in the type of X.

        Raises
        ------
        ValueError
            If `top` is out of range, or X or the estimator's `device` is on a GPU.
        """
        check_is_fitted(self)
        rows, centroids = _input.fitted(self, X, self.device)
        labels, distances = centroids.nearest(rows, top)
        return rows.to_user(labels), rows.to_user(distances)

    def _centroids(self) -> Centroids:
        """Return what rows are labelled by, for `distributed.Assign`."""
        check_is_fitted(self)
        return centroids_of(self)

    def score(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, engine: Engine | None = None
    ) -> float:
        """Return minus the inertia of X: the larger, the better.

        Parameters
        ----------
        X : array-like, sparse matrix, tensor, pyarrow table or Source of shape (N, D)
        y : ignored
        sample_weight : array-like of shape (N,), optional
        engine : Engine, optional
            Processes that measure the rows, as in `fit`.
        """
        check_is_fitted(self)
        if _fleet.is_spread(X, engine):
            with _fleet.spread(X, engine, self) as spread_rows:
                return -COST[self.metric] * _fleet.inertia(self, spread_rows, sample_weight)
        rows, centers = _input.measured(self, X, self.device)
        assigned = rows.weighted(sample_weight).assign(rows.to_device(centers), update=False)
        return -COST[self.metric] * float(assigned.inertia)
