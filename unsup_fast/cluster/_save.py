"""Model files of k-means."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from os import PathLike
from typing import Any

import numpy as np

from unsup_fast import _arrays, _models


@dataclass(frozen=True)
class Layout:
    """What a file of one class holds, by the names of the attributes."""

    arrays: Mapping[str, tuple[str, Any]]
    """Shape in letters (K clusters, D columns, I iterations), and type; None for that of X."""
    state: Mapping[str, type]
    optional: frozenset[str]
    """Names that may be missing."""


_CENTERS: dict[str, tuple[str, Any]] = {
    "cluster_centers_": ("KD", None),
    "cluster_sizes_": ("K", np.int64),
    "_origin": ("D", None),
}
_STATE: dict[str, type] = {"n_iter_": int, "inertia_": float, "n_features_in_": int}
KMEANS = Layout(
    {**_CENTERS, "inertia_history_": ("I", np.float64), "n_changed_history_": ("I", np.int64)},
    _STATE,
    frozenset({"cluster_sizes_"}),  # missing after two interrupts
)
MINI_BATCH = Layout(
    {**_CENTERS, "_means": ("KD", np.float64), "_counts": ("K", np.float64)},
    {
        **_STATE,
        "n_steps_": int,
        "_batch_size": int,
        "_n_since_last_reassign": int,
        "_random_state": dict,
    },
    frozenset({"cluster_sizes_", "inertia_", "n_iter_", "_random_state"}),
)


def save(estimator: Any, path: str | PathLike[str]) -> None:
    """Write a fitted k-means model; see `_models.write`."""
    layout: Layout = estimator._layout
    arrays = {
        name: _arrays.on_host(getattr(estimator, name))
        for name in layout.arrays
        if hasattr(estimator, name)
    }
    state = {name: getattr(estimator, name) for name in layout.state if hasattr(estimator, name)}
    generator = state.pop("_random_state", None)
    # A generator of the user's is not ours to copy.
    if generator is not None and isinstance(estimator.random_state, Integral):
        state["_random_state"] = _frozen(generator)
    if hasattr(estimator, "feature_names_in_"):
        state["feature_names_in_"] = estimator.feature_names_in_.tolist()
    _models.write(path, estimator, arrays, state)


def load(path: str | PathLike[str], *classes: Any) -> Any:
    """Read a model of one of these classes; see `_models.read`."""
    names = {cls.__name__: cls for cls in classes}
    class_name, parameters, arrays, state = _models.read(path, names)
    cls = names[class_name]
    try:
        estimator = cls(**parameters)
        estimator._validate_params()
    except (TypeError, ValueError) as error:
        raise _models.damaged(path, f"its parameters are not valid: {error}") from None
    columns = state.pop("feature_names_in_", None)
    _check(path, cls._layout, estimator.n_clusters, arrays, state)
    if "_random_state" in state:
        state["_random_state"] = _thawed(path, state["_random_state"])
    for name, value in {**arrays, **state}.items():
        setattr(estimator, name, value)
    if columns is not None:
        if len(columns) != estimator.n_features_in_:
            raise _models.damaged(
                path, f"it names {len(columns)} features, not {estimator.n_features_in_}"
            )
        estimator.feature_names_in_ = np.array(columns, dtype=object)
    estimator._n_features_out = estimator.n_clusters
    return estimator


def _check(
    path: Any, layout: Layout, n_clusters: int, arrays: dict[str, Any], state: dict[str, Any]
) -> None:
    """Raise ValueError unless arrays and state are whole and fit each other."""
    for name in sorted((layout.state.keys() - layout.optional) | state.keys()):
        if name not in layout.state or type(state.get(name)) is not layout.state[name]:
            raise _models.damaged(path, f"its state has {name}={state.get(name)!r}")
    sizes = {"K": n_clusters, "D": state["n_features_in_"], "I": state.get("n_iter_")}
    centers = arrays.get("cluster_centers_")
    floating = centers.dtype if centers is not None and centers.dtype.kind == "f" else np.float64
    wanted = [name for name in layout.arrays if name in arrays or name not in layout.optional]
    if set(arrays) != set(wanted):
        raise _models.damaged(path, f"it holds the arrays {sorted(arrays)}, not {sorted(wanted)}")
    for name in wanted:
        array, (letters, of) = arrays[name], layout.arrays[name]
        shape, dtype = tuple(sizes[letter] for letter in letters), of or floating
        if array.shape != shape or array.dtype != dtype:
            raise _models.damaged(
                path, f"{name} is {array.dtype}{array.shape}, not {np.dtype(dtype)}{shape}"
            )
        if not np.isfinite(array).all():
            raise _models.damaged(path, f"{name} holds values that are not finite")


def _frozen(generator: np.random.RandomState) -> dict[str, Any]:
    state: Any = generator.get_state(legacy=False)
    return {
        "key": state["state"]["key"].tolist(),
        "pos": state["state"]["pos"],
        "has_gauss": state["has_gauss"],
        "gauss": state["gauss"],
    }


def _thawed(path: Any, state: dict[str, Any]) -> np.random.RandomState:
    generator = np.random.RandomState()
    try:
        key = np.array(state["key"], dtype=np.uint32)
        if key.shape != (624,) or not 0 <= state["pos"] <= 624:  # NumPy does not look
            raise ValueError(f"{key.shape} words, position {state['pos']}")
        generator.set_state(("MT19937", key, state["pos"], state["has_gauss"], state["gauss"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _models.damaged(path, f"its random generator is not valid: {error}") from None
    return generator
