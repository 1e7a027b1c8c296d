"""Options that several commands have."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from unsup_fast._urls import File
from unsup_fast.cli.settings import CommandSettings, Option
from unsup_fast.cli.values import (
    MOST_THREADS,
    parse_data,
    parse_engine,
    parse_image_shape,
    parse_separator,
)

if TYPE_CHECKING:
    from unsup_fast.blocks import Source


Seed = Annotated[int, Option("--seed N", "Model", "Random seed.", least=0, most=2**32 - 1)]
THREADS = Option(
    "--threads N", "Performance", "Threads to run.  [default: all]", least=1, most=MOST_THREADS
)
Threads = Annotated[int | None, THREADS]
Weights = Annotated[
    str | None,
    Option(
        "--weights FILE|COLUMN",
        "Data",
        "A weight >= 0 for each row: an .npy file, or a column of the table.",
    ),
]
Engine = Annotated[
    str | None,
    Option(
        "--engine NAME",
        "Performance",
        "Divide the rows among processes: local:4, dask://host:8786 or ray; the result is the "
        "same.  [default: this process]",
        parse=parse_engine,
    ),
]
Quiet = Annotated[bool, Option("--quiet -q", "Progress", "Print errors and warnings only.")]
Resume = Annotated[
    bool, Option("--resume", "Progress", "Resume the unfinished run in OUT, bit for bit.")
]
OverwriteFile = Annotated[
    bool, Option("--overwrite", "Output", "Replace the output file if it exists.")
]


@dataclass(frozen=True, kw_only=True)
class DataSettings(CommandSettings):
    """The options of a command that reads rows."""

    data: Annotated[
        File,
        Option(
            "DATA",
            "Data",
            "A .npy, .npz, .csv, .tsv, .csv.gz, .parquet, .arrow or .feather file; a directory of "
            "such files of one kind (not .npz), or a quoted pattern of their names, as 'e-*.npy'; "
            "or a URL of these, as s3://bucket/folder. float32 and float64 are kept; float16 and "
            "integers become float32 (float64 if an integer is beyond 2^24); numbers of a CSV are "
            "float64.",
            parse=parse_data,
        ),
    ]
    columns: Annotated[
        str | None,
        Option(
            "--columns A,B,C",
            "Data",
            "Columns of a table, comma-separated, quoted as in CSV if a comma is in the name; "
            "the values of one list column are columns, too.  [default: all that are "
            "numbers]",
        ),
    ] = None
    key: Annotated[
        str | None,
        Option("--key NAME", "Data", "Which array of an .npz; needed if there are several."),
    ] = None
    chunk_size: Annotated[
        int | None,
        Option(
            "--chunk-size ROWS",
            "Performance",
            "Rows that are read at a time.  [default: 64 MiB]",
            least=1,
            role="course",
        ),
    ] = None
    header: Annotated[
        bool | None,
        Option(
            "--header/--no-header",
            "Data",
            "Whether the first line of a CSV holds names.  [default: by what is in it]",
        ),
    ] = None
    separator: Annotated[
        str | None,
        Option(
            "--separator C",
            "Data",
            "Character between the values of a CSV, or tab.  [default: detected]",
            parse=parse_separator,
        ),
    ] = None
    missing: Annotated[
        str,
        Option(
            "--missing",
            "Data",
            "What to do about missing values: stop, leave out their rows (label -1, "
            "coordinates NaN), or put in the mean of the column (not with a fitted model).",
            choices=("error", "drop", "mean"),
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
        Path, Option("-o --out OUT", "Output", "Directory for the results; created if missing.")
    ]
    title: Annotated[str | None, Option("--title TEXT", "Output", "Headline of the report.")] = None
    report: Annotated[
        bool, Option("--report/--no-report", "Output", "Whether to write an HTML report.")
    ] = True
    overwrite: Annotated[
        bool, Option("--overwrite", "Output", "Replace the results that are in OUT.")
    ] = False
    quiet: Quiet = False


@dataclass(frozen=True, kw_only=True)
class FitSettings(DataSettings, RunSettings):
    """The options of a command that fits a model to rows."""

    standardize: Annotated[
        bool,
        Option(
            "--standardize",
            "Model",
            "Divide each column by its standard deviation; the model keeps these, and divides "
            "other rows too.",
        ),
    ] = False
    seed: Seed = 0
    threads: Threads = None
    images: Annotated[
        tuple[int, ...] | None,
        Option(
            "--images HxW[xC]",
            "Output",
            "Show rows as pictures of this size in the report.  [default: as in the file, if it "
            "holds pictures]",
            parse=parse_image_shape,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class _ModelArgument(CommandSettings):
    model: Annotated[
        Path, Option("MODEL", "Data", "A model.safetensors, or the directory of a run.")
    ]


@dataclass(frozen=True, kw_only=True)
class ModelSettings(DataSettings, _ModelArgument):  # MODEL before DATA
    """The options of a command that applies a fitted model to new rows."""

    out: Annotated[Path, Option("-o --out FILE", "Output", "A .npy, .parquet or .csv file.")]
    overwrite: OverwriteFile = False
    threads: Threads = None
    quiet: Quiet = False


@dataclass(frozen=True, kw_only=True)
class JsonSettings(CommandSettings):
    """The options of a command whose result is printed, or written as JSON."""

    out: Annotated[
        Path | None, Option("-o --out FILE.json", "Output", "Write the result there.")
    ] = None
    json: Annotated[
        bool, Option("--json", "Output", "Print the result as JSON, and nothing else.")
    ] = False
    overwrite: OverwriteFile = False
    quiet: Quiet = False
