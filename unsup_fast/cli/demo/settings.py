"""The options of `unsup-fast demo`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from unsup_fast.cli.options import Threads
from unsup_fast.cli.settings import CommandSettings, Option


@dataclass(frozen=True, kw_only=True)
class DemoSettings(CommandSettings):
    """Compare with scikit-learn on digits and other data, and generate new digits."""

    runner = "unsup_fast.cli.demo.run:run"

    out: Annotated[
        Path, Option("-o --out OUT", "Output", "Directory for the report and the results.")
    ] = Path("unsup-fast-demo")
    overwrite: Annotated[
        bool, Option("--overwrite", "Output", "Replace results that are not an earlier demo's.")
    ] = False
    threads: Threads = None
