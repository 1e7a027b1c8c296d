"""Progress of training and sampling: a caller's function, or a bar of tqdm on stderr."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from unsup_fast._extras import require

if TYPE_CHECKING:
    from unsup_fast.models.training.state import State

FORMAT = "{l_bar}{bar}| {n_fmt}/{total_fmt} steps, {remaining_s:.0f} s left{postfix}"

Follow = Callable[["State", dict[str, float], float], bool | None]
"""Called as progress(state, mean losses, examples a second); True ends training."""
Report = Callable[[int, int, float], object]
"""Called as report(done, total, seconds left)."""


def wanted(progress: bool | None) -> bool:
    """Return whether to show a bar; None asks for one where somebody sees it move."""
    if progress is not None:
        return progress
    seen = (
        getattr(sys.stderr, "isatty", bool)() or "ipykernel" in sys.modules
    )  # a terminal, or a notebook
    return seen and find_spec("tqdm") is not None


class Bar:
    """A bar over the steps of a training or of samplers.

    Parameters
    ----------
    total : int
    initial : int
        Steps that are done already.

    Raises
    ------
    ImportError
        If tqdm is missing.
    """

    def __init__(self, total: int, initial: int = 0) -> None:
        tqdm = require("tqdm.auto", "torch", "a bar of progress").tqdm
        self._bar = tqdm(total=total, initial=initial, bar_format=FORMAT, leave=None)

    def __call__(self, done: int, total: int, left: float) -> None:
        """Move the bar."""
        self._bar.update(done - self._bar.n)

    def show(self, values: Mapping[str, float]) -> None:
        """Show values behind the bar when it is drawn next."""
        self._bar.set_postfix({name: f"{value:.4g}" for name, value in values.items()}, False)

    def close(self) -> None:
        """End the line."""
        self._bar.close()


@contextmanager
def following(
    progress: bool | Follow | None, state: "State", steps: int
) -> Iterator[Follow | None]:
    """Yield the function that a training calls with its losses; None if nobody asks for them."""
    if callable(progress):
        yield progress
        return
    if not wanted(progress):
        yield None
        return
    bar = Bar(steps, state.step)

    def show(state: "State", losses: dict[str, float], rate: float) -> None:
        bar.show({**losses, "examples/s": rate})
        bar(state.step, steps, 0.0)

    try:
        yield show
    finally:
        bar.close()
