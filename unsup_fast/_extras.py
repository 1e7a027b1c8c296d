"""Optional packages: import them, or name the command that installs them."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType


def check(package: str, extra: str, purpose: str) -> None:
    """Raise the error of `require` if a package is missing, without importing it.

    Parameters
    ----------
    package, extra, purpose : str
        As for `require`.

    Raises
    ------
    ImportError
        If the package is missing, with the install command.
    """
    try:
        missing = find_spec(package) is None
    except ModuleNotFoundError:
        missing = True
    if missing:
        raise _missing(package, extra, purpose)


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional package.

    Parameters
    ----------
    module : str
        Module to import, such as ``"safetensors.numpy"``.
    extra : str
        The extra of ``unsup-fast`` that brings it, such as ``"cli"``.
    purpose : str
        Feature that needs it, for the error message, such as ``"saving a model"``.

    Raises
    ------
    ImportError
        If the package is missing, with the install command; or if its own import fails.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise _missing(package, extra, purpose) from None


def _missing(package: str, extra: str, purpose: str) -> ImportError:
    return ImportError(
        f"{purpose} needs the package {package!r}, which is not installed; "
        f"run: pip install 'unsup-fast[{extra}]'",
        name=package,
    )
