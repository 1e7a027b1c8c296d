"""Model files of mixtures."""

from os import PathLike
from typing import Any

import numpy as np

from unsup_fast import _models
from unsup_fast.mixture._covariance import MATRICES

ARRAYS = ("weights", "means", "covariances", "factors")
STATE = {
    "n_iter_": int,
    "n_features_in_": int,
    "converged_": bool,
    "lower_bound_": float,
    "lower_bounds_": list,
}


def save(estimator: Any, path: str | PathLike[str]) -> None:
    """Write a fitted mixture in float64; see `_models.write`."""
    exact = estimator._exact()
    state = {name: getattr(estimator, name) for name in STATE}
    state["dtype"] = str(estimator._dtype)
    if hasattr(estimator, "feature_names_in_"):
        state["feature_names_in_"] = estimator.feature_names_in_.tolist()
    _models.write(path, estimator, {name: getattr(exact, name) for name in ARRAYS}, state)


def read(cls: Any, path: str | PathLike[str]) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Read a mixture; return an estimator to be filled, the arrays and the state."""
    _, parameters, arrays, state = _models.read(path, [cls.__name__])
    try:
        estimator = cls(**parameters)
        estimator._validate_params()
    except (TypeError, ValueError) as error:
        raise _models.damaged(path, f"its parameters are not valid: {error}") from None
    names = state.pop("feature_names_in_", None)
    dtype = state.pop("dtype", None)
    if dtype not in ("float32", "float64"):
        raise _models.damaged(path, f"its state has dtype={dtype!r}")
    for name in sorted(STATE.keys() | state.keys()):
        if name not in STATE or type(state.get(name)) is not STATE[name]:
            raise _models.damaged(path, f"its state has {name}={state.get(name)!r}")
    _check(path, estimator, arrays, state)
    if names is not None:
        if len(names) != state["n_features_in_"]:
            raise _models.damaged(
                path, f"it names {len(names)} features, not {state['n_features_in_']}"
            )
        state["feature_names_in_"] = np.array(names, dtype=object)
    return estimator, arrays, state | {"_dtype": np.dtype(dtype)}


def _check(path: Any, estimator: Any, arrays: dict[str, Any], state: dict[str, Any]) -> None:
    """Raise ValueError unless the arrays are whole and fit the state."""
    k, d, kind = estimator.n_components, state["n_features_in_"], estimator.covariance_type
    matrix = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}[kind]
    shapes = {"weights": (k,), "means": (k, d), "covariances": matrix, "factors": matrix}
    if set(arrays) != set(shapes):
        raise _models.damaged(path, f"it holds the arrays {sorted(arrays)}, not {sorted(shapes)}")
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != shape or array.dtype != np.float64:
            raise _models.damaged(path, f"{name} is {array.dtype}{array.shape}, not float64{shape}")
        if not np.isfinite(array).all():
            raise _models.damaged(path, f"{name} holds values that are not finite")
    factors = arrays["factors"]
    diagonal = np.diagonal(factors, axis1=-2, axis2=-1) if kind in MATRICES else factors
    if (diagonal <= 0).any() or (arrays["weights"] < 0).any():
        raise _models.damaged(path, "its weights or factors are not positive")
