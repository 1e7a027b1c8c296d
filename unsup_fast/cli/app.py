"""The commands and their options."""

from pathlib import Path
from typing import Annotated, Any

import typer

from unsup_fast.cli import info as information
from unsup_fast.cli import kinds, scoring
from unsup_fast.cli.diffusion import commands as diffusion
from unsup_fast.cli.diffusion.typer_options import (
    MISSING,
    ChunkSize,
    Columns,
    Data,
    Header,
    Key,
    Missing,
    Model,
    OutFile,
    OverwriteFile,
    Quiet,
    Separator,
    Threads,
    one_of,
    separator_of,
)
from unsup_fast.cli.gmm.settings import GmmSettings
from unsup_fast.cli.kmeans.settings import KMeansSettings
from unsup_fast.cli.pca.settings import PcaSettings
from unsup_fast.cli.settings import add

app = typer.Typer(
    name="unsup-fast",
    help="Fast, exact, trustworthy unsupervised learning.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"unsup-fast {information.version('unsup-fast')}")
        raise typer.Exit


add(app, "kmeans", KMeansSettings)


add(app, "pca", PcaSettings)
add(app, "gmm", GmmSettings)


@app.command()
def predict(
    model: Model,
    data: Data,
    out: OutFile,
    columns: Columns = None,
    key: Key = None,
    chunk_size: ChunkSize = None,
    header: Header = None,
    separator: Separator = None,
    missing: Missing = "error",
    distances: Annotated[
        bool,
        typer.Option(
            "--distances",
            help="k-means: write each row's distance to its centroid too, in the model's metric: a "
            "second column, or for .npy a second file, NAME.distances.npy.",
        ),
    ] = False,
    proba: Annotated[
        bool,
        typer.Option(
            "--proba",
            help="Mixtures: write each row's probability of each component too: more columns, or "
            "for .npy a second file, NAME.probabilities.npy.",
        ),
    ] = False,
    threads: Threads = None,
    quiet: Quiet = False,
    overwrite: OverwriteFile = False,
) -> int:
    """Write the cluster or component of each row of DATA by a fitted MODEL.

    Models are those of KMeans, MiniBatchKMeans and GaussianMixture. A model of a table with
    column names takes the columns of those names.
    """
    kinds.check_estimator(model, "predict")
    from unsup_fast.cli.predict import run

    return run(
        model,
        data,
        out,
        columns=columns,
        key=key,
        chunk_size=chunk_size,
        header=header,
        separator=separator_of(separator),
        missing=one_of("--missing", missing, MISSING),
        distances=distances,
        proba=proba,
        threads=threads,
        quiet=quiet,
        overwrite=overwrite,
    )


@app.command()
def transform(
    model: Model,
    data: Data,
    out: OutFile,
    columns: Columns = None,
    key: Key = None,
    chunk_size: ChunkSize = None,
    header: Header = None,
    separator: Separator = None,
    missing: Missing = "error",
    threads: Threads = None,
    quiet: Quiet = False,
    overwrite: OverwriteFile = False,
) -> int:
    """Write the coordinates of each row of DATA by a fitted MODEL.

    Along the axes of a PCA or IncrementalPCA; for KMeans and MiniBatchKMeans the distances to all
    centroids. A model of a table with column names takes the columns of those names.
    """
    kinds.check_estimator(model, "transform")
    from unsup_fast.cli.transform import run

    return run(
        model,
        data,
        out,
        columns=columns,
        key=key,
        chunk_size=chunk_size,
        header=header,
        separator=separator_of(separator),
        missing=one_of("--missing", missing, MISSING),
        threads=threads,
        quiet=quiet,
        overwrite=overwrite,
    )


app.add_typer(diffusion.app, name="diffusion")
for name, command in scoring.COMMANDS.items():
    app.command(name)(command)


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
    """Compare with scikit-learn on digits and other data, and generate new digits."""
    from unsup_fast.cli.demo import run

    return run(out, threads=threads, overwrite=overwrite)


@app.command()
def info() -> None:
    """Print version, instruction set, threads, and the available optional packages and GPUs."""
    print(information.show())


def _arguments(context: typer.Context) -> list[str]:
    arguments: Any = context.obj
    return list(arguments)
