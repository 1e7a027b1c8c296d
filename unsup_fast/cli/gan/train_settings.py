"""The options of `unsup-fast gan train`."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from unsup_fast.cli.errors import UserError
from unsup_fast.cli.features import ComparisonSettings
from unsup_fast.cli.settings import Option, options
from unsup_fast.cli.training.options import MODEL_SIZE, TrainingSettings

FAMILIES = (
    "r3gan",
    "dcgan",
    "lsgan",
    "wgan",
    "wgan-gp",
    "progressive",
    "biggan",
    "stylegan2",
    "stylegan",
    "projected",
)
STYLED = ("stylegan2", "stylegan")
"""Families whose generator has styles."""
NORMED = ("dcgan", "lsgan", "wgan", "wgan-gp")
"""Families whose discriminator may have norms."""
EQUALIZED = ("progressive", *STYLED)
"""Families whose layers have an equalised learning rate."""
BATCH_NORMED = ("dcgan", "lsgan", "wgan")
"""Families whose discriminator has batch norms, unless --norm says otherwise."""
LOSSES = ("minimax", "non-saturating", "least-squares", "wasserstein", "hinge", "relativistic")
NORMS = ("batch", "layer", "none")
CONDITIONINGS = ("projection", "concat")
AUGMENTATIONS = ("none", "diffaugment", "ada")
DISCRIMINATORS = ("own", "projected")
MOST_LATENTS = 1 << 16
COMPARED, LOOP = options(ComparisonSettings), options(TrainingSettings)


@dataclass(frozen=True, kw_only=True)
class TrainSettings(TrainingSettings, ComparisonSettings):
    """Train a GAN of the pictures in DATA; model, samples and a report go into RUN.

    A family is a preset: the options of losses, penalties and training override its parts.
    Pictures with classes make a model that is conditional on them. If training fails, a warning
    says how. Ctrl-C saves, and prints the command to resume; so does --minutes.
    """

    runner = "unsup_fast.cli.gan.family:train"

    family: Annotated[
        str,
        Option(
            "--family NAME",
            "Model",
            "r3gan (residual network, relativistic loss, R1 and R2), dcgan, lsgan, wgan (clipped "
            "weights), wgan-gp (gradient penalty), progressive (grows from small pictures), biggan "
            "(self-attention, spectral norms, norms by class), stylegan2 and stylegan (a style for "
            "each layer) or projected (the discriminator "
            "sees features of EfficientNet-lite0).",
            choices=FAMILIES,
        ),
    ] = "r3gan"
    model_size: Annotated[str, MODEL_SIZE] = "small"
    latent: Annotated[
        int, Option("--latent N", "Model", "Number of latents.", least=1, most=MOST_LATENTS)
    ] = 64
    conditioning: Annotated[
        str,
        Option(
            "--conditioning",
            "Model",
            "How the discriminator learns of the class: an inner product with its features, or one "
            "more channel.",
            choices=CONDITIONINGS,
        ),
    ] = "projection"
    loss: Annotated[
        str | None,
        Option(
            "--loss NAME",
            "Training",
            f"{', '.join(LOSSES[:-1])} or {LOSSES[-1]}.  [default: the family's]",
            choices=LOSSES,
        ),
    ] = None
    norm: Annotated[
        str | None,
        Option(
            "--norm",
            "Network",
            "Norm in the discriminator of dcgan, lsgan, wgan and wgan-gp.  [default: the family's]",
            choices=NORMS,
        ),
    ] = None
    r1: Annotated[
        float | None,
        Option(
            "--r1 X",
            "Training",
            "Weight of the squared gradient at real pictures.  [default: the family's]",
            least=0,
        ),
    ] = None
    r2: Annotated[
        float | None,
        Option(
            "--r2 X",
            "Training",
            "Weight of the squared gradient at generated pictures.  [default: the family's]",
            least=0,
        ),
    ] = None
    r_final: Annotated[
        float | None,
        Option(
            "--r-final X",
            "Training",
            "Factor of both at the end of training.  [default: the family's]",
            above=0,
            most=1,
        ),
    ] = None
    gradient_penalty: Annotated[
        float | None,
        Option(
            "--gradient-penalty X",
            "Training",
            "Weight of (norm of the gradient - 1)^2 between real and generated pictures.  "
            "[default: the family's]",
            least=0,
        ),
    ] = None
    drift: Annotated[
        float | None,
        Option(
            "--drift X",
            "Training",
            "Weight of the squared scores of real pictures.  [default: the family's]",
            least=0,
        ),
    ] = None
    orthogonal: Annotated[
        float | None,
        Option(
            "--orthogonal X",
            "Training",
            "Weight of the inner products of different filters of the generator.  [default: the "
            "family's]",
            least=0,
        ),
    ] = None
    augment: Annotated[
        str | None,
        Option(
            "--augment",
            "Training",
            "Augment what the discriminator sees, for small data: always (diffaugment), or with a "
            "probability that its scores steer (ada).  [default: the family's]",
            choices=AUGMENTATIONS,
        ),
    ] = None
    augment_target: Annotated[
        float | None,
        Option(
            "--augment-target X",
            "Training",
            "Mean sign of the scores of real pictures that ada steers to.  [default: 0.6]",
            above=0,
            below=1,
        ),
    ] = None
    augment_examples: Annotated[
        int | None,
        Option(
            "--augment-examples N",
            "Training",
            "Pictures in which ada can go from never to always; fewer for short trainings.  "
            "[default: 500,000]",
            least=1,
        ),
    ] = None
    discriminator: Annotated[
        str | None,
        Option(
            "--discriminator",
            "Model",
            "The network's own, or heads on features of EfficientNet-lite0 (projected); then judge "
            "by others, --features lite1.  [default: the family's]",
            choices=DISCRIMINATORS,
        ),
    ] = None
    blur: Annotated[
        float | None,
        Option(
            "--blur X",
            "Training",
            "Blur, in pixels, of what the discriminator sees at first.  [default: the family's]",
            least=0,
        ),
    ] = None
    mixing: Annotated[
        float | None,
        Option(
            "--mixing X",
            "Training",
            "Probability that the styles of a picture come from two latents.  [default: the "
            "family's]",
            least=0,
            most=1,
        ),
    ] = None
    path_length: Annotated[
        float | None,
        Option(
            "--path-length X",
            "Training",
            "Weight of how much the lengths of paths of pictures differ, for styles.  [default: "
            "the family's]",
            least=0,
        ),
    ] = None
    path_every: Annotated[
        int | None,
        Option(
            "--path-every N",
            "Training",
            "Steps between path lengths.  [default: the family's]",
            least=1,
        ),
    ] = None
    blur_examples: Annotated[
        int | None,
        Option(
            "--blur-examples N",
            "Training",
            "Pictures over which the blur falls to 0.  [default: 200,000, or half of a short "
            "training]",
            least=1,
        ),
    ] = None
    growth: Annotated[
        float | None,
        Option(
            "--growth X",
            "Training",
            "Share of the steps in which progressive grows to full resolution.  [default: the "
            "family's]",
            least=0,
            most=1,
        ),
    ] = None
    penalty_every: Annotated[
        int | None,
        Option(
            "--penalty-every N",
            "Training",
            "Steps between penalties, which are then N times as large.  [default: the family's]",
            least=1,
        ),
    ] = None
    weight_clip: Annotated[
        float | None,
        Option(
            "--weight-clip X",
            "Training",
            "Cut the discriminator's weights off at X; 0: do not.  [default: the family's]",
            least=0,
        ),
    ] = None
    spectral_norm: Annotated[
        bool | None,
        Option(
            "--spectral-norm/--no-spectral-norm",
            "Training",
            "Give the discriminator's layers spectral norm 1.  [default: the family's]",
        ),
    ] = None
    n_critic: Annotated[
        int | None,
        Option(
            "--n-critic N",
            "Training",
            "Updates of the discriminator, each with a batch, for one of the generator.  "
            "[default: the family's]",
            least=1,
        ),
    ] = None
    batch_size: Annotated[
        int, replace(LOOP["batch_size"], help="Pictures per update of the discriminator.")
    ] = 64
    learning_rate: Annotated[
        float | None,
        replace(LOOP["learning_rate"], help="Peak learning rate.  [default: the family's]"),
    ] = None
    decay: Annotated[
        int | None,
        replace(
            LOOP["decay"],
            help="Linear decay at the end, in steps.  [default: half of the steps; of a run that "
            "is resumed: as before]",
        ),
    ] = None
    ema: Annotated[
        float | None,
        replace(
            LOOP["ema"],
            help="Decay of the moving average of the generator's weights, per step.  [default: "
            "half is forgotten in 100,000 pictures, or a twentieth of a short training]",
        ),
    ] = None
    graphs: Annotated[
        bool,
        Option(
            "--graphs",
            "Training",
            "Run each update as a CUDA graph, which saves the time to launch its kernels; on one "
            "GPU.",
            role="course",
        ),
    ] = False
    features: Annotated[
        str | None,
        replace(
            COMPARED["features"],
            help="Judge samples during training by the Frechet distance of these features: scores "
            "go into scores.csv, the best weights into best.safetensors.",
            role="course",
        ),
    ] = None
    resize: Annotated[str, replace(COMPARED["resize"], role="course")] = "tensorflow"
    judge_every: Annotated[
        int,
        Option(
            "--judge-every N",
            "Output",
            "Steps between scores, for --features.",
            least=1,
            role="extent",
        ),
    ] = 2500
    judge_samples: Annotated[
        int,
        Option(
            "--judge-samples N",
            "Scores",
            "Samples of each score, and pictures of DATA, drawn at random.",
            least=2,
        ),
    ] = 2000

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast gan train --data digits -o run --model-size tiny --steps 2000",
        "unsup-fast gan train photos/ --size 32 -o run --minutes 60 --features lite0",
        "unsup-fast gan train photos/ --size 32 -o wgan --family wgan-gp --steps 20000",
    )

    def check(self) -> None:
        """Refuse parts that the family's network does not have, and that exclude each other."""
        super().check()
        if self.family not in NORMED and self.norm is not None:
            raise UserError(
                f"--norm {self.norm}: --family {self.family} has no norms; leave --norm out"
            )
        if self.growth is not None and self.family != "progressive":
            raise UserError(
                f"--growth {self.growth:g}: is for --family progressive; leave --growth out"
            )
        if self.discriminator == "projected":
            self._check_projected()
        heads = self.family == "projected" or self.discriminator == "projected"
        if self.shards is not None and (
            self.spectral_norm or (self.spectral_norm is None and self.family == "projected")
        ):
            raise UserError(
                f"--shards {self.shards}: each step of spectral norms changes numbers that shards "
                "need unchanged; leave --shards out, or pass --no-spectral-norm"
            )
        for name in ("augment_target", "augment_examples"):
            if getattr(self, name) is not None and self.augment != "ada":
                raise UserError(
                    f"{options(type(self))[name].name} {getattr(self, name):g}: is for --augment "
                    "ada; leave it out"
                )
        if self.blur and self.family == "progressive" and self.growth != 0:
            raise UserError(
                f"--blur {self.blur:g}: would hide the small pictures that --family progressive "
                "begins with; leave it out"
            )
        if self.spectral_norm and self.family in EQUALIZED and not heads:
            raise UserError(
                f"--spectral-norm: weights of --family {self.family} have an equalised learning "
                "rate instead; leave --spectral-norm out"
            )
        for name in ("mixing", "path_length", "path_every"):
            if getattr(self, name) is not None and self.family not in STYLED:
                raise UserError(
                    f"{options(type(self))[name].name} {getattr(self, name):g}: is for --family "
                    "stylegan2 or stylegan; leave it out"
                )
        if self.shards is not None and self.family in EQUALIZED:
            raise UserError(
                f"--shards {self.shards}: networks of --family {self.family} have numbers that "
                "each step changes; leave --shards out, or pass --family r3gan"
            )
        if self.augment == "ada" and self.shards is not None:
            raise UserError(
                f"--augment ada: moves a probability in steps, which --shards {self.shards} does "
                "not allow; leave --shards out, or pass --augment diffaugment"
            )
        if self.family in (*NORMED, "biggan") and self.shards is not None:
            raise UserError(
                f"--shards {self.shards}: --family {self.family} has batch norms, whose statistics "
                "depend on the shards; leave --shards out, or pass --family r3gan"
            )
        default = "batch" if self.family in BATCH_NORMED else "none"
        if self.family == "wgan-gp" and self.norm == "batch" and self.gradient_penalty is None:
            raise UserError(
                "--norm batch: --family wgan-gp penalises the gradient of each picture, and batch "
                "norms mix pictures; pass --norm layer or none, or --gradient-penalty 0"
            )
        for name in ("r1", "r2", "gradient_penalty"):
            if getattr(self, name) and (self.norm or default) == "batch":
                raise UserError(
                    f"{options(type(self))[name].name} {getattr(self, name):g}: penalises the "
                    "gradient of each picture, and batch norms mix pictures; pass --norm layer or "
                    "none too"
                )

    def _check_projected(self) -> None:
        """Refuse what a discriminator of heads on features does not have."""
        if self.family in NORMED and self.norm != "none":
            raise UserError(
                f"--discriminator projected: has no norms, and --family {self.family} has; pass "
                "--norm none too"
            )
        if self.family == "progressive" and self.growth != 0:
            raise UserError(
                "--discriminator projected: does not grow as --family progressive does; pass "
                "--growth 0 too"
            )
