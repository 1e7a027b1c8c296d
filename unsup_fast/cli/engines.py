"""The engines that --engine names."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from unsup_fast import distributed
from unsup_fast.cli.errors import UserError


@contextmanager
def opened(name: str | None) -> Iterator[distributed.Engine | None]:
    """Yield the engine of a name, for as long as it is used; None without a name.

    Parameters
    ----------
    name : str or None
        As `values.parse_engine` returns it.

    Raises
    ------
    UserError
        If it cannot be reached, or cannot go on.
    """
    if name is None:
        yield None
        return
    kind, _, rest = name.partition(":")
    opening: AbstractContextManager[distributed.Engine]
    try:
        if kind == "local":
            opening = distributed.local(int(rest))
        elif kind == "dask":
            opening = distributed.dask(name)
        else:
            opening = distributed.ray(address=name if rest else None)
    except (OSError, TimeoutError) as error:
        raise UserError(f"--engine {name}: cannot be reached ({error})") from error
    with opening as engine:
        try:
            yield engine
        except distributed.EngineError as error:
            raise UserError(f"--engine {name}: {error}") from error


def resumable(error: distributed.EngineError) -> distributed.EngineError:
    """Return an error of an engine that tells also of the checkpoint."""
    return distributed.EngineError(f"{error}; finished iterations are saved: pass --resume")
