"""Model files of k-means."""

from os import PathLike
from typing import Any

import numpy as np

from unsup_fast import _arrays, _models

ARRAYS = ("cluster_centers_", "cluster_sizes_", "inertia_history_", "n_changed_history_")
STATE = ("n_iter_", "inertia_", "n_features_in_")


def save(estimator: Any, path: str | PathLike[str]) -> None:
    """Write a fitted k-means model; see `_models.write`."""
    arrays = {
        name: _arrays.to_numpy(getattr(estimator, name), name)
        for name in (*ARRAYS, "_origin")
        if hasattr(estimator, name)  # sizes are missing after two interrupts
    }
    state = {name: getattr(estimator, name) for name in STATE}
    if hasattr(estimator, "feature_names_in_"):
        state["feature_names_in_"] = estimator.feature_names_in_.tolist()
    _models.write(path, estimator, arrays, state)


def load(cls: Any, path: str | PathLike[str]) -> Any:
    """Read a k-means model; see `_models.read`."""
    parameters, arrays, state = _models.read(path, cls.__name__)
    try:
        estimator = cls(**parameters)
        estimator._validate_params()
    except (TypeError, ValueError) as error:
        raise _models.damaged(path, f"its parameters are not valid: {error}") from None
    _check(path, estimator.n_clusters, arrays, state)
    for name, value in {**arrays, **state}.items():
        setattr(estimator, name, value)
    if "feature_names_in_" in state:
        estimator.feature_names_in_ = np.array(state["feature_names_in_"], dtype=object)
    estimator._n_features_out = estimator.n_clusters
    return estimator


def _check(path: Any, n_clusters: int, arrays: dict[str, Any], state: dict[str, Any]) -> None:
    """Raise ValueError unless arrays and state fit each other."""
    missing = [name for name in STATE if name not in state]
    if missing:
        raise _models.damaged(path, f"its state lacks {missing}")
    D, n_iter = state["n_features_in_"], state["n_iter_"]
    centers = arrays.get("cluster_centers_")
    floating = np.float64 if centers is None else centers.dtype
    shapes: dict[str, tuple[tuple[int, ...], Any]] = {
        "cluster_centers_": ((n_clusters, D), floating),
        "_origin": ((D,), floating),
        "inertia_history_": ((n_iter,), np.float64),
        "n_changed_history_": ((n_iter,), np.int64),
    }
    if "cluster_sizes_" in arrays:
        shapes["cluster_sizes_"] = ((n_clusters,), np.int64)
    if set(arrays) != set(shapes):
        raise _models.damaged(path, f"it holds the arrays {sorted(arrays)}, not {sorted(shapes)}")
    for name, (shape, dtype) in shapes.items():
        array = arrays[name]
        if array.shape != shape or array.dtype != dtype or array.dtype.kind not in "fi":
            raise _models.damaged(
                path, f"{name} is {array.dtype}{array.shape}, not {np.dtype(dtype)}{shape}"
            )
    names = state.get("feature_names_in_")
    if names is not None and len(names) != D:
        raise _models.damaged(path, f"it names {len(names)} features, not {D}")
