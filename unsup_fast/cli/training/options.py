"""Options that the commands of all trained models share."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

from unsup_fast.cli.errors import UserError
from unsup_fast.cli.options import THREADS, OverwriteFile, Quiet, Resume, RunSettings, Seed
from unsup_fast.cli.settings import CommandSettings, Option, options
from unsup_fast.cli.values import parse_device, parse_sides

BUILT_IN = ("digits",)
LOOP_OPTIONS = (
    "batch_size",
    "shards",
    "learning_rate",
    "warmup",
    "decay",
    "ema",
    "seed",
    "save_every",
    "sample_every",
)
"""Fields of settings that are also options of the training loop."""
MODEL_SIZE = Option(
    "--model-size",
    "Network",
    "Size of the network.",
    choices=("tiny", "small", "base", "large"),
)

Device = Annotated[
    str | None,
    Option(
        "--device NAME",
        "Performance",
        "cpu, cuda, cuda:1 ...  [default: a GPU if there is one]",
        parse=parse_device,
        role="course",
    ),
]
Precision = Annotated[
    str,
    Option(
        "--precision",
        "Performance",
        "Precision of the network; auto: bfloat16 where the device is fast in it.",
        choices=("auto", "float32", "bfloat16"),
        role="course",
    ),
]

LabelDropout = Annotated[
    float,
    Option(
        "--label-dropout X",
        "Training",
        "Share of the pictures whose class is hidden; guidance needs some.",
        least=0,
        most=1,
    ),
]


def parse_channels(option: str, text: str) -> int:
    """Return a number of channels, 1 or 3."""
    if text not in ("1", "3"):
        raise UserError(f"{option} {text} is not 1 (grey) or 3 (colour); pass one of them")
    return int(text)


@dataclass(frozen=True, kw_only=True)
class RunArgument(CommandSettings):
    """The argument of a command that uses a trained model."""

    run_path: Annotated[
        Path,
        Option("RUN", "Data", "The directory of a training run."),
    ]

    command: ClassVar[str]
    """As in "diffusion sample"."""

    def check(self) -> None:
        """Refuse a folder that holds no run of the command's family."""
        from unsup_fast.cli.kinds import check_run

        super().check()
        check_run(self.run_path, self.command)


@dataclass(frozen=True, kw_only=True)
class SamplesSettings(RunArgument):
    """The options of a command that writes new pictures by a trained model."""

    out: Annotated[
        Path,
        Option(
            "-o --out FILE",
            "Output",
            "A .png of all pictures, or an .npz with samples [N, H, W, C] and labels.",
            role="course",
        ),
    ]
    n: Annotated[
        int,
        Option("-n N", "Sampling", "How many pictures.", least=1),
    ] = 64
    labels: Annotated[
        tuple[str, ...],
        Option(
            "--label NAME|N|all|any",
            "Sampling",
            "A class, by name or number; several, each with its own --label, or all share the "
            "pictures evenly; any leaves it to the model.  [default: all]",
            suggested=("all", "any"),
        ),
    ] = ()
    overwrite: OverwriteFile = False
    quiet: Quiet = False


@dataclass(frozen=True, kw_only=True)
class PictureSettings(CommandSettings):
    """The options of a command that reads pictures."""

    data: Annotated[
        Path | None,
        Option(
            "DATA",
            "Data",
            "A folder or .zip of pictures (sub-folders are classes), an .npz, .npy or .parquet.",
        ),
    ] = None
    built_in: Annotated[
        str | None,
        Option(
            "--data digits",
            "Data",
            "Built-in data instead of DATA: scikit-learn's 8 x 8 digits.",
            suggested=BUILT_IN,
            role="other",
        ),
    ] = None
    key: Annotated[
        str | None,
        Option("--key NAME", "Data", "Which array of an .npz, or column of a table, has pictures."),
    ] = None
    labels: Annotated[
        str | None,
        Option(
            "--labels NAME", "Data", "Which array of an .npz, or column of a table, has labels."
        ),
    ] = None
    no_labels: Annotated[
        bool,
        Option("--no-labels", "Data", "Read the pictures alone, without classes."),
    ] = False

    needs_data: ClassVar[bool] = True
    """Whether the command has no data of its own."""

    @property
    def source(self) -> Path | str:
        """The path of the data, or the name of those that are built in."""
        source = self.built_in if self.data is None else self.data
        assert source is not None
        return source

    def check(self) -> None:
        """Refuse no data, two of them, and unknown names."""
        super().check()
        n_sources = (self.data is not None) + (self.built_in is not None)
        if n_sources > 1 or (self.needs_data and not n_sources):
            raise UserError("DATA: name a file or folder of pictures, or pass --data digits")
        if self.built_in is not None and self.built_in not in BUILT_IN:
            raise UserError(
                f"--data {self.built_in}: is not built in; pass --data digits, or a path alone"
            )


@dataclass(frozen=True, kw_only=True)
class LoopSettings(PictureSettings, RunSettings):
    """The options of a command that runs the training loop on pictures."""

    out: Annotated[
        Path,
        Option("-o --out RUN", "Output", "Directory for the run; created if missing."),
    ]
    flip: Annotated[
        bool,
        Option("--flip", "Data", "Mirror a random half of the pictures in each step."),
    ] = False
    minutes: Annotated[
        float | None,
        Option(
            "--minutes X",
            "Training",
            "Stop when so many minutes of training are over.",
            above=0,
            role="extent",
        ),
    ] = None
    batch_size: Annotated[
        int,
        Option("--batch-size N", "Training", "Pictures per step.", least=1),
    ] = 128
    shards: Annotated[
        int | None,
        Option(
            "--shards N",
            "Training",
            "Compute each batch in so many shards, a power of two: then 1, 2, 4 ... processes, up "
            "to N, train the same bits.",
            least=1,
        ),
    ] = None
    learning_rate: Annotated[
        float | None,
        Option("--learning-rate X", "Training", "Peak learning rate.", above=0),
    ] = 1e-3
    warmup: Annotated[
        int,
        Option("--warmup N", "Training", "Linear warm-up, in steps.", least=0),
    ] = 200
    decay: Annotated[
        int | None,
        Option("--decay N", "Training", "Linear decay at the end, in steps.", least=0),
    ] = 0
    ema: Annotated[
        float | None,
        Option(
            "--ema X",
            "Training",
            "Decay of the moving average of the weights, per step.",
            least=0,
            below=1,
        ),
    ] = 0.999
    seed: Seed = 0
    device: Device = None
    precision: Precision = "auto"
    threads: Annotated[int | None, replace(THREADS, role="course")] = None
    save_every: Annotated[
        int,
        Option("--save-every N", "Output", "Steps between checkpoints.", least=1, role="extent"),
    ] = 500
    sample_every: Annotated[
        int,
        Option(
            "--sample-every N", "Output", "Steps between grids of samples.", least=1, role="extent"
        ),
    ] = 500
    resume: Resume = False

    steps_option: ClassVar[str]
    """Name of the option that says how many optimizer steps there are."""

    @property
    def n_steps(self) -> int:
        """Total number of optimizer steps."""
        for name, option in options(type(self)).items():
            if option.name == self.steps_option:
                steps: int = getattr(self, name)
                return steps
        raise NotImplementedError(f"{type(self).__name__} has no option {self.steps_option}")

    @property
    def extendable(self) -> bool:
        """Whether a run may be resumed with more optimizer steps."""
        return self.steps_option not in self.course()

    def loop_options(self) -> dict[str, Any]:
        """Return arguments of `TrainConfig` besides the steps, without those that are unset."""
        named = {name: getattr(self, name) for name in LOOP_OPTIONS}
        return {name: value for name, value in named.items() if value is not None}

    def check(self) -> None:
        """Refuse a decay longer than the training, and shards that do not divide a batch."""
        super().check()
        if self.shards is not None and self.shards.bit_count() != 1:
            raise UserError(f"--shards {self.shards}: must be a power of two; pass --shards 8")
        if self.shards is not None and self.batch_size % self.shards:
            raise UserError(
                f"--shards {self.shards}: must divide --batch-size {self.batch_size}; pass a "
                f"multiple of {self.shards} as --batch-size"
            )
        if self.decay is not None and self.decay > self.n_steps:
            raise UserError(
                f"--decay {self.decay}: exceeds {self.steps_option} {self.n_steps}; pass --decay "
                f"{self.n_steps} or less"
            )


@dataclass(frozen=True, kw_only=True)
class _StepsOption(CommandSettings):
    steps: Annotated[
        int,
        Option("--steps N", "Training", "Total number of optimizer steps.", least=1, role="extent"),
    ] = 5000


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(LoopSettings, _StepsOption):  # --steps before the others
    """The options of a command that trains a model of pictures."""

    steps_option = "--steps"

    size: Annotated[
        tuple[int, int] | None,
        Option(
            "--size N|HxW",
            "Data",
            "Bring pictures to this size: cropped at the centre, then resized.",
            parse=partial(parse_sides, square=True),
        ),
    ] = None
    channels: Annotated[
        int | None,
        Option(
            "--channels 1|3",
            "Data",
            "Number of channels: grey or colour.  [default: as in the data]",
            parse=parse_channels,
        ),
    ] = None

    def recorded(self) -> dict[str, Any]:
        """Return what `summary.json` says of the options, by the names of the fields."""
        recorded = super().recorded()
        if self.size is not None:
            recorded["size"] = "x".join(map(str, self.size))
        return recorded
