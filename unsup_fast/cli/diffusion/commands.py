"""The commands of diffusion models."""

from pathlib import Path
from typing import Annotated, Any

import typer

from unsup_fast.cli.diffusion.options import (
    NETWORKS,
    OBJECTIVES,
    PRECISIONS,
    SCHEDULES,
    SIZES,
    BatchSize,
    BuiltIn,
    Data,
    Device,
    Guidance,
    Key,
    Labels,
    NoLabels,
    Precision,
    Run,
    RunOut,
    Sampler,
    SampleSteps,
    one_source,
    picture_size,
)
from unsup_fast.cli.diffusion.typer_options import (
    RESIZES,
    SAMPLERS,
    NoReport,
    Overwrite,
    OverwriteFile,
    Quiet,
    Resize,
    Resume,
    Seed,
    Threads,
    Title,
    below_one,
    channel_count,
    finite,
    one_of,
    positive,
)
from unsup_fast.cli.diffusion.typer_options import Weights as InceptionWeights
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.settings import MOST

app = typer.Typer(
    help="Train diffusion models of pictures, sample from them, and judge them.",
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _main(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def train(
    context: typer.Context,
    out: RunOut,
    data: Data = None,
    built_in: BuiltIn = None,
    size: Annotated[
        str | None,
        typer.Option(
            "--size",
            metavar="N|HxW",
            help="Bring pictures to this size: cropped at the centre, then resized.",
        ),
    ] = None,
    channels: Annotated[
        int | None,
        typer.Option(
            "--channels",
            metavar="1|3",
            callback=channel_count,
            help="Number of channels: grey or colour.  [default: as in the data]",
        ),
    ] = None,
    key: Key = None,
    labels: Labels = None,
    no_labels: NoLabels = False,
    network: Annotated[
        str, typer.Option("--network", metavar="unet|dit", help="U-Net or diffusion transformer.")
    ] = "unet",
    model_size: Annotated[
        str,
        typer.Option("--model-size", metavar="tiny|small|base|large", help="Size of the network."),
    ] = "small",
    patch: Annotated[
        int,
        typer.Option(
            "--patch",
            metavar="N",
            min=1,
            max=MOST,
            help="Side of a patch, in pixels.",
        ),
    ] = 2,
    objective: Annotated[
        str,
        typer.Option(
            "--objective",
            metavar="NAME",
            help="What the network is trained for: x0, epsilon, v_prediction, min_snr or flow.",
        ),
    ] = "v_prediction",
    schedule: Annotated[
        str,
        typer.Option(
            "--schedule",
            metavar="NAME",
            help="Noise schedule: cosine, linear, scaled_linear or sigmoid; flow has its own.",
        ),
    ] = "cosine",
    steps: Annotated[
        int,
        typer.Option(
            "--steps", metavar="N", min=1, max=MOST, help="Total number of optimizer steps."
        ),
    ] = 5000,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            metavar="X",
            callback=positive,
            help="Stop when so many minutes of training are over.",
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option("--batch-size", metavar="N", min=1, max=MOST, help="Pictures per step.")
    ] = 128,
    learning_rate: Annotated[
        float,
        typer.Option("--learning-rate", metavar="X", callback=positive, help="Peak learning rate."),
    ] = 1e-3,
    warmup: Annotated[
        int,
        typer.Option("--warmup", metavar="N", min=0, max=MOST, help="Linear warm-up, in steps."),
    ] = 200,
    decay: Annotated[
        int,
        typer.Option(
            "--decay", metavar="N", min=0, max=MOST, help="Linear decay at the end, in steps."
        ),
    ] = 0,
    ema: Annotated[
        float,
        typer.Option(
            "--ema",
            metavar="X",
            callback=below_one,
            help="Decay of the moving average of the weights, per step.",
        ),
    ] = 0.999,
    dropout: Annotated[
        float,
        typer.Option(
            "--dropout", metavar="X", callback=below_one, help="Share of activations dropped."
        ),
    ] = 0.0,
    flip: Annotated[
        bool, typer.Option("--flip", help="Mirror a random half of the pictures in each step.")
    ] = False,
    label_dropout: Annotated[
        float,
        typer.Option(
            "--label-dropout",
            metavar="X",
            min=0.0,
            max=1.0,
            callback=finite,
            help="Share of the pictures whose class is hidden; guidance needs some.",
        ),
    ] = 0.1,
    seed: Seed = 0,
    device: Device = None,
    precision: Precision = "auto",
    threads: Threads = None,
    save_every: Annotated[
        int,
        typer.Option(
            "--save-every", metavar="N", min=1, max=MOST, help="Steps between checkpoints."
        ),
    ] = 500,
    show_every: Annotated[
        int,
        typer.Option(
            "--show-every", metavar="N", min=1, max=MOST, help="Steps between grids of samples."
        ),
    ] = 500,
    title: Title = None,
    no_report: NoReport = False,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
    resume: Resume = False,
) -> int:
    """Train a diffusion model of the pictures in DATA; model, samples and a report go into RUN.

    Pictures with classes make a model that samples each class. Ctrl-C saves, and prints the
    command to resume; so does --minutes.
    """
    source, sides = one_source(data, built_in), picture_size(size)
    one_of("--network", network, NETWORKS)
    one_of("--model-size", model_size, SIZES)
    one_of("--objective", objective, OBJECTIVES)
    one_of("--schedule", schedule, SCHEDULES)
    one_of("--precision", precision, PRECISIONS)
    if decay > steps:
        raise UserError(f"--decay {decay}: exceeds --steps {steps}; pass --decay {steps} or less")
    from unsup_fast.cli.diffusion.job import Settings
    from unsup_fast.cli.diffusion.train import run

    settings = Settings(
        data=source,
        out=out,
        size=sides,
        channels=channels,
        key=key,
        labels=labels,
        no_labels=no_labels,
        network=one_of("--network", network, NETWORKS),
        model_size=one_of("--model-size", model_size, SIZES),
        patch=patch,
        objective=objective,
        schedule=schedule,
        steps=steps,
        minutes=minutes,
        batch_size=batch_size,
        learning_rate=learning_rate,
        warmup=warmup,
        decay=decay,
        ema=ema,
        dropout=dropout,
        flip=flip,
        label_dropout=label_dropout,
        seed=seed,
        device=device,
        precision=precision,
        threads=threads,
        save_every=save_every,
        show_every=show_every,
        title=title,
        report=not no_report,
        quiet=quiet,
        overwrite=overwrite,
        resume=resume,
    )
    arguments: Any = context.obj
    return run(settings, list(arguments))


@app.command()
def sample(
    run_path: Run,
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            help="A .png of all pictures, or an .npz with samples [N, H, W, C] and labels.",
        ),
    ],
    n: Annotated[
        int, typer.Option("-n", metavar="N", min=1, max=MOST, help="How many pictures.")
    ] = 64,
    sampler: Sampler = "dpm++2m",
    steps: SampleSteps = 20,
    guidance: Guidance = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="NAME|N|all|any",
            help="A class, by name or number; several, each with its own --label, or all share the "
            "pictures evenly; any leaves it to the model.  [default: all]",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 0,
    batch_size: BatchSize = None,
    device: Device = None,
    precision: Precision = "auto",
    quiet: Quiet = False,
    overwrite: OverwriteFile = False,
) -> int:
    """Make new pictures by the model of a training RUN."""
    one_of("--sampler", sampler, SAMPLERS)
    one_of("--precision", precision, PRECISIONS)
    from unsup_fast.cli.kinds import check_run

    check_run(run_path, "diffusion sample")
    from unsup_fast.cli.diffusion.sample import Settings, run

    return run(
        Settings(
            run=run_path,
            out=out,
            n=n,
            sampler=sampler,
            steps=steps,
            guidance=guidance,
            labels=tuple(label or ()),
            seed=seed,
            batch_size=batch_size,
            device=device,
            precision=precision,
            quiet=quiet,
            overwrite=overwrite,
        )
    )


@app.command("eval")
def evaluate(
    run_path: Run,
    data: Data = None,
    built_in: BuiltIn = None,
    n: Annotated[
        int | None,
        typer.Option(
            "-n",
            metavar="N",
            min=1,
            max=MOST,
            help="Pictures of DATA, drawn at random.  [default: up to 1,000]",
        ),
    ] = None,
    key: Key = None,
    labels: Labels = None,
    no_labels: NoLabels = False,
    timesteps: Annotated[
        int,
        typer.Option(
            "--timesteps",
            metavar="K",
            min=0,
            max=MOST,
            help="Noise levels of each picture that the bits are estimated from; 0: all.",
        ),
    ] = 20,
    features: Annotated[
        str | None,
        typer.Option(
            "--features",
            metavar="inception|FILE.pth|none",
            help="Compute the FID too, on features of the Inception network of the published "
            "scores, of the same network with weights of your own, or on pixels.",
        ),
    ] = None,
    weights: InceptionWeights = None,
    resize: Resize = "tensorflow",
    samples: Annotated[
        int | None,
        typer.Option(
            "--samples",
            metavar="N",
            min=2,
            max=MOST,
            help="Pictures generated for the FID.  [default: up to 2,000]",
        ),
    ] = None,
    sampler: Sampler = "dpm++2m",
    steps: SampleSteps = 20,
    guidance: Guidance = None,
    seed: Seed = 0,
    batch_size: BatchSize = None,
    device: Device = None,
    precision: Precision = "auto",
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="FILE.json", help="Write the result there."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON, and nothing else.")
    ] = False,
    quiet: Quiet = False,
    overwrite: OverwriteFile = False,
) -> int:
    """Print the bits per dimension of DATA by the model of a RUN, and with --features the FID."""
    source = one_source(data, built_in)
    one_of("--sampler", sampler, SAMPLERS)
    one_of("--precision", precision, PRECISIONS)
    one_of("--resize", resize, RESIZES)
    from unsup_fast.cli.kinds import check_run

    check_run(run_path, "diffusion eval")
    from unsup_fast.cli.diffusion.evaluate import Settings, run

    return run(
        Settings(
            run=run_path,
            data=source,
            n=n,
            key=key,
            labels=labels,
            no_labels=no_labels,
            timesteps=timesteps or None,
            features=features,
            weights=weights,
            resize=resize,
            samples=samples,
            sampler=sampler,
            steps=steps,
            guidance=guidance,
            seed=seed,
            batch_size=batch_size,
            device=device,
            precision=precision,
            out=out,
            json=json,
            quiet=quiet,
            overwrite=overwrite,
        )
    )
