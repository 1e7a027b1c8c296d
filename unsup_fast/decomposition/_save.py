"""Model files of PCA."""

from typing import Any

import numpy as np

from unsup_fast.decomposition._attributes import axes_of, deviations_of
from unsup_fast.storage.estimators import Layout, Saved, fault_of_scale

_AXES: dict[str, tuple[str, Any]] = {
    "components_": ("KD", None),
    "explained_variance_": ("K", None),
    "explained_variance_ratio_": ("K", None),
    "singular_values_": ("K", None),
    "mean_": ("D", None),
    "_mean": ("D", np.float64),
    "_deviations": ("K", np.float64),
}
_STATE: dict[str, type] = {"n_components_": int, "n_features_in_": int, "noise_variance_": float}
_SIZES = {"K": "n_components_", "D": "n_features_in_"}
PCA = Layout(
    {**_AXES, "scale_": ("D", None)},
    _SIZES,
    {**_STATE, "n_samples_": int, "_fit_svd_solver": str},
    frozenset({"scale_"}),  # of standardized columns
    "components_",
)
INCREMENTAL = Layout(
    {**_AXES, "var_": ("D", None), "_scatter": ("DD", np.float64)},
    _SIZES,
    {**_STATE, "n_samples_seen_": int, "batch_size_": int, "_unit": float, "_eps": float},
    frozenset({"batch_size_"}),  # set by fit
    "components_",
)


# Arrays that stay on the host when the rows are tensors.
ON_HOST = frozenset({"_mean", "_deviations", "_variances"})

# What IncrementalPCA computes when it is first asked for.
LATER = frozenset(
    {
        "components_",
        "explained_variance_",
        "explained_variance_ratio_",
        "singular_values_",
        "noise_variance_",
        "_deviations",
        "_variances",
    }
)


class SavedAxes(Saved):
    """Axes that a file can hold."""

    def _content(self) -> tuple[dict[str, Any], dict[str, Any]]:
        arrays, state = super()._content()
        if "n_features_in_" not in state:
            raise ValueError(
                f"this {type(self).__name__} has components_ set by hand, without a fit, and a "
                "file holds models that were fitted; call fit before save"
            )
        this: Any = self
        axes = axes_of(this)
        deviations = deviations_of(this, len(axes))
        return arrays | {"components_": axes, "_deviations": deviations}, state

    def _fault(self, arrays: dict[str, Any], state: dict[str, Any]) -> str | None:
        if (arrays["_deviations"] < 0).any():
            return "_deviations holds values below zero"
        for name in ("_unit", "_eps"):
            if name in state and not state[name] > 0:
                return f"its state has {name}={state[name]!r}"
        return fault_of_scale(arrays)

    def _take(self, path: Any, arrays: dict[str, Any], state: dict[str, Any]) -> None:
        values = {**arrays, **state, "_variances": arrays["explained_variance_"].copy()}
        if "_scatter" in arrays:
            later = {name: values.pop(name) for name in LATER}
            values |= {"_later": later, "_dtype": later["components_"].dtype, "_device": None}
        self.__dict__.update(values)
