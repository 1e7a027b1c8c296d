"""Model files of mixtures: parameters in float64, whatever the type of the attributes."""

from typing import Any

import numpy as np

from unsup_fast._rows import scaling
from unsup_fast.mixture._attributes import dtype_of, parameters
from unsup_fast.mixture._covariance import MATRICES
from unsup_fast.mixture._data import Mixture
from unsup_fast.storage.estimators import Layout, Saved, fault_of_scale
from unsup_fast.storage.records import shown

STATE: dict[str, type] = {
    "n_iter_": int,
    "n_features_in_": int,
    "converged_": bool,
    "lower_bound_": float,
    "lower_bounds_": list,
    "dtype": str,
}
# Missing if columns were not standardized, or the attributes were set by hand; a bound of minus
# infinity, before any iteration, is left out, since JSON has no such number.
OPTIONAL = frozenset({"scale_", "n_iter_", "converged_", "lower_bound_", "lower_bounds_"})
MATRIX = {"full": "KDD", "tied": "DD", "diag": "KD", "spherical": "K"}


class SavedMixture(Saved):
    """A mixture that a file can hold."""

    covariance_type: str

    @property
    def _layout(self) -> Layout:
        matrix = MATRIX[self.covariance_type], np.float64
        arrays = {"weights": ("K", np.float64), "means": ("KD", np.float64)}
        arrays |= {"covariances": matrix, "factors": matrix}
        arrays["scale_"] = "D", np.float64
        sizes = {"K": "n_components", "D": "n_features_in_"}
        return Layout(arrays, sizes, STATE, OPTIONAL)

    def _content(self) -> tuple[dict[str, Any], dict[str, Any]]:
        this: Any = self
        mixture = parameters(this)
        k, d = mixture.means.shape
        if k != this.n_components:
            raise ValueError(
                f"means_ has {k} rows, but n_components={this.n_components}; call "
                f"set_params(n_components={k}) before save"
            )
        state = {name: getattr(self, name) for name in STATE if hasattr(self, name)}
        if not np.isfinite(state.get("lower_bound_", 0.0)):
            del state["lower_bound_"]
        arrays = {name: getattr(mixture, name) for name in self._layout.arrays if name != "scale_"}
        scale = scaling.scale_of(this)
        if scale is not None:
            arrays["scale_"] = scale.astype(np.float64)
        return arrays, state | {"n_features_in_": d, "dtype": str(dtype_of(this))}

    def _fault(self, arrays: dict[str, Any], state: dict[str, Any]) -> str | None:
        factors = arrays["factors"]
        if state["dtype"] not in ("float32", "float64"):
            return f"its state has dtype={shown(state['dtype'])}"
        if self.covariance_type in MATRICES:
            factors = np.diagonal(factors, axis1=-2, axis2=-1)
        if (factors <= 0).any() or (arrays["weights"] < 0).any():
            return "its weights or factors are not positive"
        return fault_of_scale(arrays)

    def _take(self, path: Any, arrays: dict[str, Any], state: dict[str, Any]) -> None:
        dtype = state.pop("dtype")
        if "n_iter_" in state:
            state.setdefault("lower_bound_", -np.inf)
        if "scale_" in arrays:
            state["scale_"] = arrays.pop("scale_").astype(dtype)
        super()._take(path, {}, state)
        this: Any = self
        this._set(Mixture(**arrays), dtype, None)
