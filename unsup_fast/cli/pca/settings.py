"""The options of `unsup-fast pca`."""

import re
from dataclasses import dataclass
from typing import Annotated, ClassVar

from unsup_fast.cli.errors import UserError
from unsup_fast.cli.options import Engine, FitSettings
from unsup_fast.cli.settings import Option, shown
from unsup_fast.cli.values import WHOLE

SOLVERS = ("auto", "covariance_eigh", "full", "arpack", "randomized")
IN_BLOCKS = SOLVERS[:2]


def parse_n_components(option: str, text: str) -> int | float | str:
    """Return a number of axes, a share of the variance between 0 and 1, or "mle"."""
    if text == "mle":
        return text
    if re.fullmatch(WHOLE, text):
        return int(text)
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise UserError(
            f"{option} {shown(text)}: write a number of axes as in 50, a share of the variance as "
            "in 0.95, or mle"
        )
    return share


@dataclass(frozen=True, kw_only=True)
class PcaSettings(FitSettings):
    """Find the principal axes of DATA: coordinates, a model, a summary and an HTML report.

    Results already in OUT are replaced only with --overwrite.
    """

    runner = "unsup_fast.cli.pca.run:run"

    n_components: Annotated[
        int | float | str,
        Option(
            "-n --components N|SHARE|mle",
            "Model",
            "How many axes: a number, a share of the variance to explain (as in 0.95), or mle "
            "for Minka's estimate.",
            parse=parse_n_components,
        ),
    ]
    whiten: Annotated[
        bool, Option("--whiten", "Model", "Divide each coordinate by its standard deviation.")
    ] = False
    solver: Annotated[
        str,
        Option(
            "--solver",
            "Model",
            "auto, covariance_eigh: exact, in one pass over a file of any size; the others "
            "read all rows into memory (not with --engine).",
            choices=SOLVERS,
        ),
    ] = "auto"

    engine: Engine = None

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast pca rows.npy -n 50 -o axes",
        "unsup-fast pca table.csv -n 0.95 --standardize -o axes",
    )
