"""The options of the commands of variational autoencoders."""

import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, ClassVar

from unsup_fast.cli.errors import UserError
from unsup_fast.cli.options import JsonSettings, OverwriteFile, Quiet, Seed
from unsup_fast.cli.settings import CommandSettings, Option, options, shown
from unsup_fast.cli.training.options import (
    MODEL_SIZE,
    Device,
    PictureSettings,
    RunArgument,
    SamplesSettings,
    TrainingSettings,
)

SIZES = {"mlp": ("tiny", "small", "base", "large"), "conv": ("tiny", "small", "base")}
KL = "kl"
"""The network of a KL autoencoder."""
# The options of the one and of the other kind of network, by the names of the fields.
OF_VAE = ("latent", "likelihood", "beta", "beta_warmup", "free_bits", "importance_samples")
OF_KL = (
    "latent_channels",
    "kl_weight",
    "perceptual_weight",
    "equivariance",
    "critic_weight",
    "critic_start",
)
MOST_LATENTS = 1 << 20


def parse_latents(option: str, text: str) -> tuple[int, ...]:
    """Return numbers of latents, each once, from a list such as 3,0,17."""
    if not re.fullmatch("[0-9]{1,7}(,[0-9]{1,7})*", text):
        raise UserError(f"{option} {shown(text)}: write numbers with commas, as in 0,3,17")
    return tuple(dict.fromkeys(map(int, text.split(","))))


@dataclass(frozen=True, kw_only=True)
class TrainSettings(TrainingSettings):
    """Train a variational autoencoder of the pictures in DATA; model and report go into RUN.

    Pictures with classes make a model that is conditional on them; --no-labels leaves them out.
    Ctrl-C saves, and prints the command to resume; so does --minutes.
    """

    runner = "unsup_fast.cli.vae.train:run"

    network: Annotated[
        str,
        Option(
            "--network",
            "Network",
            "Matrices, strided convolutions, or the KL autoencoder of latent diffusion.",
            choices=("mlp", "conv", KL),
        ),
    ] = "mlp"
    model_size: Annotated[
        str, replace(MODEL_SIZE, help="Size of the network; conv has no large.")
    ] = "small"
    latent: Annotated[
        int,
        Option("--latent N", "Model", "Number of latents.", least=1, most=MOST_LATENTS),
    ] = 50
    likelihood: Annotated[
        str,
        Option(
            "--likelihood NAME",
            "Model",
            "What the decoder says of a pixel: bernoulli (black or white, drawn anew each time by "
            "its grey value), gaussian (one learned variance) or logistic (a probability for each "
            "of the 256 values).",
            choices=("bernoulli", "gaussian", "logistic"),
        ),
    ] = "bernoulli"
    beta: Annotated[
        float,
        Option("--beta X", "Training", "Weight of the KL divergence.", least=0),
    ] = 1.0
    beta_warmup: Annotated[
        int,
        Option("--beta-warmup STEPS", "Training", "Linear rise of beta from 0, in steps.", least=0),
    ] = 0
    free_bits: Annotated[
        float,
        Option("--free-bits X", "Training", "Nats of each latent that cost nothing.", least=0),
    ] = 0.0
    importance_samples: Annotated[
        int,
        Option(
            "--importance-samples K",
            "Training",
            "Draws of the latents of each picture: more than 1 trains the importance-weighted "
            "bound.",
            least=1,
        ),
    ] = 1
    latent_channels: Annotated[
        int,
        Option(
            "--latent-channels N",
            "Model",
            "Channels of the latents of --network kl, which are maps.",
            least=1,
            most=1024,
        ),
    ] = 4
    kl_weight: Annotated[
        float,
        Option("--kl-weight X", "Training", "Weight of the KL of --network kl.", least=0),
    ] = 1e-6
    perceptual_weight: Annotated[
        float,
        Option(
            "--perceptual-weight X",
            "Training",
            "Weight of the perceptual distance of --network kl; 0 leaves it out.",
            least=0,
        ),
    ] = 0.5
    equivariance: Annotated[
        float,
        Option(
            "--equivariance X",
            "Training",
            "Share of the steps of --network kl that decode turned or shrunk latents.",
            least=0,
            most=1,
        ),
    ] = 0.5
    critic_weight: Annotated[
        float,
        Option(
            "--critic-weight X",
            "Training",
            "Weight of a critic of patches that --network kl is trained against, such as 0.5; 0 "
            "trains none.",
            least=0,
        ),
    ] = 0.0
    critic_start: Annotated[
        int,
        Option(
            "--critic-start STEP",
            "Training",
            "Step from which the autoencoder sees the critic, which learns from the first.",
            least=0,
        ),
    ] = 0
    start: Annotated[
        Path | None,
        Option(
            "--start RUN",
            "Training",
            "Begin with the weights of another run of the same network.  [default: random ones]",
            role="extent",
        ),
    ] = None

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast vae train --data digits -o run --latent 8 --steps 2000",
        "unsup-fast vae train digits.npz -o run --no-labels --beta-warmup 2000 --minutes 30",
        "unsup-fast vae train digits.npz -o fine --no-labels --start run --importance-samples 5",
        "unsup-fast vae train photos/ --size 64 -o run --network kl --minutes 60",
    )

    def check(self) -> None:
        """Refuse a size that the network does not have, and objectives that exclude each other."""
        super().check()
        others = OF_VAE if self.network == KL else OF_KL
        defaults = {field.name: field.default for field in fields(self)}
        for name in others:
            if getattr(self, name) != defaults[name]:
                option = options(type(self))[name].name
                wanted = "mlp or conv" if self.network == KL else KL
                raise UserError(f"{option}: is for --network {wanted}; leave it out")
        if self.model_size not in SIZES.get(self.network, SIZES["mlp"]):
            raise UserError(
                f"--model-size {self.model_size}: --network {self.network} has the sizes "
                f"{', '.join(SIZES[self.network])}; pass one of them"
            )
        if self.critic_weight and self.critic_start >= self.n_steps:
            raise UserError(
                f"--critic-start {self.critic_start}: the autoencoder never sees a critic that "
                f"joins after --steps {self.n_steps}; pass --critic-start {self.n_steps // 2} or "
                "--critic-weight 0"
            )
        if self.importance_samples > 1:
            for name, value, default in (
                ("--beta", self.beta, 1),
                ("--beta-warmup", self.beta_warmup, 0),
                ("--free-bits", self.free_bits, 0),
            ):
                if value != default:
                    raise UserError(
                        f"{name} {value:g}: --importance-samples {self.importance_samples} trains "
                        f"a bound without a separate divergence; leave one of them out"
                    )
        if self.free_bits and self.shards is not None and self.shards > 1:
            raise UserError(
                f"--free-bits {self.free_bits:g}: are of the mean over a whole batch, which "
                f"--shards {self.shards} computes in parts; leave one of them out"
            )
        if self.critic_start and not self.critic_weight:
            raise UserError(
                f"--critic-start {self.critic_start}: there is no critic; pass --critic-weight too"
            )
        if self.start is not None:
            from unsup_fast.cli.kinds import check_run

            check_run(self.start, "vae train --start")


@dataclass(frozen=True, kw_only=True)
class SampleSettings(SamplesSettings):
    """Make new pictures by the model of a training RUN: the means that it decodes.

    A model without classes takes no --label.
    """

    runner = "unsup_fast.cli.vae.sample:run"
    command = "vae sample"

    temperature: Annotated[
        float,
        Option(
            "--temperature X",
            "Sampling",
            "Standard deviation of the latents; below 1 pictures are more typical and more alike.",
            least=0,
        ),
    ] = 1.0
    seed: Seed = 0
    device: Device = None

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast vae sample run -n 100 -o grid.png",
        "unsup-fast vae sample run -n 1000 --label 3 --temperature 0.8 -o threes.npz",
    )


@dataclass(frozen=True, kw_only=True)
class ModelOnPictures(PictureSettings, RunArgument):
    """The options of a command that applies a model to pictures."""

    seed: Seed = 0
    device: Device = None


@dataclass(frozen=True, kw_only=True)
class ReconstructSettings(ModelOnPictures):
    """Encode pictures of DATA and decode the means of their latents."""

    runner = "unsup_fast.cli.vae.reconstruct:run"
    command = "vae reconstruct"

    out: Annotated[
        Path,
        Option(
            "-o --out FILE",
            "Output",
            "A .png, each row of pictures above that of its reconstructions, or an .npz with "
            "originals and reconstructions [N, H, W, C].",
            role="course",
        ),
    ]
    n: Annotated[
        int, Option("-n N", "Data", "Pictures of DATA, drawn at random; 0: all.", least=0)
    ] = 32
    overwrite: OverwriteFile = False
    quiet: Quiet = False

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast vae reconstruct run digits.npz -o pairs.png",
        "unsup-fast vae reconstruct run digits.npz -n 0 -o pairs.npz",
    )


@dataclass(frozen=True, kw_only=True)
class TraverseSettings(ModelOnPictures):
    """Decode the latents of a picture while one of them at a time takes other values.

    DATA are by default the pictures that RUN was trained on.
    """

    runner = "unsup_fast.cli.vae.traverse:run"
    command = "vae traverse"
    needs_data = False

    out: Annotated[
        Path,
        Option(
            "-o --out FILE",
            "Output",
            "A .png with a latent in each row, or an .npz with pictures [L, V, H, W, C], latents "
            "and values.",
            role="course",
        ),
    ]
    picture: Annotated[
        int, Option("--picture N", "Data", "Which picture of DATA, counted from 0.", least=0)
    ] = 0
    latents: Annotated[
        tuple[int, ...] | None,
        Option(
            "--latents A,B,C",
            "Sampling",
            "Which latents.  [default: the eight with the largest KL over DATA]",
            parse=parse_latents,
        ),
    ] = None
    span: Annotated[
        float,
        Option("--span X", "Sampling", "Values go from -X to X.", above=0),
    ] = 3.0
    columns: Annotated[int, Option("--columns N", "Sampling", "Number of values.", least=2)] = 9
    overwrite: OverwriteFile = False
    quiet: Quiet = False

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast vae traverse run -o traverse.png",
        "unsup-fast vae traverse run digits.npz --picture 7 --latents 0,3 -o traverse.npz",
    )

    def check(self) -> None:
        """Refuse options of DATA without DATA."""
        from unsup_fast.cli.training import trained_on

        super().check()
        trained_on.check(self)


@dataclass(frozen=True, kw_only=True)
class EncodeSettings(ModelOnPictures):
    """Write the latents of the pictures in DATA, their means or draws, for other commands to read.

    Labels are carried along if there are any.
    """

    runner = "unsup_fast.cli.vae.encode:run"
    command = "vae encode"

    out: Annotated[
        Path,
        Option(
            "-o --out FILE",
            "Output",
            "An .npz with latents, and labels as text; a .npy of latents alone; or a .parquet or "
            ".csv, whose last column is the label.",
            role="course",
        ),
    ]
    sample: Annotated[
        bool,
        Option("--sample", "Sampling", "Write a draw of the latents of each picture, by --seed."),
    ] = False
    overwrite: OverwriteFile = False
    quiet: Quiet = False

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast vae encode run digits.npz -o latents.npz",
        "unsup-fast kmeans latents.npz -k 10 -o clusters",
    )


@dataclass(frozen=True, kw_only=True)
class EvalSettings(ModelOnPictures, JsonSettings):
    """Print the likelihood of DATA by the model of a RUN, its bounds, and the active latents."""

    runner = "unsup_fast.cli.vae.evaluate:run"
    command = "vae eval"

    n: Annotated[
        int | None,
        Option(
            "-n N", "Data", "Pictures of DATA, drawn at random.  [default: up to 1,000]", least=1
        ),
    ] = None
    samples: Annotated[
        int,
        Option(
            "--samples K",
            "Scores",
            "Draws of the latents of each picture that the likelihood is estimated from.",
            least=1,
        ),
    ] = 500
    batch_size: Annotated[
        int | None,
        Option(
            "--batch-size N",
            "Performance",
            "Latents that are decoded at a time.  [default: as the cache allows]",
            least=1,
            role="course",
        ),
    ] = None

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast vae eval run test.npz --samples 500",
        "unsup-fast vae eval run test.npz -n 200 --samples 5000 -o scores.json",
    )


COMMANDS: dict[str, type[CommandSettings]] = {
    "train": TrainSettings,
    "sample": SampleSettings,
    "reconstruct": ReconstructSettings,
    "traverse": TraverseSettings,
    "encode": EncodeSettings,
    "eval": EvalSettings,
}
