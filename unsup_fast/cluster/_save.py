"""Model files of k-means."""

from numbers import Integral
from typing import Any

import numpy as np

from unsup_fast.storage.estimators import Layout, Saved, generator_from, generator_state

_CENTERS: dict[str, tuple[str, Any]] = {
    "cluster_centers_": ("KD", None),
    "cluster_sizes_": ("K", np.int64),
    "_origin": ("D", None),
}
_STATE: dict[str, type] = {"n_iter_": int, "inertia_": float, "n_features_in_": int}
_SIZES = {"K": "n_clusters", "D": "n_features_in_", "I": "n_iter_"}
KMEANS = Layout(
    {**_CENTERS, "inertia_history_": ("I", np.float64), "n_changed_history_": ("I", np.int64)},
    _SIZES,
    _STATE,
    frozenset({"cluster_sizes_"}),  # missing after two interrupts
    "cluster_centers_",
)
MINI_BATCH = Layout(
    {**_CENTERS, "_means": ("KD", np.float64), "_counts": ("K", np.float64)},
    _SIZES,
    {
        **_STATE,
        "n_steps_": int,
        "_batch_size": int,
        "_n_since_last_reassign": int,
        "_random_state": dict,
    },
    frozenset({"cluster_sizes_", "inertia_", "n_iter_", "_random_state"}),
    "cluster_centers_",
)


class SavedClusters(Saved):
    """Clusters that a file can hold, and the generator that goes on after them."""

    def _content(self) -> tuple[dict[str, Any], dict[str, Any]]:
        arrays, state = super()._content()
        generator = state.pop("_random_state", None)
        # A generator of the user's is not ours to copy.
        if generator is not None and isinstance(getattr(self, "random_state", None), Integral):
            state["_random_state"] = generator_state(generator)
        return arrays, state

    def _take(self, path: Any, arrays: dict[str, Any], state: dict[str, Any]) -> None:
        if "_random_state" in state:
            state["_random_state"] = generator_from(path, state["_random_state"])
        super()._take(path, arrays, state)
        self._n_features_out = len(arrays["cluster_centers_"])
