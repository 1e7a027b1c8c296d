"""The commands and their options."""

from pathlib import Path
from typing import Annotated, Any

import typer

from unsup_fast.cli import info as information
from unsup_fast.cli import kinds, scoring
from unsup_fast.cli.diffusion import commands as diffusion
from unsup_fast.cli.options import (
    MISSING,
    ChunkSize,
    Columns,
    Data,
    Header,
    Images,
    Key,
    MaxIter,
    Missing,
    Model,
    NoReport,
    Out,
    OutFile,
    Overwrite,
    OverwriteFile,
    Quiet,
    Resume,
    Seed,
    Separator,
    Standardize,
    Threads,
    Title,
    Weights,
    image_shape,
    n_axes,
    numbers,
    one_of,
    separator_of,
)
from unsup_fast.cli.values import (
    COVARIANCES,
    CRITERIA,
    GMM_STARTS,
    MOST,
    SOLVERS,
    finite,
    kmeans_start,
    n_clusters,
    reg_covar_of,
)

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


@app.command()
def kmeans(
    context: typer.Context,
    data: Data,
    k: Annotated[
        int,
        typer.Option("-k", "--clusters", metavar="N", parser=n_clusters, help="How many clusters."),
    ],
    out: Out,
    columns: Columns = None,
    key: Key = None,
    chunk_size: ChunkSize = None,
    header: Header = None,
    separator: Separator = None,
    missing: Missing = "error",
    weights: Weights = None,
    init: Annotated[
        str,
        typer.Option(
            "--init",
            metavar="NAME|FILE.npy",
            callback=kmeans_start,
            help="First centroids: k-means++, k-means|| (for very many clusters), random rows, or "
            "those of a file.",
        ),
    ] = "k-means++",
    max_iter: MaxIter = 300,
    tol: Annotated[
        float,
        typer.Option(
            "--tol",
            metavar="X",
            min=0.0,
            callback=finite,
            help="Stop when the centroids' summed squared movement is at most this times the "
            "mean variance of the columns; 0 continues until no label changes.",
        ),
    ] = 1e-4,
    tol_inertia: Annotated[
        float | None,
        typer.Option(
            "--tol-inertia",
            metavar="X",
            min=0.0,
            max=1.0,
            callback=finite,
            help="Stop also after an iteration that lowers inertia by no more than this share of "
            "it, as in 1e-5.  [default: off]",
        ),
    ] = None,
    standardize: Standardize = False,
    seed: Seed = 0,
    threads: Threads = None,
    algorithm: Annotated[
        str,
        typer.Option(
            "--algorithm", metavar="auto|lloyd|elkan", help="Lloyd variant; the result is the same."
        ),
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
    images: Images = None,
    title: Title = None,
    no_report: NoReport = False,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
    resume: Resume = False,
) -> int:
    """Cluster the rows of DATA: labels, a model, a summary and an HTML report go into OUT.

    Ctrl-C keeps the last finished iteration, and prints the command to resume.
    Results already in OUT are replaced only with --overwrite.
    """
    one_of("--algorithm", algorithm, ("auto", "lloyd", "elkan"))
    one_of("--metric", metric, ("euclidean", "cosine"))
    shape = image_shape(images)
    from unsup_fast.cli.kmeans import Settings, run

    settings = Settings(
        data=data,
        out=out,
        n_clusters=k,
        columns=columns,
        key=key,
        chunk_size=chunk_size,
        header=header,
        separator=separator_of(separator),
        missing=one_of("--missing", missing, MISSING),
        weights=weights,
        init=init,
        max_iter=max_iter,
        tol=tol,
        tol_inertia=tol_inertia,
        standardize=standardize,
        seed=seed,
        algorithm=algorithm,
        metric=metric,
        threads=threads,
        text=text,
        images=shape,
        title=title,
        report=not no_report,
        quiet=quiet,
        overwrite=overwrite,
        resume=resume,
    )
    return run(settings, _arguments(context))


@app.command()
def pca(
    data: Data,
    n_components: Annotated[
        str,
        typer.Option(
            "-n",
            "--components",
            metavar="N|SHARE|mle",
            help="How many axes: a number, a share of the variance to explain (as in 0.95), or mle "
            "for Minka's estimate.",
        ),
    ],
    out: Out,
    columns: Columns = None,
    key: Key = None,
    chunk_size: ChunkSize = None,
    header: Header = None,
    separator: Separator = None,
    missing: Missing = "error",
    whiten: Annotated[
        bool,
        typer.Option("--whiten", help="Divide each coordinate by its standard deviation."),
    ] = False,
    solver: Annotated[
        str,
        typer.Option(
            "--solver",
            metavar="auto|covariance_eigh|full|arpack|randomized",
            help="auto, covariance_eigh: exact, in one pass over a file of any size; the others "
            "read all rows into memory.",
        ),
    ] = "auto",
    standardize: Standardize = False,
    seed: Seed = 0,
    threads: Threads = None,
    images: Images = None,
    title: Title = None,
    no_report: NoReport = False,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
) -> int:
    """Find the principal axes of DATA: coordinates, a model, a summary and an HTML report.

    Results already in OUT are replaced only with --overwrite.
    """
    wanted, shape = n_axes(n_components), image_shape(images)
    one_of("--solver", solver, SOLVERS)
    from unsup_fast.cli.pca import Settings, run

    return run(
        Settings(
            data=data,
            out=out,
            n_components=wanted,
            columns=columns,
            key=key,
            chunk_size=chunk_size,
            header=header,
            separator=separator_of(separator),
            missing=one_of("--missing", missing, MISSING),
            whiten=whiten,
            solver=solver,
            standardize=standardize,
            seed=seed,
            threads=threads,
            images=shape,
            title=title,
            report=not no_report,
            quiet=quiet,
            overwrite=overwrite,
        )
    )


@app.command()
def gmm(
    context: typer.Context,
    data: Data,
    n_components: Annotated[
        str,
        typer.Option(
            "-k",
            "--components",
            metavar="N|A:B[:STEP]",
            help="Number of components; A:B fits every number of a range and takes the best.",
        ),
    ],
    out: Out,
    columns: Columns = None,
    key: Key = None,
    chunk_size: ChunkSize = None,
    header: Header = None,
    separator: Separator = None,
    missing: Missing = "error",
    weights: Weights = None,
    covariance: Annotated[
        str,
        typer.Option(
            "--covariance",
            metavar="full|tied|diag|spherical",
            help="Type of covariance: full, tied (one matrix for all components), diagonal or "
            "spherical (one variance).",
        ),
    ] = "full",
    init: Annotated[
        str,
        typer.Option(
            "--init",
            metavar="NAME",
            help="The first components: kmeans, k-means++, random_from_data or random.",
        ),
    ] = "kmeans",
    criterion: Annotated[
        str,
        typer.Option(
            "--criterion",
            metavar="bic|aic",
            help="Criterion minimised when fitting a range of sizes.",
        ),
    ] = "bic",
    n_init: Annotated[
        int,
        typer.Option(
            "--n-init",
            metavar="N",
            min=1,
            max=MOST,
            help="Number of initialisations; the best is used.",
        ),
    ] = 1,
    max_iter: MaxIter = 100,
    tol: Annotated[
        float,
        typer.Option(
            "--tol",
            metavar="X",
            min=0.0,
            callback=finite,
            help="Stop when the mean log-likelihood of a row changes by less.",
        ),
    ] = 1e-3,
    reg_covar: Annotated[
        float,
        typer.Option(
            "--reg-covar",
            metavar="X",
            min=0.0,
            callback=reg_covar_of,
            help="Constant added to the variances in each iteration.",
        ),
    ] = 1e-6,
    standardize: Standardize = False,
    seed: Seed = 0,
    threads: Threads = None,
    proba: Annotated[
        bool,
        typer.Option("--proba", help="Write each row's probability of each component too."),
    ] = False,
    images: Images = None,
    title: Title = None,
    no_report: NoReport = False,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
    resume: Resume = False,
) -> int:
    """Fit a Gaussian mixture to DATA: labels, a model, a summary and an HTML report.

    Ctrl-C keeps the last finished iteration, and of a range the finished fits, and prints the
    command to resume.
    Results already in OUT are replaced only with --overwrite.
    """
    wanted, shape = numbers(n_components), image_shape(images)
    one_of("--covariance", covariance, COVARIANCES)
    one_of("--init", init, GMM_STARTS)
    one_of("--criterion", criterion, CRITERIA)
    from unsup_fast.cli.gmm import Settings, run

    return run(
        Settings(
            data=data,
            out=out,
            n_components=wanted,
            columns=columns,
            key=key,
            chunk_size=chunk_size,
            header=header,
            separator=separator_of(separator),
            missing=one_of("--missing", missing, MISSING),
            weights=weights,
            covariance=covariance,
            init=init,
            criterion=criterion,
            n_init=n_init,
            max_iter=max_iter,
            tol=tol,
            reg_covar=reg_covar,
            standardize=standardize,
            seed=seed,
            threads=threads,
            proba=proba,
            images=shape,
            title=title,
            report=not no_report,
            quiet=quiet,
            overwrite=overwrite,
            resume=resume,
        ),
        _arguments(context),
    )


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
