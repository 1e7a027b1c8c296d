"""Options that commands share, and what their values mean."""

import re
from pathlib import Path
from typing import Annotated

import typer

from unsup_fast.cli.errors import UserError
from unsup_fast.cli.values import MOST, MOST_THREADS, WHOLE, shown

DATA_HELP = (
    "A .npy, .npz, .csv, .tsv, .csv.gz, .parquet, .arrow or .feather file, or a directory of "
    ".parquet files. float32 and float64 are kept; float16 "
    "and integers become float32 (float64 if an integer is beyond 2^24); numbers of a CSV are "
    "float64."
)
COLUMNS_HELP = (
    "Columns of a table, comma-separated, quoted as in CSV if a comma is in the name; the values "
    "of one list column are columns, too. Default: all that are numbers."
)

Data = Annotated[Path, typer.Argument(metavar="DATA", help=DATA_HELP)]
Out = Annotated[
    Path,
    typer.Option(
        "-o", "--out", metavar="OUT", help="Directory for the results; created if missing."
    ),
]
Model = Annotated[
    Path,
    typer.Argument(metavar="MODEL", help="A model.safetensors, or the directory of a run."),
]
OutFile = Annotated[
    Path, typer.Option("-o", "--out", metavar="FILE", help="A .npy, .parquet or .csv file.")
]
Columns = Annotated[str | None, typer.Option("--columns", metavar="A,B,C", help=COLUMNS_HELP)]
Key = Annotated[
    str | None,
    typer.Option(
        "--key", metavar="NAME", help="Which array of an .npz; needed if there are several."
    ),
]
ChunkSize = Annotated[
    int | None,
    typer.Option(
        "--chunk-size",
        metavar="ROWS",
        min=1,
        max=MOST,
        help="Rows that are read at a time.  [default: 64 MiB]",
    ),
]
Header = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header",
        help="Whether the first line of a CSV holds names.  [default: by what is in it]",
    ),
]
Separator = Annotated[
    str | None,
    typer.Option(
        "--separator",
        metavar="C",
        help="Character between the values of a CSV, or tab.  [default: detected]",
    ),
]
MISSING = ("error", "drop", "mean")
Missing = Annotated[
    str,
    typer.Option(
        "--missing",
        metavar="|".join(MISSING),
        help="What to do about missing values: stop, leave out their rows (label -1, coordinates "
        "NaN), or put in the mean of the column (not with a fitted model).",
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="FILE|COLUMN",
        help="A weight >= 0 for each row: an .npy file, or a column of the table.",
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, max=2**32 - 1, help="Random seed.")
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        min=1,
        max=MOST_THREADS,
        help="Threads to run.  [default: all]",
    ),
]
Images = Annotated[
    str | None,
    typer.Option(
        "--images",
        metavar="HxW[xC]",
        help="Show rows as pictures of this size in the report. "
        "[default: as in the file, if it holds pictures]",
    ),
]
Title = Annotated[
    str | None, typer.Option("--title", metavar="TEXT", help="Headline of the report.")
]
NoReport = Annotated[bool, typer.Option("--no-report", help="Leave out the HTML report.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and warnings only.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the results that are in OUT.")
]
OverwriteFile = Annotated[
    bool, typer.Option("--overwrite", help="Replace the output file if it exists.")
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Resume the unfinished run in OUT, bit for bit."),
]
Standardize = Annotated[
    bool,
    typer.Option(
        "--standardize",
        help="Divide each column by its standard deviation; the model keeps these, and divides "
        "other rows too.",
    ),
]
MaxIter = Annotated[
    int,
    typer.Option("--max-iter", metavar="N", min=1, max=MOST, help="Maximum number of iterations."),
]


def separator_of(text: str | None) -> str | None:
    """Return the character that is meant by --separator."""
    if text is None:
        return None
    character = "\t" if text in ("tab", "\\t") else text
    if len(character) != 1 or not character.isascii() or character in '"\r\n':
        raise UserError(
            f"--separator {text!r}: write one character other than a quote, as in ';', or tab"
        )
    return character


def image_shape(text: str | None) -> tuple[int, ...] | None:
    """Return (height, width) or (height, width, channels) from HxW or HxWxC."""
    if text is None:
        return None
    if not re.fullmatch(f"{WHOLE}x{WHOLE}(x[134])?", text):
        raise UserError(
            f"--images {shown(text)}: write HxW or HxWxC with 1, 3 or 4 channels, as in 28x28"
        )
    return tuple(map(int, text.split("x")))


def one_of(option: str, value: str, allowed: tuple[str, ...]) -> str:
    """Return the value of an option if it is allowed."""
    if value not in allowed:
        raise UserError(f"{option} {shown(value)}: is not one of {', '.join(allowed)}")
    return value


def n_axes(text: str) -> int | float | str:
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
            f"-n {shown(text)}: write a number of axes as in 50, a share of the variance as in "
            "0.95, or mle"
        )
    return share


def numbers(text: str) -> range:
    """Return the numbers of components: of 32, 2:20 (both ends included) or 2:20:2.

    A range takes no memory: whether the data have so many rows is known later.
    """
    advice = "write a number as in 32, or a range as in 2:20 or 2:20:2, of numbers >= 1"
    if not re.fullmatch(f"{WHOLE}(:{WHOLE}){{0,2}}", text):
        raise UserError(f"-k {shown(text)}: {advice}")
    first, *rest = map(int, text.split(":"))
    last, step = (*rest, *(first, 1)[len(rest) :])
    if last < first:
        raise UserError(f"-k {text}: ends before it begins; {advice}")
    return range(first, last + 1, step)
