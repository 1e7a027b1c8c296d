"""Options that the commands of diffusion models share, and what their values mean."""

from pathlib import Path
from typing import Annotated

import typer

from unsup_fast.cli.diffusion.typer_options import device, finite
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.settings import MOST
from unsup_fast.cli.values import parse_sides

NETWORKS = ("unet", "dit")
SIZES = ("tiny", "small", "base", "large")
OBJECTIVES = ("sample", "epsilon", "v_prediction", "min_snr", "flow_prediction")
SCHEDULES = ("cosine", "linear", "scaled_linear", "sigmoid")
PRECISIONS = ("auto", "float32", "bfloat16")
BUILT_IN = ("digits",)

Data = Annotated[
    Path | None,
    typer.Argument(
        metavar="[DATA]",
        help="A folder or .zip of pictures (sub-folders are classes), an .npz, .npy or .parquet.",
        show_default=False,
    ),
]
BuiltIn = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="digits",
        help="Built-in data instead of DATA: scikit-learn's 8 x 8 digits.",
    ),
]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="The directory of a training run.")]
RunOut = Annotated[
    Path,
    typer.Option("-o", "--out", metavar="RUN", help="Directory for the run; created if missing."),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key", metavar="NAME", help="Which array of an .npz, or column of a table, has pictures."
    ),
]
Labels = Annotated[
    str | None,
    typer.Option(
        "--labels", metavar="NAME", help="Which array of an .npz, or column of a table, has labels."
    ),
]
NoLabels = Annotated[
    bool, typer.Option("--no-labels", help="Read the pictures alone, without classes.")
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAME",
        callback=device,
        help="cpu, cuda, cuda:1 ...  [default: a GPU if there is one]",
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="auto|float32|bfloat16",
        help="Precision of the network; auto: bfloat16 where the device is fast in it.",
    ),
]
Sampler = Annotated[
    str,
    typer.Option(
        "--sampler",
        metavar="NAME",
        help="ddpm, ddim, euler, euler_a, heun, dpm++2m, dpm++2m_sde, deis, unipc or lms.",
    ),
]
SampleSteps = Annotated[
    int, typer.Option("--steps", metavar="N", min=1, max=MOST, help="Steps from noise to picture.")
]
Guidance = Annotated[
    float | None,
    typer.Option(
        "--guidance",
        metavar="X",
        callback=finite,
        help="Weight of classifier-free guidance; 1 changes nothing, more is more typical.",
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        metavar="N",
        min=1,
        max=MOST,
        help="Pictures per batch.  [default: as memory allows]",
    ),
]


def picture_size(text: str | None) -> tuple[int, int] | None:
    """Return (height, width) from N or HxW."""
    if text is None:
        return None
    return parse_sides("--size", text, square=True)


def one_source(data: Path | None, built_in: str | None) -> Path | str:
    """Return the path of the data, or the name of those that are built in."""
    if (data is None) == (built_in is None):
        raise UserError("DATA: name a file or folder of pictures, or pass --data digits")
    if built_in is None:
        assert data is not None
        return data
    if built_in not in BUILT_IN:
        raise UserError(f"--data {built_in}: is not built in; pass --data digits, or a path alone")
    return built_in
