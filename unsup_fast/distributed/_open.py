"""Give data to the holders of a fleet."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unsup_fast.blocks import DataError
from unsup_fast.distributed._engine import Engine
from unsup_fast.distributed._fleet import Fleet
from unsup_fast.distributed._holder import Holder, Loaded
from unsup_fast.distributed._parts import Part
from unsup_fast.distributed._rows import FleetRows, Layout


def opened(
    engine: Engine,
    create: Callable[[], Holder],
    parts: Sequence[Part],
    *,
    n_columns: int,
    dtype: np.dtype[Any],
    name: str,
) -> FleetRows:
    """Return the rows of parts, which holders then have; close their `fleet` in the end.

    Parameters
    ----------
    engine : Engine
    create : callable
        Makes a holder.
    parts : sequence of Part
    n_columns : int
    dtype : dtype
        float32 or float64: the type that all parts are converted to.
    name : str
        What errors call the data.

    Raises
    ------
    DataError
        If there are no rows, or a part cannot be read.
    """
    fleet = Fleet(engine, create, parts)
    try:
        replies: list[list[Loaded]] = fleet.set_up_each(
            "load", "load", lambda holder: (fleet.parts_of[holder], dtype, name)
        )
        loaded = sorted(one for reply in replies for one in reply if one.n_rows > 0)
        if not loaded:
            raise DataError(f"{name}: has no rows")
        layout = Layout(
            indices=np.array([one.part for one in loaded]),
            firsts=np.cumsum([0, *(one.n_rows for one in loaded)]),
        )
        first_blocks = np.cumsum([0, *(part.n_blocks for part in loaded)])[:-1].tolist()
        numbers = dict(zip(layout.indices.tolist(), first_blocks, strict=True))
        fleet.set_up("number", "number", layout.first_of(), numbers)
    except BaseException:
        fleet.close()
        raise
    return FleetRows(
        X=None, n_threads=1, name=name, fleet=fleet, layout=layout, width=n_columns, kind=dtype
    )
