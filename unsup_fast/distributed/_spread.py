"""Spread a user's data over the holders of an engine, and free them in the end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from unsup_fast import blocks
from unsup_fast._rows.sources import source_of
from unsup_fast.blocks import Source
from unsup_fast.distributed._collections import parts_of
from unsup_fast.distributed._engine import Engine
from unsup_fast.distributed._holder import Holder
from unsup_fast.distributed._open import opened
from unsup_fast.distributed._parts import Part, Parts
from unsup_fast.distributed._rows import FleetRows


@contextmanager
def spread(
    parts: Parts, engine: Engine | None, create: Callable[[], Holder]
) -> Iterator[FleetRows]:
    """Yield the rows of parts, which an engine's holders have in the meantime.

    Parameters
    ----------
    parts : Parts
    engine : Engine, optional
        None for that of the parts.
    create : callable
        Makes a holder, in the process that will be it.
    """
    rows = opened(
        engine or parts.engine(),
        create,
        parts.parts,
        n_columns=parts.n_columns,
        dtype=parts.dtype,
        name=parts.name,
    )
    try:
        yield rows
    finally:
        rows.fleet.close()


def parts_for(X: Any, engine: Engine | None) -> Parts | None:
    """Return the parts of data, or None without an engine for what has none of its own.

    Parameters
    ----------
    X : array-like, table, Source or collection of shape (N, D)
        A collection of Dask or Ray has parts and an engine.
    engine : Engine, optional
    """
    parts = parts_of(X)
    if parts is not None or engine is None:
        return parts
    source = as_source(X).uncached()  # the holders have the rows
    return Parts(
        parts=[
            Part(index=index, open=partial(_whole, part), n_rows=part.n_rows)
            for index, part in enumerate(source.parts(engine.n_parts))
        ],
        n_columns=source.n_columns,
        dtype=source.dtype,
        names=source.names,
        name=source.name,
        engine=lambda: engine,
    )


def as_source(X: Any) -> Source:
    """Return data as a source."""
    return source_of(X) or blocks.source(X)


def refuse_device(device: Any) -> None:
    """Raise ValueError if an estimator is to compute on a GPU."""
    if device is not None and str(device) != "cpu":
        raise ValueError(
            f"device={device!r} is not available with an engine, whose processes compute on CPUs; "
            "pass device=None"
        )


def _whole(part: Source) -> Source:
    return part
