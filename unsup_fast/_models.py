"""Model files: one `.safetensors` file with arrays, and JSON in its metadata.

The metadata holds one entry, ``unsup_fast``: JSON with the format's name and version, the
library's version, the class, its parameters, its state, and a SHA-256 of all that and the
arrays. Reading never unpickles, and a file that is cut short or altered is refused.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

import unsup_fast
from unsup_fast import _arrays, _replacing
from unsup_fast._extras import require

Array = npt.NDArray[Any]

FORMAT = "unsup_fast model"
FORMAT_VERSION = 1
ENTRY = "unsup_fast"
PARAMETER = "parameter."

Kind = TypeVar("Kind", bound="Saved")


@dataclass(frozen=True)
class Layout:
    """What a file of one class holds, by the names of the attributes."""

    arrays: Mapping[str, tuple[str, Any]]
    """Shape in letters, and type; None for that of the array `floating`."""
    sizes: Mapping[str, str]
    """What the letters stand for: a part of the state, or a parameter."""
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

        Not kept: what is as long as the rows, as `labels_`, which are ``predict(X)``; a RandomState
        or callable parameter, with a UserWarning. Tensors are kept as arrays.

        Parameters
        ----------
        path : path-like
            An existing file is replaced once the new one is safely on disk.

        Raises
        ------
        OSError
            If the directory is missing or not writable, or the disk is full.
        ImportError
            If safetensors is not installed.
        """
        check_is_fitted(self)
        arrays, state = self._content()
        if hasattr(self, "feature_names_in_"):
            state["feature_names_in_"] = self.feature_names_in_.tolist()
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
            If the file is damaged, or no model of this class.
        OSError
            If it cannot be opened.
        ImportError
            If safetensors is not installed.
        """
        _, parameters, arrays, state = read(path, [cls.__name__])
        estimator: Any
        try:
            estimator = cls(**parameters)
            estimator._validate_params()
        except (TypeError, ValueError) as error:
            raise damaged(path, f"its parameters are not valid: {error}") from None
        names = state.pop("feature_names_in_", None)
        check(path, estimator, arrays, state)
        if names is not None:
            columns = state["n_features_in_"]
            if len(names) != columns:
                raise damaged(path, f"it names {len(names)} features, not {columns}")
            estimator.feature_names_in_ = np.array(names, dtype=object)
        estimator._take(path, arrays, state)
        found: Kind = estimator
        return found

    def _content(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the arrays and the state that the layout names, as far as they are there."""
        arrays, state = (
            {name: _arrays.on_host(getattr(self, name)) for name in names if hasattr(self, name)}
            for names in (self._layout.arrays, self._layout.state)
        )
        return arrays, state

    def _take(self, path: Any, arrays: dict[str, Array], state: dict[str, Any]) -> None:
        """Set what `_content` returned and `check` let through."""
        for name, value in {**arrays, **state}.items():
            setattr(self, name, value)


def check(path: Any, estimator: Any, arrays: dict[str, Array], state: dict[str, Any]) -> None:
    """Raise ValueError unless arrays and state are whole and fit each other and the estimator."""
    layout: Layout = estimator._layout
    for name in sorted((layout.state.keys() - layout.optional) | state.keys()):
        if name not in layout.state or type(state.get(name)) is not layout.state[name]:
            raise damaged(path, f"its state has {name}={state.get(name)!r}")
    sizes = {
        letter: state.get(name, getattr(estimator, name, None))
        for letter, name in layout.sizes.items()
    }
    given = arrays.get(layout.floating)
    floating = given.dtype if given is not None and given.dtype.kind == "f" else np.float64
    wanted = [name for name in layout.arrays if name in arrays or name not in layout.optional]
    if set(arrays) != set(wanted):
        raise damaged(path, f"it holds the arrays {sorted(arrays)}, not {sorted(wanted)}")
    for name in wanted:
        array, (letters, of) = arrays[name], layout.arrays[name]
        shape, dtype = tuple(sizes[letter] for letter in letters), np.dtype(of or floating)
        if array.shape != shape or array.dtype != dtype:
            raise damaged(path, f"{name} is {array.dtype}{array.shape}, not {dtype}{shape}")
        if not np.isfinite(array).all():
            raise damaged(path, f"{name} holds values that are not finite")


def frozen(generator: np.random.RandomState) -> dict[str, Any]:
    """Return the state of a generator as JSON can hold it."""
    state: Any = generator.get_state(legacy=False)
    return {
        "key": state["state"]["key"].tolist(),
        "pos": state["state"]["pos"],
        "has_gauss": state["has_gauss"],
        "gauss": state["gauss"],
    }


def thawed(path: str | os.PathLike[str], state: dict[str, Any]) -> np.random.RandomState:
    """Return the generator that `frozen` was given, or raise ValueError."""
    generator = np.random.RandomState()
    try:
        key = np.array(state["key"], dtype=np.uint32)
        if key.shape != (624,) or not 0 <= state["pos"] <= 624:  # NumPy does not look
            raise ValueError(f"{key.shape} words, position {state['pos']}")
        generator.set_state(("MT19937", key, state["pos"], state["has_gauss"], state["gauss"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise damaged(path, f"its random generator is not valid: {error}") from None
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
        Whose class and parameters are kept. Array parameters become arrays of the file; what
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
    ImportError
        If safetensors is not installed.
    """
    numpy_format = require("safetensors.numpy", "cli", "saving a model")
    parameters, parameter_arrays = _split_parameters(estimator)
    tensors = {
        name: np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
        for name, array in {**arrays, **parameter_arrays}.items()
    }
    head = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "library_version": unsup_fast.__version__,
        "class": type(estimator).__name__,
        "parameters": parameters,
        "state": state,
    }
    head["sha256"] = _digest(head, tensors)
    _replacing.replace(path, numpy_format.save(tensors, {ENTRY: json.dumps(head)}), "the model")


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
        If the file is no model of these classes, is damaged, or is of a later format.
    OSError
        If it cannot be opened.
    ImportError
        If safetensors is not installed.
    """
    safetensors = require("safetensors", "cli", "loading a model")
    path = Path(path)
    with path.open("rb"):  # a missing file or directory is the system's error, with its name
        pass
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            entry = (file.metadata() or {}).get(ENTRY)
            # .copy(): the arrays must not depend on the file once it is closed.
            tensors = {name: file.get_tensor(name).copy() for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, ValueError, TypeError, KeyError) as error:
        raise damaged(path, f"it is no complete .safetensors file: {error}") from None
    head = _head(path, entry, class_names)
    if head.pop("sha256", None) != _digest(head, tensors):
        raise damaged(path, "its checksum does not match its content")
    parameters = dict(head["parameters"])
    for name in [name for name in tensors if name.startswith(PARAMETER)]:
        parameters[name.removeprefix(PARAMETER)] = tensors.pop(name)
    return head["class"], parameters, tensors, head["state"]


def class_of(path: str | os.PathLike[str]) -> str:
    """Return the name of the class of the model in a file; errors are those of `read`."""
    safetensors = require("safetensors", "cli", "loading a model")
    path = Path(path)
    with path.open("rb"):
        pass
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            entry = (file.metadata() or {}).get(ENTRY)
    except (safetensors.SafetensorError, ValueError, TypeError) as error:
        raise damaged(path, f"it is no complete .safetensors file: {error}") from None
    return str(_parsed(path, entry).get("class"))


def damaged(path: str | os.PathLike[str], why: str) -> ValueError:
    """Return the error for a file that holds no usable model."""
    return ValueError(f"cannot load '{os.fspath(path)}': {why}")


def _head(path: Path, entry: str | None, class_names: Collection[str]) -> dict[str, Any]:
    head = _parsed(path, entry)
    if head.get("class") not in class_names:
        wanted = " or ".join(class_names)
        raise damaged(path, f"it holds a {head.get('class')}, not a {wanted}")
    for part in ("parameters", "state"):
        if not isinstance(head.get(part), dict):
            raise damaged(path, f"its metadata lack '{part}'")
    return head


def _parsed(path: Path, entry: str | None) -> dict[str, Any]:
    """Return the metadata of a model file of this format."""
    if entry is None:
        raise damaged(path, "it is a .safetensors file, but not one that unsup_fast saved")
    try:
        head = json.loads(entry)
    except ValueError:
        head = None
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise damaged(path, f"its metadata do not name the format '{FORMAT}'")
    version = head.get("format_version")
    if version != FORMAT_VERSION:
        raise damaged(
            path,
            f"it has format version {version}, but this unsup_fast {unsup_fast.__version__} reads "
            f"version {FORMAT_VERSION}; it was saved by unsup_fast {head.get('library_version')}",
        )
    return head


def _digest(head: dict[str, Any], tensors: Mapping[str, Array]) -> str:
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


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
            arrays[PARAMETER + name] = np.asarray(_arrays.to_numpy(value, name))
        else:
            plain[name] = str(value)
    return plain, arrays


def _warn_replaced(estimator: Any, name: str, value: Any, kept: Any) -> None:
    warnings.warn(
        f"a model file cannot hold {name}={value!r} of {type(estimator).__name__}; it is saved "
        f"as {kept!r}. What was fitted is saved in full.",
        UserWarning,
        stacklevel=5,  # past _split_parameters, write and save
    )
