"""Options that several commands have."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from unsup_fast.cli.settings import CommandSettings, Option
from unsup_fast.cli.values import MOST, MOST_THREADS, parse_image_shape, parse_separator

if TYPE_CHECKING:
    from unsup_fast.blocks import Source


Seed = Annotated[
    int,
    Option("--seed", panel="Model", metavar="N", least=0, most=2**32 - 1, help="Random seed."),
]
THREADS = Option(
    "--threads",
    panel="Performance",
    metavar="N",
    least=1,
    most=MOST_THREADS,
    help="Threads to run.  [default: all]",
    role="extent",
)
Threads = Annotated[int | None, THREADS]
Standardize = Annotated[
    bool,
    Option(
        "--standardize",
        panel="Model",
        help="Divide each column by its standard deviation; the model keeps these, and divides "
        "other rows too.",
    ),
]
Weights = Annotated[
    str | None,
    Option(
        "--weights",
        panel="Data",
        metavar="FILE|COLUMN",
        help="A weight >= 0 for each row: an .npy file, or a column of the table.",
    ),
]
Images = Annotated[
    tuple[int, ...] | None,
    Option(
        "--images",
        panel="Output",
        metavar="HxW[xC]",
        parse=parse_image_shape,
        help="Show rows as pictures of this size in the report. "
        "[default: as in the file, if it holds pictures]",
        role="other",
    ),
]
Quiet = Annotated[
    bool,
    Option("--quiet -q", panel="Progress", help="Print errors and warnings only.", role="other"),
]
Resume = Annotated[
    bool,
    Option(
        "--resume",
        panel="Progress",
        help="Resume the unfinished run in OUT, bit for bit.",
        role="other",
    ),
]
OverwriteFile = Annotated[
    bool,
    Option(
        "--overwrite", panel="Output", help="Replace the output file if it exists.", role="other"
    ),
]


@dataclass(frozen=True, kw_only=True)
class DataSettings(CommandSettings):
    """The options of a command that reads rows."""

    data: Annotated[
        Path,
        Option(
            "DATA",
            panel="Data",
            help="A .npy, .npz, .csv, .tsv, .csv.gz, .parquet, .arrow or .feather file, or a "
            "directory of .parquet files. float32 and float64 are kept; float16 and integers "
            "become float32 (float64 if an integer is beyond 2^24); numbers of a CSV are float64.",
            role="other",
        ),
    ]
    columns: Annotated[
        str | None,
        Option(
            "--columns",
            panel="Data",
            metavar="A,B,C",
            help="Columns of a table, comma-separated, quoted as in CSV if a comma is in the name; "
            "the values of one list column are columns, too.  [default: all that are numbers]",
        ),
    ] = None
    key: Annotated[
        str | None,
        Option(
            "--key",
            panel="Data",
            metavar="NAME",
            help="Which array of an .npz; needed if there are several.",
        ),
    ] = None
    chunk_size: Annotated[
        int | None,
        Option(
            "--chunk-size",
            panel="Performance",
            metavar="ROWS",
            least=1,
            most=MOST,
            help="Rows that are read at a time.  [default: 64 MiB]",
        ),
    ] = None
    header: Annotated[
        bool | None,
        Option(
            "--header/--no-header",
            panel="Data",
            help="Whether the first line of a CSV holds names.  [default: by what is in it]",
        ),
    ] = None
    separator: Annotated[
        str | None,
        Option(
            "--separator",
            panel="Data",
            metavar="C",
            parse=parse_separator,
            help="Character between the values of a CSV, or tab.  [default: detected]",
        ),
    ] = None
    missing: Annotated[
        str,
        Option(
            "--missing",
            panel="Data",
            choices=("error", "drop", "mean"),
            help="What to do about missing values: stop, leave out their rows (label -1, "
            "coordinates NaN), or put in the mean of the column (not with a fitted model).",
        ),
    ] = "error"

    def recorded_of(self, source: "Source") -> dict[str, Any]:
        """Return what `summary.json` says of the options, with the columns that were read."""
        columns = list(source.names or ()) if self.columns else None
        return self.recorded() | {"columns": columns}


@dataclass(frozen=True, kw_only=True)
class RunSettings(CommandSettings):
    """The options of a command that fills a folder with results and a report."""

    out: Annotated[
        Path,
        Option(
            "-o --out",
            panel="Output",
            metavar="OUT",
            help="Directory for the results; created if missing.",
            role="other",
        ),
    ]
    title: Annotated[
        str | None,
        Option(
            "--title", panel="Output", metavar="TEXT", help="Headline of the report.", role="other"
        ),
    ] = None
    report: Annotated[
        bool,
        Option(
            "--report/--no-report",
            panel="Output",
            help="Whether to write an HTML report.",
            role="other",
        ),
    ] = True
    overwrite: Annotated[
        bool,
        Option(
            "--overwrite", panel="Output", help="Replace the results that are in OUT.", role="other"
        ),
    ] = False
    quiet: Quiet = False


@dataclass(frozen=True, kw_only=True)
class _ModelArgument(CommandSettings):
    model: Annotated[
        Path,
        Option(
            "MODEL",
            panel="Data",
            help="A model.safetensors, or the directory of a run.",
            role="other",
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class ModelSettings(DataSettings, _ModelArgument):  # MODEL before DATA
    """The options of a command that applies a fitted model to new rows."""

    out: Annotated[
        Path,
        Option(
            "-o --out",
            panel="Output",
            metavar="FILE",
            help="A .npy, .parquet or .csv file.",
            role="other",
        ),
    ]
    overwrite: OverwriteFile = False
    threads: Threads = None
    quiet: Quiet = False


@dataclass(frozen=True, kw_only=True)
class JsonSettings(CommandSettings):
    """The options of a command whose result is printed, or written as JSON."""

    out: Annotated[
        Path | None,
        Option(
            "-o --out",
            panel="Output",
            metavar="FILE.json",
            help="Write the result there.",
            role="other",
        ),
    ] = None
    json: Annotated[
        bool,
        Option(
            "--json",
            panel="Output",
            help="Print the result as JSON, and nothing else.",
            role="other",
        ),
    ] = False
    overwrite: OverwriteFile = False
    quiet: Quiet = False
