"""`Recipe`: how a GAN is trained, and the recipe of each family."""

from dataclasses import dataclass, fields, replace

from unsup_fast.models.base import check_one_of, whole
from unsup_fast.models.gan.augment import AUGMENTATIONS
from unsup_fast.models.gan.losses import LOSSES
from unsup_fast.models.networks.dcgan import NORMS
from unsup_fast.models.training import TrainConfig

OPTIMIZERS = ("adam", "rmsprop")
DISCRIMINATORS = ("own", "projected")
HALF_LIFE = 100_000  # examples in which the averaged generator forgets half, late in training


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the two players are trained.

    Attributes
    ----------
    loss : str
        One of `LOSSES`.
    r1, r2 : float
        Weights gamma of gamma / 2 E|grad D|^2, on real and on generated samples.
    r_final : float
        Factor of both at the end of training, which they approach geometrically. A run that is
        extended goes on at the factor that the larger number of steps gives.
    gradient_penalty : float
        Weight lambda of E(|grad D| - 1)^2 between real and generated samples.
    drift : float
        Weight of E[D(x)^2] of real samples, which keeps a critic's scores near zero.
    penalty_every : int
        Steps between penalties, whose weights are multiplied by it (lazy regularisation, Karras et
        al. 2020).
    mixing : float
        Probability that a sample's styles come from two latents, in a network with styles.
    path_length : float
        Weight of the path lengths' penalty of a network with styles; see `gan.path_length`.
    path_every : int
        Steps between these penalties, whose weight is multiplied by it.
    weight_clip : float
        The discriminator's weights are cut off at this; 0 for no limit.
    spectral_norm : bool
        Whether layers of the discriminator have the spectral norm 1.
    orthogonal : float
        Weight of the squared inner products of the generator's filters; see
        `penalties.orthogonal_penalty`.
    norm : {"batch", "layer", "none"}
        Norm in the discriminator of the network "dcgan".
    n_critic : int
        Batches, and updates of the discriminator, for each update of the generator.
    optimizer : {"adam", "rmsprop"}
    betas : (float, float)
        Of Adam; the second is the smoothing constant of RMSprop.
    learning_rate : float
        That of `train_config`.
    growth : float
        Share of the training's steps in which a network "progressive" grows to its last
        resolution; 0 trains the whole network from the start. See `gan.growing`.
    augment : {"none", "diffaugment", "ada"}
        Augmentation of all pictures that the discriminator sees, for small data: always, or with a
        probability that follows the discriminator's scores; see `gan.augment` and `gan.ada`.
    augment_target : float
        Mean sign of scores of real pictures that "ada" steers to.
    augment_examples : int
        Real pictures over which "ada" can move its probability from 0 to 1. Short runs need fewer.
    discriminator : {"own", "projected"}
        That of `Config.network`, or heads on features of EfficientNet-lite0; see `gan.projected`.
        Judge the latter by other features, such as those of EfficientNet-lite1 or the Inception
        network: a distance of the features that the generator is trained on falls without better
        pictures.
    blur : float
        Standard deviation, in pixels, of a Gaussian blur of all pictures that the discriminator
        sees at first; it falls linearly to 0 (Sauer et al. 2022).
    blur_examples : int
        Real pictures over which it falls.

    Raises
    ------
    ValueError
        If a setting is out of range.
    """

    loss: str = "relativistic"
    r1: float = 0.0
    r2: float = 0.0
    r_final: float = 1.0
    gradient_penalty: float = 0.0
    drift: float = 0.0
    penalty_every: int = 1
    mixing: float = 0.0
    path_length: float = 0.0
    path_every: int = 8
    weight_clip: float = 0.0
    spectral_norm: bool = False
    orthogonal: float = 0.0
    norm: str = "none"
    n_critic: int = 1
    optimizer: str = "adam"
    betas: tuple[float, float] = (0.0, 0.99)
    learning_rate: float = 2e-4
    growth: float = 0.0
    augment: str = "none"
    augment_target: float = 0.6
    augment_examples: int = 500_000
    discriminator: str = "own"
    blur: float = 0.0
    blur_examples: int = 200_000

    def __post_init__(self) -> None:
        check_one_of("loss", self.loss, tuple(LOSSES))
        check_one_of("norm", self.norm, NORMS)
        check_one_of("optimizer", self.optimizer, OPTIMIZERS)
        check_one_of("augment", self.augment, tuple(AUGMENTATIONS))
        check_one_of("discriminator", self.discriminator, DISCRIMINATORS)
        object.__setattr__(self, "betas", tuple(self.betas))
        names = (
            "r1",
            "r2",
            "gradient_penalty",
            "drift",
            "weight_clip",
            "orthogonal",
            "path_length",
        )
        for name in (*names, "blur"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name}={getattr(self, name)} must be at least 0 and finite")
        counts = ("penalty_every", "n_critic", "path_every", "augment_examples", "blur_examples")
        for name in counts:
            object.__setattr__(self, name, whole(name, getattr(self, name)))
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        if not 0 <= self.growth <= 1:
            raise ValueError(f"growth={self.growth} must be from 0, which is none, to 1")
        if not 0 <= self.mixing <= 1:
            raise ValueError(f"mixing={self.mixing} must be a probability, from 0 to 1")
        if not 0 < self.r_final <= 1:
            raise ValueError(f"r_final={self.r_final} must be above 0 and at most 1")
        if self.discriminator == "projected" and self.norm != "none":
            raise ValueError(
                f'norm="{self.norm}" is of the network "dcgan", and discriminator="projected" has '
                'none; pass norm="none"'
            )
        if not 0 < self.augment_target < 1:
            raise ValueError(f"augment_target={self.augment_target} must be between 0 and 1")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas={self.betas} must be two numbers from 0 to below 1")
        if self.norm == "batch" and (self.r1 or self.r2 or self.gradient_penalty):
            raise ValueError(
                'norm="batch" mixes samples, so a penalty on the gradient of each has no meaning; '
                'pass norm="layer" or "none", or leave out r1, r2 and gradient_penalty'
            )

    @property
    def penalizes(self) -> bool:
        """Return whether the discriminator's gradient is penalised."""
        return self.r1 > 0 or self.r2 > 0 or self.gradient_penalty > 0


# Adam keeps its rate and betas: the paper corrects them for penalties with an update of their own
# (appendix B), and here they are added to the loss of an update that there would be anyway.
_STYLEGAN2 = Recipe(
    loss="non-saturating",
    r1=0.01,
    penalty_every=16,
    mixing=0.9,
    path_length=2.0,
    betas=(0.0, 0.99),
    learning_rate=2e-3,
)

FAMILIES = {
    "r3gan": Recipe(r1=1.0, r2=1.0, r_final=0.1),
    "dcgan": Recipe(loss="non-saturating", norm="batch", betas=(0.5, 0.999)),
    "lsgan": Recipe(loss="least-squares", norm="batch", betas=(0.5, 0.999)),
    "wgan": Recipe(
        loss="wasserstein",
        norm="batch",
        weight_clip=0.01,
        n_critic=5,
        optimizer="rmsprop",
        betas=(0.0, 0.99),
        learning_rate=5e-5,
    ),
    "wgan-gp": Recipe(
        loss="wasserstein",
        norm="layer",
        gradient_penalty=10.0,
        n_critic=5,
        betas=(0.0, 0.9),
        learning_rate=1e-4,
    ),
    "progressive": Recipe(
        loss="wasserstein", gradient_penalty=10.0, drift=0.001, learning_rate=1e-3, growth=0.5
    ),
    "biggan": Recipe(loss="hinge", spectral_norm=True, n_critic=2, betas=(0.0, 0.999)),
    "stylegan2": _STYLEGAN2,
    "stylegan": replace(_STYLEGAN2, path_length=0.0),
    "projected": Recipe(
        loss="hinge",
        spectral_norm=True,
        augment="diffaugment",
        discriminator="projected",
        blur=2.0,
    ),
}
"""By name: Huang et al. 2024, Radford et al. 2016, Mao et al. 2017, Arjovsky et al. 2017, Gulrajani
et al. 2017, Karras et al. 2018, Brock et al. 2019, Karras et al. 2020 and 2019, Sauer et al. 2021
and 2022.

The weight of R1 depends on the data. For StyleGAN it is 0.01, that of Karras et al. 2020b (ADA) for
64 pictures of CIFAR-10; their rule for others is 0.0002 H W / batch size. Try values up to a
hundred times as large, above all where `sign` nears 1: the discriminator is then right too often.
"""

NETWORKS = {
    "r3gan": "r3gan",
    "dcgan": "dcgan",
    "lsgan": "dcgan",
    "wgan": "dcgan",
    "wgan-gp": "dcgan",
    "progressive": "progressive",
    "biggan": "biggan",
    "stylegan2": "stylegan2",
    "stylegan": "stylegan",
    "projected": "r3gan",
}
"""By family: the `Config.network` that its recipe is meant for."""


def train_config(family: str = "r3gan", *, steps: int, **settings: float) -> TrainConfig:
    """Return options of training that fit a family.

    They differ from those of other models: no gradient is shortened, since penalties make them
    large by design, the batch size is 64, and the generator's weights are averaged over 100,000
    examples, or a twentieth of a short training.

    Parameters
    ----------
    family : str
        One of `FAMILIES`.
    steps : int
        Updates of the generator.
    **settings
        Other options of `TrainConfig`, which take precedence.

    Raises
    ------
    ValueError
        If the family or an option is unknown or out of range.
    """
    check_one_of("family", family, tuple(FAMILIES))
    known = {field.name for field in fields(TrainConfig)}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise ValueError(f"{unknown} are no options of training; pass some of {sorted(known)}")
    batch_size = settings.get("batch_size", 64)
    half_life = min(HALF_LIFE, max(batch_size, steps * batch_size / 20))
    options = {
        "batch_size": batch_size,
        "learning_rate": FAMILIES[family].learning_rate,
        "clip": float("inf"),
        "decay": steps // 2,
        "ema": 0.5 ** (batch_size / half_life),
        **settings,
    }
    return TrainConfig(steps=steps, **options)
