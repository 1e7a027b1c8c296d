"""Model files of k-means."""

from numbers import Integral
from typing import Any

import numpy as np

from unsup_fast._rows.scaling import scale_of
from unsup_fast.cluster._centers import centers_of, check_count, origin_of
from unsup_fast.storage.estimators import (
    Layout,
    Saved,
    fault_of_scale,
    generator_from,
    generator_state,
)

_CENTERS: dict[str, tuple[str, Any]] = {
    "cluster_centers_": ("KD", None),
    "cluster_sizes_": ("K", np.int64),
    "_origin": ("D", None),
    "scale_": ("D", None),
}
_STATE: dict[str, type] = {"n_iter_": int, "inertia_": float, "n_features_in_": int}
_SIZES = {"K": "n_clusters", "D": "n_features_in_", "I": "n_iter_"}
KMEANS = Layout(
    {
        **_CENTERS,
        "parents_": ("K", np.int32),
        "_penalties": ("K", np.float64),
        "inertia_history_": ("I", np.float64),
        "n_changed_history_": ("I", np.int64),
    },
    _SIZES,
    _STATE,
    # No sizes after two interrupts; neither these nor inertia if centroids were set by hand.
    frozenset({"_penalties", "cluster_sizes_", "inertia_", "parents_", "scale_"}),
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
    frozenset({"cluster_sizes_", "scale_", "inertia_", "n_iter_", "_random_state"}),
    "cluster_centers_",
)


class SavedClusters(Saved):
    """Clusters that a file can hold, and the random generator that later steps continue."""

    def _content(self) -> tuple[dict[str, Any], dict[str, Any]]:
        arrays, state = super()._content()
        this: Any = self
        centers = centers_of(this)
        check_count(this, centers, "save")
        if this._layout is KMEANS and "n_iter_" not in state:  # no fit: centroids set by hand
            state["n_iter_"] = 0
            arrays["inertia_history_"] = np.zeros(0)
            arrays["n_changed_history_"] = np.zeros(0, np.int64)
        missing = sorted(this._layout.arrays.keys() - this._layout.optional - arrays.keys())
        if missing not in ([], ["_origin"]) or len(arrays.get("_means", centers)) != len(centers):
            raise ValueError(
                f"this {type(self).__name__} has centroids set by hand, and no counts to go on "
                "with; call fit or partial_fit before save, or save a KMeans with these centroids"
            )
        for name in ("cluster_sizes_", "parents_"):
            if len(arrays.get(name, centers)) != len(centers):  # of another fit
                del arrays[name]
        arrays |= {"cluster_centers_": centers, "_origin": origin_of(this).astype(centers.dtype)}
        if scale_of(this) is not None:
            arrays["scale_"] = np.asarray(scale_of(this), dtype=centers.dtype)
        state["n_features_in_"] = centers.shape[1]
        generator = state.pop("_random_state", None)
        # A generator of the user's is not ours to copy.
        if generator is not None and isinstance(getattr(self, "random_state", None), Integral):
            state["_random_state"] = generator_state(generator)
        return arrays, state

    def _fault(self, arrays: dict[str, Any], state: dict[str, Any]) -> str | None:
        return fault_of_scale(arrays)

    def _take(self, path: Any, arrays: dict[str, Any], state: dict[str, Any]) -> None:
        if "_random_state" in state:
            state["_random_state"] = generator_from(path, state["_random_state"])
        super()._take(path, arrays, state)
        self._n_features_out = len(arrays["cluster_centers_"])
