"""Model files of PCA."""

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from unsup_fast import _arrays, _models


@dataclass(frozen=True)
class Layout:
    """What a file of one class holds, by the names of the attributes."""

    arrays: Mapping[str, tuple[str, Any]]
    """Shape in letters (K axes, D columns), and type; None for that of the axes."""
    state: Mapping[str, type]
    optional: frozenset[str]
    """Names that may be missing."""


_AXES: dict[str, tuple[str, Any]] = {
    "components_": ("KD", None),
    "explained_variance_": ("K", None),
    "explained_variance_ratio_": ("K", None),
    "singular_values_": ("K", None),
    "mean_": ("D", None),
    "_mean": ("D", np.float64),
}
_STATE: dict[str, type] = {"n_components_": int, "n_features_in_": int, "noise_variance_": float}
PCA = Layout(_AXES, {**_STATE, "n_samples_": int, "_fit_svd_solver": str}, frozenset())
INCREMENTAL = Layout(
    {**_AXES, "var_": ("D", None), "_scatter": ("DD", np.float64)},
    {**_STATE, "n_samples_seen_": int, "batch_size_": int},
    frozenset({"batch_size_"}),  # set by fit
)


# What IncrementalPCA computes when it is first asked for.
LATER = frozenset(
    {
        "components_",
        "explained_variance_",
        "explained_variance_ratio_",
        "singular_values_",
        "noise_variance_",
    }
)


def save(estimator: Any, path: str | PathLike[str]) -> None:
    """Write a fitted model; see `_models.write`."""
    layout: Layout = estimator._layout
    arrays = {name: _arrays.on_host(getattr(estimator, name)) for name in layout.arrays}
    state = {name: getattr(estimator, name) for name in layout.state if hasattr(estimator, name)}
    if hasattr(estimator, "feature_names_in_"):
        state["feature_names_in_"] = estimator.feature_names_in_.tolist()
    _models.write(path, estimator, arrays, state)


def load(cls: Any, path: str | PathLike[str]) -> Any:
    """Read a model; see `_models.read`."""
    _, parameters, arrays, state = _models.read(path, [cls.__name__])
    try:
        estimator = cls(**parameters)
        estimator._validate_params()
    except (TypeError, ValueError) as error:
        raise _models.damaged(path, f"its parameters are not valid: {error}") from None
    names = state.pop("feature_names_in_", None)
    _check(path, cls._layout, arrays, state)
    found = {**arrays, **state}
    if "_scatter" in arrays:
        later = {name: found.pop(name) for name in LATER}
        found |= {"_later": later, "_dtype": later["components_"].dtype, "_place": None}
    for name, value in found.items():
        setattr(estimator, name, value)
    if names is not None:
        if len(names) != estimator.n_features_in_:
            raise _models.damaged(
                path, f"it names {len(names)} features, not {estimator.n_features_in_}"
            )
        estimator.feature_names_in_ = np.array(names, dtype=object)
    return estimator


def _check(path: Any, layout: Layout, arrays: dict[str, Any], state: dict[str, Any]) -> None:
    """Raise ValueError unless arrays and state are whole and fit each other."""
    for name in sorted((layout.state.keys() - layout.optional) | state.keys()):
        if name not in layout.state or type(state.get(name)) is not layout.state[name]:
            raise _models.damaged(path, f"its state has {name}={state.get(name)!r}")
    sizes = {"K": state["n_components_"], "D": state["n_features_in_"]}
    axes = arrays.get("components_")
    floating = axes.dtype if axes is not None and axes.dtype.kind == "f" else np.float64
    if set(arrays) != set(layout.arrays):
        raise _models.damaged(
            path, f"it holds the arrays {sorted(arrays)}, not {sorted(layout.arrays)}"
        )
    for name, (letters, of) in layout.arrays.items():
        array = arrays[name]
        shape, dtype = tuple(sizes[letter] for letter in letters), of or floating
        if array.shape != shape or array.dtype != dtype:
            raise _models.damaged(
                path, f"{name} is {array.dtype}{array.shape}, not {np.dtype(dtype)}{shape}"
            )
        if not np.isfinite(array).all():
            raise _models.damaged(path, f"{name} holds values that are not finite")
