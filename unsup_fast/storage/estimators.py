"""Files of fitted estimators: their arrays, and a note with class, parameters and state.

Reading never unpickles, and a file that was cut short or altered in any bit is refused.
"""

import math
import os
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from inspect import signature
from typing import Any, TypeVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from unsup_fast._rows.arrays import on_host, to_numpy
from unsup_fast._types import Array
from unsup_fast.kernels import threads
from unsup_fast.storage import tensors
from unsup_fast.storage.records import SHOWN, DamagedError, shown

PARAMETER = "parameter."
LONGEST_REASON = 300  # characters
LARGEST_INTEGER = (1 << 63) - 1  # larger ones do not fit the arithmetic that uses them

Kind = TypeVar("Kind", bound="Saved")


@dataclass(frozen=True)
class Layout:
    """What a file of one class holds, by the names of the attributes."""

    arrays: Mapping[str, tuple[str, Any]]
    """Shape in letters, and type; None for that of the array `floating`."""
    sizes: Mapping[str, str]
    """Name of the state or parameter that holds the size of each letter."""
    state: Mapping[str, type]
    optional: frozenset[str] = frozenset()
    """Names that may be missing."""
    floating: str = ""


class Saved:
    """Estimators that a file can hold."""

    _layout: Any
    """A Layout; of a class, or of an estimator with its parameters."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one ``.safetensors`` file, all or nothing.

        Not saved: attributes as long as the rows, such as `labels_`, which equal ``predict(X)``;
        a RandomState or callable parameter, with a UserWarning. Tensors are saved as arrays.

        Parameters
        ----------
        path : path-like
            An existing file is replaced once the new one is safely on disk.

        Raises
        ------
        ValueError
            If `load` would refuse the model: a number is NaN or infinite, or attributes or
            parameters were changed so that they contradict each other.
        OSError
            If the directory is missing or not writable, or the disk is full.
        """
        check_is_fitted(self)
        this: Any = self
        this._validate_params()
        arrays, state = self._content()
        state = {name: _plain(value) for name, value in state.items()}
        if hasattr(self, "feature_names_in_"):
            state["feature_names_in_"] = self.feature_names_in_.tolist()
        why = fault(self, arrays, state)
        if why is not None:
            raise ValueError(f"cannot save the model: {why}")
        write(path, self, arrays, state)

    @classmethod
    def load(cls: type[Kind], path: str | os.PathLike[str]) -> Kind:
        """Read a model that `save` wrote; nothing in the file is executed.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        ValueError
            If the file is damaged, or does not hold a model of this class.
        OSError
            If it cannot be opened.
        """
        _, parameters, arrays, state = read(path, [cls.__name__])
        estimator: Any
        try:
            estimator = cls(**parameters)
            estimator._validate_params()
            threads.effective(estimator.n_threads)
        except (TypeError, ValueError, OverflowError) as error:
            reason = str(error)[:LONGEST_REASON]
            raise DamagedError(path, f"its parameters are not valid: {reason}") from None
        why = fault(estimator, arrays, state)
        if why is not None:
            raise DamagedError(path, why)
        names = state.pop("feature_names_in_", None)
        if names is not None:
            estimator.feature_names_in_ = np.array(names, dtype=object)
        estimator._take(path, arrays, state)
        loaded: Kind = estimator
        return loaded

    def _content(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the arrays and the state that the layout names, as far as they are set."""
        arrays, state = (
            {name: on_host(getattr(self, name)) for name in names if hasattr(self, name)}
            for names in (self._layout.arrays, self._layout.state)
        )
        return {name: np.asarray(value) for name, value in arrays.items()}, state

    def _fault(self, arrays: dict[str, Array], state: dict[str, Any]) -> str | None:
        """Return what is wrong with values of the right types and shapes, or None."""
        return None

    def _take(
        self, path: str | os.PathLike[str], arrays: dict[str, Array], state: dict[str, Any]
    ) -> None:
        """Set what `_content` returned; `fault` did not object to it."""
        for name, value in {**arrays, **state}.items():
            setattr(self, name, value)


def fault(estimator: Any, arrays: dict[str, Array], state: dict[str, Any]) -> str | None:
    """Return why arrays and state do not fit each other and the estimator, or None if they do."""
    layout: Layout = estimator._layout
    for name, value in estimator.get_params(deep=False).items():
        if _is_huge(value):
            return f"its parameter {name} exceeds {LARGEST_INTEGER}"
    state = dict(state)
    names = state.pop("feature_names_in_", None)
    for name in sorted((layout.state.keys() - layout.optional) | state.keys()):
        if name not in layout.state or not _is_of(state.get(name), layout.state[name]):
            return f"its state has {shown(name)[1:-1]}={shown(state.get(name))}"
    if names is not None:
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return f"its feature_names_in_ are {shown(names)}, not a list of names"
        if len(names) != state["n_features_in_"]:
            return f"it names {len(names)} features, not {state['n_features_in_']}"
    why = _fault_of_arrays(estimator, arrays, state)
    return why or estimator._fault(arrays, state)


def _is_of(value: object, kind: type) -> bool:
    """Return whether a value has exactly this type and all its numbers are finite."""
    same: bool = type(value) is kind and not _is_huge(value)
    numbers = value if isinstance(value, list) else [value] if kind is float else []
    return same and all(type(each) is float and math.isfinite(each) for each in numbers)


def _is_huge(value: object) -> bool:
    return isinstance(value, int) and abs(value) > LARGEST_INTEGER


def _fault_of_arrays(estimator: Any, arrays: dict[str, Array], state: dict[str, Any]) -> str | None:
    layout: Layout = estimator._layout
    sizes = {
        letter: state.get(name, getattr(estimator, name, None))
        for letter, name in layout.sizes.items()
    }
    main = arrays.get(layout.floating)
    floating = main.dtype if main is not None and main.dtype.kind == "f" else np.float64
    wanted = [name for name in layout.arrays if name in arrays or name not in layout.optional]
    if set(arrays) != set(wanted):
        return f"it holds the arrays {shown(sorted(arrays))}, not {sorted(wanted)}"
    for name in wanted:
        array, (letters, of) = arrays[name], layout.arrays[name]
        shape, dtype = tuple(sizes[letter] for letter in letters), np.dtype(of or floating)
        if array.shape != shape or array.dtype != dtype:
            return f"{name} is {array.dtype}{array.shape}, not {dtype}{shape}"
        if not np.isfinite(array).all():
            return f"{name} holds values that are not finite"
    return None


def _plain(value: Any) -> Any:
    """Return NumPy's numbers as Python's, also those in a list."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def fault_of_scale(arrays: Mapping[str, Array]) -> str | None:
    """Return what is wrong with the standard deviations that divide columns, or None."""
    if "scale_" in arrays and not (arrays["scale_"] > 0).all():
        return "scale_ holds values that are not positive"
    return None


def generator_state(generator: np.random.RandomState) -> dict[str, Any]:
    """Return the state of a generator as JSON can hold it."""
    state: Any = generator.get_state(legacy=False)
    return {
        "key": state["state"]["key"].tolist(),
        "pos": state["state"]["pos"],
        "has_gauss": state["has_gauss"],
        "gauss": state["gauss"],
    }


def generator_from(path: str | os.PathLike[str], state: Any) -> np.random.RandomState:
    """Return the generator of a `generator_state`, or raise DamagedError."""
    generator = np.random.RandomState()
    try:
        key = np.array(state["key"], dtype=np.uint32)
        if key.shape != (624,) or not 0 <= state["pos"] <= 624:  # NumPy does not look
            raise ValueError(f"{key.shape} words, position {shown(state['pos'])}")
        generator.set_state(("MT19937", key, state["pos"], state["has_gauss"], state["gauss"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DamagedError(path, f"its random generator is not valid: {error}") from None
    return generator


def write(
    path: str | os.PathLike[str], estimator: Any, arrays: Mapping[str, Array], state: dict[str, Any]
) -> None:
    """Write an estimator's parameters, arrays and state to a file, all or nothing.

    Parameters
    ----------
    path : path-like
        Where to; an existing file is replaced only once the new one is safely on disk.
    estimator : estimator
        Its class and parameters are saved. Array parameters become arrays of the file; what
        JSON cannot hold is replaced, with a UserWarning: a generator by None, a function by the
        parameter's default.
    arrays : mapping of str to ndarray
        Fitted arrays.
    state : dict
        Fitted values that JSON can hold.

    Raises
    ------
    OSError
        If the directory is missing or not writable, or the disk is full.
    ValueError
        If a number is NaN or infinite; `read` refuses such a file too.
    """
    parameters, parameter_arrays = _split_parameters(estimator)
    note = {
        "library_version": version("unsup-fast"),
        "class": type(estimator).__name__,
        "parameters": parameters,
        "state": state,
    }
    tensors.write(
        path, {**arrays, **parameter_arrays}, note, kind=tensors.ESTIMATOR, what="the model"
    )


def read(
    path: str | os.PathLike[str], class_names: Collection[str]
) -> tuple[str, dict[str, Any], dict[str, Array], dict[str, Any]]:
    """Read what `write` wrote.

    Returns
    -------
    class_name, parameters, arrays, state
        The estimator's class and parameters, fitted arrays, fitted values.

    Raises
    ------
    ValueError
        If the file does not hold a model of these classes, is damaged, or has a later format.
    OSError
        If it cannot be opened.
    """
    arrays, note = tensors.read(path, kind=tensors.ESTIMATOR)
    if note.get("class") not in class_names:
        wanted = " or ".join(class_names)
        raise DamagedError(path, f"it holds a {_name(note)}, not a {wanted}")
    for part in ("parameters", "state"):
        if not isinstance(note.get(part), dict):
            raise DamagedError(path, f"its metadata lack '{part}'")
    parameters = dict(note["parameters"])
    for name in [name for name in arrays if name.startswith(PARAMETER)]:
        parameters[name.removeprefix(PARAMETER)] = arrays.pop(name)
    return str(note["class"]), parameters, arrays, note["state"]


def class_of(path: str | os.PathLike[str]) -> str:
    """Return the name of the class of the model in a file; errors are those of `read`."""
    return _name(tensors.read_note(path, kind=tensors.ESTIMATOR))


def _name(note: Mapping[str, Any]) -> str:
    name = note.get("class")
    short = isinstance(name, str) and name.isidentifier() and len(name) <= SHOWN
    return str(name) if short else shown(name)


def _split_parameters(estimator: Any) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the parameters JSON can hold, and those that are arrays."""
    plain: dict[str, Any] = {}
    arrays: dict[str, Array] = {}
    for name, value in estimator.get_params(deep=False).items():
        if isinstance(value, np.generic):
            plain[name] = value.item()
        elif value is None or isinstance(value, (bool, int, float, str)):
            plain[name] = value
        elif isinstance(value, (np.random.RandomState, np.random.Generator)):
            plain[name] = None
            _warn_replaced(estimator, name, value, None)
        elif callable(value):
            plain[name] = signature(type(estimator)).parameters[name].default
            _warn_replaced(estimator, name, value, plain[name])
        elif hasattr(value, "__array__") or isinstance(value, (list, tuple)):
            arrays[PARAMETER + name] = np.asarray(to_numpy(value, name))
        else:
            plain[name] = str(value)
    return plain, arrays


def _warn_replaced(estimator: Any, name: str, value: object, saved: object) -> None:
    warnings.warn(
        f"a model file cannot hold {name}={value!r} of {type(estimator).__name__}; it is saved "
        f"as {saved!r}. What was fitted is saved in full.",
        UserWarning,
        stacklevel=5,  # past _split_parameters, write and save
    )
