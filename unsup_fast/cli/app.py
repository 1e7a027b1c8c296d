"""The commands."""

from typing import Annotated

import typer

from unsup_fast.cli.commands import CommandGroup, DefaultGroup, add
from unsup_fast.cli.dedup.settings import DedupSettings
from unsup_fast.cli.demo.settings import DemoSettings
from unsup_fast.cli.diffusion.settings import COMMANDS as DIFFUSION
from unsup_fast.cli.gan.settings import COMMANDS as GAN
from unsup_fast.cli.gmm.settings import GmmSettings
from unsup_fast.cli.kmeans.settings import KMeansSettings
from unsup_fast.cli.pca.settings import PcaSettings
from unsup_fast.cli.predict.settings import PredictSettings
from unsup_fast.cli.scenes.settings import COMMANDS as SCENES
from unsup_fast.cli.scores.settings import COMMANDS as SCORES
from unsup_fast.cli.settings import CommandSettings
from unsup_fast.cli.transform.settings import TransformSettings
from unsup_fast.cli.vae.settings import COMMANDS as VAE

app = typer.Typer(
    name="unsup-fast",
    help="Fast, exact, trustworthy unsupervised learning.",
    cls=CommandGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from unsup_fast.cli.info import version as version_of

        print(f"unsup-fast {version_of('unsup-fast')}")
        raise typer.Exit


@app.command()
def info() -> None:
    """Print version, instruction set, threads, and the available optional packages and GPUs."""
    from unsup_fast.cli.info import show

    print(show())


add(app, "kmeans", KMeansSettings)
add(app, "pca", PcaSettings)
add(app, "gmm", GmmSettings)
add(app, "predict", PredictSettings)
add(app, "transform", TransformSettings)
add(app, "dedup", DedupSettings)
GROUPS = {
    "diffusion": (
        "Train diffusion models of pictures, sample from them, and judge them.",
        DIFFUSION,
    ),
    "vae": (
        "Train variational autoencoders of pictures, encode, decode, sample, and judge them.",
        VAE,
    ),
    "gan": (
        "Train generative adversarial networks of pictures, sample, interpolate, and judge them.",
        GAN,
    ),
    "scenes": (
        "Draw captioned pictures of simple scenes, and check any pictures against such captions. "
        "Options without the name of a command are those of draw.",
        SCENES,
    ),
}


def _group(about: str, commands: dict[str, type[CommandSettings]]) -> typer.Typer:
    """Return a group of commands, which without one of them shows its help."""
    group = typer.Typer(
        help=about,
        cls=DefaultGroup if "draw" in commands else None,
        add_completion=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @group.callback(invoke_without_command=True)
    def show_help(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            print(context.get_help())

    for command, settings in commands.items():
        add(group, command, settings)
    return group


for name, (about, commands) in GROUPS.items():
    app.add_typer(_group(about, commands), name=name)
for score in SCORES:
    add(app, score.command, score)
add(app, "demo", DemoSettings)
