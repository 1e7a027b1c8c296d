"""`unsup-fast gan mix` and `invert`: the tools of generators with styles, and their report."""

import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")

from unsup_fast.cli import run as command_line  # noqa: E402
from unsup_fast.models import gan  # noqa: E402
from unsup_fast.models.gan import styles  # noqa: E402
from unsup_fast.models.networks import dcgan, stylegan  # noqa: E402

COURSE = ("--model-size", "tiny", "--latent", 6, "--batch-size", 8, "--warmup", 2, "--steps", 3)


@pytest.fixture(autouse=True, scope="module")
def small():
    """Make networks so small that a step takes no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(stylegan.SIZES, "tiny", stylegan.Size(8, 8, 8, 2))
        patch.setitem(dcgan.WIDTHS, "tiny", 4)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small, save_shapes):
    """Return a folder with pictures, runs with styles by class and without, and one of DCGAN."""
    path = tmp_path_factory.mktemp("trained")
    save_shapes(path / "shapes.npz")
    words = ["gan", "train", path / "shapes.npz", *COURSE, "-q"]
    for name, more in (
        ("run", ("--family", "stylegan2")),
        ("plain", ("--family", "stylegan", "--no-labels", "--no-report")),
        ("other", ("--family", "dcgan", "--no-labels", "--no-report")),
    ):
        assert command_line([*map(str, (*words, *more)), "-o", f"{path}/{name}"]) == 0
    return path


@pytest.fixture
def folder(trained, tmp_path):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def as_bytes(images):
    return (images.movedim(-3, -1).numpy() + 1) * 127.5


def test_report(trained):
    page = (trained / "run/report.html").read_text()
    for words in (
        "A GAN (stylegan2, tiny) with 6 latents and the non-saturating loss",
        "Mixed styles",
        "The same seeds with styles drawn to their mean",
        "coarse 5",
        "path length",
    ):
        assert words in page, words


def test_mix(cli, folder):
    words = ("gan", "mix", "run", "--coarse", "0-2", "--fine", "7,9", "--label", 1)
    ran = cli(*words, "-o", "sheet.png")
    assert ran.status == 0, ran.err
    assert "3 x 2 mixed pictures written to sheet.png; fine styles from layer 2 of 4 on" in ran.out
    with Image.open(folder / "sheet.png") as sheet:
        assert sheet.size[0] < sheet.size[1]
    assert cli(*words, "--layer", 1, "-o", "sheet.npz", "-q").status == 0
    model = gan.load(folder / "run")
    w = styles.styles(model, model.latents(seed=(0, 1, 2, 7, 9)), 1)
    with np.load(folder / "sheet.npz") as arrays:
        assert arrays["samples"].shape == (3, 2, 8, 8, 1)
        for i in range(3):
            for j in range(2):
                mixed = styles.mix(model, w[i : i + 1], w[3 + j : 4 + j], 1)
                expected = as_bytes(styles.synthesize(model, mixed))[0]
                assert np.abs(arrays["samples"][i, j] - expected).max() <= 1
        assert np.abs(arrays["fine"] - as_bytes(styles.synthesize(model, w[3:]))).max() <= 1
        assert arrays["coarse_seeds"].tolist() == [0, 1, 2]


def test_invert(cli, folder):
    words = ("gan", "invert", "plain", "shapes.npz", "-n", 3, "--steps", 4)
    ran = cli(*words, "-o", "pairs.png")
    assert ran.status == 0, ran.err
    assert "3 pictures and the nearest of the generator written to pairs.png, PSNR" in ran.out
    assert cli(*words, "--each-layer", "--seed", 1, "-o", "pairs.npz", "-q").status == 0
    model = gan.load(folder / "plain")
    with np.load(folder / "pairs.npz") as arrays:
        w, images, psnr = (arrays[name] for name in ("w", "reconstructions", "psnr"))
        originals = arrays["originals"].astype(float)
    assert w.shape == (3, 4, 8)
    again = as_bytes(styles.synthesize(model, torch.from_numpy(w)))
    assert np.abs(images - again).max() <= 1
    expected = 10 * np.log10(255**2 / ((originals - again) ** 2).mean((1, 2, 3)))
    assert psnr == pytest.approx(expected, abs=0.1)


def test_a_path_between_styles_of_psi_zero_is_one_picture(cli, folder):
    words = ("gan", "interpolate", "plain", "--seeds", "0-1", "-n", 3, "--truncation", 0)
    assert cli(*words, "-o", "s.npz", "-q").status == 0
    with np.load(folder / "s.npz") as arrays:
        samples = arrays["samples"].astype(int)  # [1, 3, 8, 8, 1]
    assert np.ptp(samples, axis=1).max() <= 1


def test_truncation_is_psi(cli, folder):
    words = ("gan", "sample", "plain", "-n", 4, "--truncation", 0, "-o", "s.npz", "-q")
    assert cli(*words).status == 0
    with np.load(folder / "s.npz") as arrays:
        samples = arrays["samples"].astype(int)
    model = gan.load(folder / "plain")
    expected = as_bytes(model.sample(4, seed=0, truncation=0.0))
    assert np.abs(samples - expected).max() <= 1


BAD = {
    "no styles": (
        ["mix", "other", "-o", "s.png"],
        "RUN: its generator (dcgan) has no styles; train one with --family stylegan2 or stylegan",
    ),
    "nothing to invert by": (
        ["invert", "other", "shapes.npz", "-o", "s.png"],
        "RUN: its generator (dcgan) has no styles",
    ),
    "layer": (
        ["mix", "plain", "--layer", 5, "-o", "s.png"],
        "--layer 5: the generator has 4 layers; pass --layer 4 or less",
    ),
    "no label": (["mix", "run", "-o", "s.png"], "--label: the model has classes; name one"),
    "two labels": (
        ["mix", "run", "--label", "all", "-o", "s.png"],
        "--label all: a sheet is of one class; name one, by name or number",
    ),
    "truncation": (
        ["sample", "other", "--truncation", 0, "-o", "s.png"],
        "--truncation 0: is for generators with styles; pass a limit of latents above 0",
    ),
    "mixing": (
        ["train", "shapes.npz", "--mixing", 0.5, "-o", "out"],
        "--mixing 0.5: is for --family stylegan2 or stylegan; leave it out",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(cli, folder, name):
    words, said = BAD[name]
    ran = cli("gan", *words)
    assert ran.status == 2
    assert said in ran.err
    assert ran.err.startswith("error: ")
    assert not (folder / "s.png").exists()
