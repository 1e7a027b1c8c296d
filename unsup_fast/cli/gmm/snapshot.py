"""The state of fits of mixtures, and its form in a checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np

from unsup_fast._types import Array
from unsup_fast.cli.checkpoint import check_array, check_number
from unsup_fast.mixture import Mixture, MixtureRun
from unsup_fast.storage import estimators
from unsup_fast.storage.records import shown

PARTS = ("weights", "means", "covariances", "factors")
RUNS = ("best", "of_starts", "now")


@dataclass(frozen=True)
class FitRecord:
    """The result of one fit; `log_likelihood` is the mean over rows."""

    components: int
    bic: float
    aic: float
    log_likelihood: float
    iterations: int
    converged: bool
    seconds: float


@dataclass
class GmmSnapshot:
    """The state of all fits so far.

    Attributes
    ----------
    records : list of FitRecord
        Records of the finished fits, in order.
    best : MixtureRun or None
        The best of the finished fits.
    starts : int
        Number of finished starts of the current fit.
    of_starts : MixtureRun or None
        The best of the finished starts.
    now : MixtureRun or None
        The last finished iteration of the current start.
    generator : dict or None
        The random draws that come next, as `generator_state`; None for those of the seed.
    seconds : float
        Time of the current fit.
    """

    records: list[FitRecord] = field(default_factory=list)
    best: MixtureRun | None = None
    starts: int = 0
    of_starts: MixtureRun | None = None
    now: MixtureRun | None = None
    generator: dict[str, Any] | None = None
    seconds: float = 0.0

    kind: ClassVar[str] = "mixture checkpoint"

    def packed(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return it as arrays and what JSON can hold."""
        arrays: dict[str, Array] = {}
        state: dict[str, Any] = {
            "records": [asdict(record) for record in self.records],
            "starts": self.starts,
            "generator": self.generator,
            "seconds": self.seconds,
        }
        for name in RUNS:
            run: MixtureRun | None = getattr(self, name)
            if run is not None:
                arrays |= {f"{name}.{part}": getattr(run.mixture, part) for part in PARTS}
                arrays[f"{name}.lower_bounds"] = np.array(run.lower_bounds)
                state[name] = run.converged
        return arrays, state


def unpacked(
    arrays: dict[str, Array],
    state: dict[str, Any],
    numbers: Sequence[int],
    options: Mapping[str, Any],
    n_columns: int,
) -> GmmSnapshot:
    """Return what `GmmSnapshot.packed` packed.

    Parameters
    ----------
    arrays, state : dict
    numbers : sequence of int
        Components of each fit, ascending.
    options : mapping
        Parameters of the fits: covariance_type, n_init and max_iter.
    n_columns : int
        D of the rows.

    Raises
    ------
    KeyError, TypeError, ValueError
        If parts are missing, or do not fit each other or the fits.
    """
    records = [FitRecord(**record) for record in state["records"]]
    if [record.components for record in records] != list(numbers[: len(records)]):
        raise ValueError("its finished fits are others")
    for record in records:
        _check_record(record)
    runs: dict[str, MixtureRun] = {}
    names = set()
    for name in RUNS:
        if name in state:
            parts = {part: arrays[f"{name}.{part}"] for part in (*PARTS, "lower_bounds")}
            among = numbers[: len(records)] if name == "best" else numbers[len(records) :][:1]
            runs[name] = _run(name, parts, state[name], among, options, n_columns)
            names |= {f"{name}.{part}" for part in parts}
    if arrays.keys() != names or ("best" in runs) != bool(records):
        raise ValueError(f"it holds the arrays {shown(sorted(arrays))}")
    starts = check_number("starts", state["starts"], int)
    if starts > options["n_init"] or ("of_starts" in runs) != (starts > 0):
        raise ValueError(f"starts={shown(starts)}")
    generator = state["generator"]
    if generator is not None:
        estimators.generator_from("checkpoint", generator)
    return GmmSnapshot(
        records=records,
        starts=starts,
        generator=generator,
        seconds=check_number("seconds", state["seconds"], float),
        **runs,
    )


def _check_record(record: FitRecord) -> None:
    for name in ("bic", "aic", "log_likelihood"):
        value = getattr(record, name)
        if type(value) is not float or not np.isfinite(value):
            raise ValueError(f"{name}={shown(value)}")
    check_number("iterations", record.iterations, int)
    check_number("seconds", record.seconds, float)
    if type(record.components) is not int or type(record.converged) is not bool:
        raise ValueError("a finished fit has values of other types")


def _run(
    name: str,
    parts: dict[str, Array],
    converged: Any,
    among: Sequence[int],
    options: Mapping[str, Any],
    n_columns: int,
) -> MixtureRun:
    """Return a run of one of some numbers of components, checked."""
    k, covariance = len(parts["weights"]), options["covariance_type"]
    if k not in among or type(converged) is not bool:
        raise ValueError(f"{name} has {k} components")
    matrix = {
        "full": (k, n_columns, n_columns),
        "tied": (n_columns, n_columns),
        "diag": (k, n_columns),
        "spherical": (k,),
    }[covariance]
    shapes = {"weights": (k,), "means": (k, n_columns), "covariances": matrix, "factors": matrix}
    for part, shape in shapes.items():
        least = 0 if part == "weights" else -np.inf
        check_array(f"{name}.{part}", parts[part], shape, np.float64, least)
    factors = parts["factors"]
    if covariance in ("full", "tied"):
        factors = np.diagonal(factors, axis1=-2, axis2=-1)
    bounds = parts["lower_bounds"]
    check_array(f"{name}.lower_bounds", bounds, (bounds.size,), np.float64)
    most = options["max_iter"] - (name == "now")  # at least one iteration is left
    if (factors <= 0).any() or not 1 <= bounds.size <= most:
        raise ValueError(f"{name} holds values out of range")
    return MixtureRun(
        mixture=Mixture(**{part: parts[part] for part in PARTS}),
        lower_bound=float(bounds[-1]),
        lower_bounds=bounds.tolist(),
        converged=converged,
    )
