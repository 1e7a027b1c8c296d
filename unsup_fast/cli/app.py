"""The commands and their options."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from unsup_fast.cli import info as information
from unsup_fast.cli.errors import UserError

app = typer.Typer(
    name="unsup-fast",
    help="Fast, exact, trustworthy unsupervised learning.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DATA_HELP = (
    "A .npy, .npz, .csv, .parquet, .arrow or .feather file. float32 and float64 are kept; float16 "
    "and integers become float32 (float64 if an integer is beyond 2^24); numbers of a CSV are "
    "float64."
)
COLUMNS_HELP = (
    "Columns of a table, comma-separated; one list column stands for all its values. "
    "Default: all that are numbers."
)

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
        help="Rows that are read at a time.  [default: 64 MiB]",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", metavar="N", min=1, help="Threads to run.  [default: all]"),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and warnings only.")]


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"unsup-fast {information.version('unsup-fast')}")
        raise typer.Exit


@app.command()
def kmeans(
    context: typer.Context,
    data: Annotated[Path, typer.Argument(metavar="DATA", help=DATA_HELP)],
    n_clusters: Annotated[
        int, typer.Option("-k", "--clusters", metavar="N", help="How many clusters.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="OUT", help="Directory for the results; made if missing."
        ),
    ],
    columns: Columns = None,
    key: Key = None,
    chunk_size: ChunkSize = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            metavar="FILE|COLUMN",
            help="A weight >= 0 for each row: an .npy file, or a column of the table.",
        ),
    ] = None,
    init: Annotated[
        str,
        typer.Option(
            "--init",
            metavar="NAME|FILE.npy",
            help="First centroids: k-means++, k-means|| (for very many clusters), random rows, or "
            "those of a file.",
        ),
    ] = "k-means++",
    max_iter: Annotated[
        int, typer.Option("--max-iter", metavar="N", min=1, help="Most iterations.")
    ] = 300,
    tol: Annotated[
        float,
        typer.Option(
            "--tol",
            metavar="X",
            min=0.0,
            help="Stop when the centroids' summed squared movement is at most this times the "
            "mean variance of the columns; 0 goes on until no label changes.",
        ),
    ] = 1e-4,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, max=2**32 - 1, help="Of the random draws.")
    ] = 0,
    threads: Threads = None,
    algorithm: Annotated[
        str,
        typer.Option("--algorithm", metavar="auto|lloyd|elkan", help="All give the same result."),
    ] = "auto",
    metric: Annotated[
        str,
        typer.Option(
            "--metric",
            metavar="euclidean|cosine",
            help="Distance between rows and centroids; cosine compares directions alone.",
        ),
    ] = "euclidean",
    text: Annotated[
        Path | None,
        typer.Option(
            "--text", metavar="FILE", help="Text file for the report; line i belongs to row i."
        ),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            "--images",
            metavar="HxW[xC]",
            help="Show rows as pictures of this size in the report. "
            "[default: as in the file, if it holds pictures]",
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option("--title", metavar="TEXT", help="Headline of the report.")
    ] = None,
    quiet: Quiet = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the results that are in OUT.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the unfinished run in OUT, to the same bits."),
    ] = False,
) -> int:
    """Cluster the rows of DATA: labels, a model, a summary and an HTML report go into OUT.

    Ctrl-C keeps the last finished iteration, and prints the command to go on with it.
    Results already in OUT are replaced only with --overwrite.
    """
    from unsup_fast.cli.kmeans import Settings, run

    if algorithm not in ("auto", "lloyd", "elkan"):
        raise UserError(f"--algorithm {algorithm}: is not one of auto, lloyd, elkan")
    if metric not in ("euclidean", "cosine"):
        raise UserError(f"--metric {metric}: is not one of euclidean, cosine")
    settings = Settings(
        data=data,
        out=out,
        n_clusters=n_clusters,
        columns=split(columns),
        key=key,
        chunk_size=chunk_size,
        weights=weights,
        init=init,
        max_iter=max_iter,
        tol=tol,
        seed=seed,
        algorithm=algorithm,
        metric=metric,
        threads=threads,
        text=text,
        images=None if images is None else image_shape(images),
        title=title,
        quiet=quiet,
        overwrite=overwrite,
        resume=resume,
    )
    return run(settings, _arguments(context))


@app.command()
def predict(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A model.safetensors, of KMeans or MiniBatchKMeans, or the directory of a run.",
        ),
    ],
    data: Annotated[Path, typer.Argument(metavar="DATA", help=DATA_HELP)],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FILE", help="A .npy, .parquet or .csv file.")
    ],
    columns: Columns = None,
    key: Key = None,
    chunk_size: ChunkSize = None,
    distances: Annotated[
        bool,
        typer.Option(
            "--distances",
            help="Write each row's distance to its centroid too, in the model's metric: a second "
            "column, or for .npy a second file, NAME.distances.npy.",
        ),
    ] = False,
    threads: Threads = None,
    quiet: Quiet = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output file if it exists.")
    ] = False,
) -> int:
    """Write the cluster of each row of DATA by a fitted MODEL.

    A model of a table with column names takes the columns of those names.
    """
    from unsup_fast.cli.predict import run

    return run(
        model,
        data,
        out,
        columns=split(columns),
        key=key,
        chunk_size=chunk_size,
        distances=distances,
        threads=threads,
        quiet=quiet,
        overwrite=overwrite,
    )


@app.command()
def demo(
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="OUT", help="Directory for the report and the results."
        ),
    ] = Path("unsup-fast-demo"),
    threads: Threads = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that are not an earlier demo's.")
    ] = False,
) -> int:
    """Cluster scikit-learn's digits and 200,000 generated rows, beside scikit-learn."""
    from unsup_fast.cli.demo import run

    return run(out, threads=threads, overwrite=overwrite)


@app.command()
def info() -> None:
    """Print version, instruction set, threads, and the optional packages and GPUs found."""
    print(information.show())


def split(columns: str | None) -> tuple[str, ...] | None:
    """Return the names in a comma-separated list."""
    if columns is None:
        return None
    names = tuple(name.strip() for name in columns.split(","))
    if not all(names):
        raise UserError(f"--columns {columns!r}: has an empty name; write A,B,C")
    return names


def image_shape(text: str) -> tuple[int, ...]:
    """Return (height, width) or (height, width, channels) from HxW or HxWxC."""
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*(x[134])?", text):
        raise UserError(f"--images {text}: write HxW or HxWxC with 1, 3 or 4 channels, as in 28x28")
    return tuple(map(int, text.split("x")))


def _arguments(context: typer.Context) -> list[str]:
    arguments: Any = context.obj
    return list(arguments)
