"""Model files of k-means."""

from os import PathLike
from typing import Any

import numpy as np

from unsup_fast import _arrays, _models

ARRAYS = ("cluster_centers_", "cluster_sizes_", "inertia_history_", "n_changed_history_")
STATE = {"n_iter_": int, "inertia_": float, "n_features_in_": int}


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
    names = state.pop("feature_names_in_", None)
    _check(path, estimator.n_clusters, arrays, state)
    for name, value in {**arrays, **state}.items():
        setattr(estimator, name, value)
    if names is not None:
        if len(names) != estimator.n_features_in_:
            raise _models.damaged(
                path, f"it names {len(names)} features, not {estimator.n_features_in_}"
            )
        estimator.feature_names_in_ = np.array(names, dtype=object)
    estimator._n_features_out = estimator.n_clusters
    return estimator


def _check(path: Any, n_clusters: int, arrays: dict[str, Any], state: dict[str, Any]) -> None:
    """Raise ValueError unless arrays and state are whole and fit each other."""
    for name in sorted(STATE.keys() | state.keys()):
        if name not in STATE or type(state.get(name)) is not STATE[name]:
            raise _models.damaged(path, f"its state has {name}={state.get(name)!r}")
    columns, n_iter = state["n_features_in_"], state["n_iter_"]
    centers = arrays.get("cluster_centers_")
    floating = centers.dtype if centers is not None and centers.dtype.kind == "f" else np.float64
    wanted: dict[str, tuple[tuple[int, ...], Any]] = {
        "cluster_centers_": ((n_clusters, columns), floating),
        "_origin": ((columns,), floating),
        "inertia_history_": ((n_iter,), np.float64),
        "n_changed_history_": ((n_iter,), np.int64),
    }
    if "cluster_sizes_" in arrays:
        wanted["cluster_sizes_"] = ((n_clusters,), np.int64)
    if set(arrays) != set(wanted):
        raise _models.damaged(path, f"it holds the arrays {sorted(arrays)}, not {sorted(wanted)}")
    for name, (shape, dtype) in wanted.items():
        array = arrays[name]
        if array.shape != shape or array.dtype != dtype:
            raise _models.damaged(
                path, f"{name} is {array.dtype}{array.shape}, not {np.dtype(dtype)}{shape}"
            )
        if not np.isfinite(array).all():
            raise _models.damaged(path, f"{name} holds values that are not finite")
