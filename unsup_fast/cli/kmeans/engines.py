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
        As `settings.parse_engine` returns it.

    Raises
    ------
    UserError
        If it cannot be reached.
    """
    if name is None:
        yield None
        return
    kind, _, rest = name.partition(":")
    if kind == "local":
        with distributed.local(int(rest)) as processes:
            yield processes
        return
    opening: AbstractContextManager[distributed.Engine]
    try:
        if kind == "dask":
            opening = distributed.dask(name)
        else:
            opening = distributed.ray(address=name if rest else None)
    except (OSError, TimeoutError) as error:
        raise UserError(f"--engine {name}: cannot be reached ({error})") from error
    with opening as engine:
        yield engine
