"""`unsup-fast vae train --network kl`, and diffusion models of its latents."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")

import unsup_fast  # noqa: E402
from unsup_fast import metrics, pictures  # noqa: E402
from unsup_fast.cli import run as command_line  # noqa: E402
from unsup_fast.cli.diffusion import distill_pages, pages  # noqa: E402
from unsup_fast.cli.training import samples  # noqa: E402
from unsup_fast.cli.vae import autoencoder  # noqa: E402
from unsup_fast.models import diffusion, vae  # noqa: E402
from unsup_fast.models.diffusion.distillation import quality  # noqa: E402
from unsup_fast.models.diffusion.distillation.run import OPTIONS  # noqa: E402
from unsup_fast.models.networks import unet  # noqa: E402
from unsup_fast.models.networks.patch import PatchDiscriminator  # noqa: E402

FEW = ("--batch-size", 8, "--warmup", 2, "--save-every", 2, "--sample-every", 4)
KL = ("--network", "kl", "--model-size", "tiny", "--perceptual-weight", 0, *FEW)


@pytest.fixture(autouse=True, scope="module")
def small():
    """Make networks so small, and samples so few, that a step takes no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(autoencoder.CHANNELS, "tiny", (8, 8, 8))
        patch.setitem(unet.SIZES, "tiny", unet.Size(8, (1, 2), 1, ()))
        patch.setattr(samples, "ROW", 2)
        patch.setattr(pages, "STEPS", 2)
        patch.setattr(distill_pages, "TEACHER_STEPS", 2)
        patch.setattr(quality, "STEPS", (1, 2))
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small, save_shapes):
    """Return a folder with pictures, an autoencoder of them, and their latents."""
    path = tmp_path_factory.mktemp("trained")
    save_shapes(path / "shapes.npz")
    words = ["vae", "train", path / "shapes.npz", *KL, "--steps", 4, "-o", path / "run", "-q"]
    assert command_line([*map(str, words)]) == 0
    words = ["vae", "encode", path / "run", path / "shapes.npz", "-o", path / "z.npz", "-q"]
    assert command_line([*map(str, words)]) == 0
    return path


@pytest.fixture
def folder(trained, tmp_path):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_train(trained):
    summary = json.loads((trained / "run/summary.json").read_text())
    assert summary["command"] == "vae train"
    assert summary["result"]["steps"] == 4
    model = unsup_fast.load(trained / "run")
    assert isinstance(model, vae.AutoencoderKL)
    assert model.config.latent_shape == (4, 2, 2)
    with Image.open(trained / "run/samples/000004.png") as picture:
        assert picture.size == (8 * 10 - 2, 8 * 10 - 2)  # 32 pictures, each above its own
    page = (trained / "run/report.html").read_text()
    for words in ("A tiny KL autoencoder with latents 4 x 2 x 2", "channel 3", "PSNR", "decoded"):
        assert words in page
    assert page.count('src="data:image/png') == 1 + 2 + 4


def test_encode_and_reconstruct(cli, folder):
    model, x = unsup_fast.load(folder / "run"), np.load(folder / "shapes.npz")["x"][:, None]
    saved = np.load(folder / "z.npz")
    np.testing.assert_allclose(saved["latents"], model.latents(x), rtol=1e-4, atol=1e-5)
    assert saved["labels"].tolist() == np.load(folder / "shapes.npz")["y"].tolist()
    words = ["vae", "encode", "run", "shapes.npz"]
    assert cli(*words, "--sample", "--seed", 3, "-o", "z.npy").status == 0
    expected = model.latents(x, seed=3)
    np.testing.assert_allclose(np.load(folder / "z.npy"), expected, rtol=1e-4, atol=1e-5)
    ran = cli(*words, "-o", "z.csv")
    assert ran.status == 2
    assert "-o z.csv: the latents of a KL autoencoder are maps" in ran.err
    ran = cli("vae", "reconstruct", "run", "shapes.npz", "-n", 0, "-o", "p.npz")
    assert ran.status == 0, ran.err
    expected = np.moveaxis(pictures.to_bytes(model.reconstruct(x)), 1, -1)
    rebuilt = np.load(folder / "p.npz")["reconstructions"]
    np.testing.assert_allclose(rebuilt.astype(int), expected.astype(int), atol=1)


def test_resume_and_start(cli, folder):
    words = ["vae", "train", "shapes.npz", *KL, "--no-report"]
    ran = cli(*words, "--steps", 6, "-o", "run", "--resume")
    assert ran.status == 0, ran.err
    assert "Going on after 4 steps" in ran.out
    ran = cli(*words, "--steps", 1, "--start", "run", "-o", "more")
    assert ran.status == 0, ran.err
    ran = cli(*words, "--steps", 1, "--start", "run", "--latent-channels", 2, "-o", "other")
    assert ran.status == 2
    assert "--start run: its model has other layers (4 latent channels" in ran.err


def test_critic(cli, folder):
    words = ["vae", "train", "shapes.npz", *KL, "--no-report", "--critic-weight", 0.5]
    ran = cli(*words, "--critic-start", 1, "--steps", 2, "-o", "sharp")
    assert ran.status == 0, ran.err
    header, *lines = (folder / "sharp/metrics.csv").read_text().splitlines()
    row = dict(zip(header.split(","), map(float, lines[-1].split(",")), strict=True))
    assert row["balance"] > 0  # the mean since the last line, in which a step may have none
    ran = cli(*words, "--critic-start", 1, "--steps", 3, "-o", "sharp", "--resume")
    assert ran.status == 0, ran.err
    assert "Going on after 2 steps" in ran.out
    family = autoencoder.AutoencoderFamily()
    plan = SimpleNamespace(network=unsup_fast.load("sharp").network.to("meta"))
    alone = family.step_bytes(plan, (1, 8, 8))
    family._critic = PatchDiscriminator((1, 8, 8)).to("meta")
    # maps of 16 channels, 4 x 4, and 32, 3 x 3, then the one of scores, of 2 x 2
    assert family.step_bytes(plan, (1, 8, 8)) == alone + 4 * (16 * 16 + 32 * 9 + 2 * 4)
    for more, said in (
        ((*words[:-2], "--critic-start", 3), "--critic-start 3: there is no critic"),
        (("vae", "train", "shapes.npz", "--critic-weight", 1), "--critic-weight: is for --network"),
    ):
        ran = cli(*more, "--steps", 1, "-o", "other")
        assert ran.status == 2
        assert said in ran.err


def test_diffusion_of_latents(cli, folder):
    words = ["diffusion", "train", "z.npz", "--model-size", "tiny", "--patch", 1, *FEW]
    ran = cli(*words, "--steps", 2, "-o", "model")
    assert ran.status == 0, ran.err
    assert "40 samples of latents, 4 x 2 x 2, 2 classes" in ran.out
    model = diffusion.load(folder / "model")
    assert model.config.clip is None
    assert model.config.classes == ("square", "stripe")
    assert "40 samples of latents, 4 x 2 x 2" in (folder / "model/report.html").read_text()
    words = ["diffusion", "sample", "model", "-n", 4, "--steps", 2]
    assert cli(*words, "-o", "s.npz").status == 0
    latents = np.load(folder / "s.npz")["latents"]
    assert latents.shape == (4, 4, 2, 2)
    ran = cli(*words, "--decoder", "run", "-o", "d.npz")
    assert ran.status == 0, ran.err
    expected = unsup_fast.load(folder / "run").pictures(torch.from_numpy(latents))
    expected = np.moveaxis(pictures.to_bytes(expected), 1, -1)
    decoded = np.load(folder / "d.npz")["samples"]
    np.testing.assert_allclose(decoded.astype(int), expected.astype(int), atol=1)
    for more, said in (
        ((*words, "-o", "s.png"), "-o s.png: the model makes latents; pass --decoder"),
        (("diffusion", "eval", "model", "shapes.npz"), "model: its model makes latents; pass --de"),
        ((*EVAL, "--decoder", "run"), "--decoder: the model has no bits per dimension of pictures"),
        ((*EVAL, "--decoder", "run", "--features", "none", "-n", 9), "-n 9: is for bits per dimen"),
        (
            ("diffusion", "distill", "model", "shapes.npz", "-o", "fast"),
            "shapes.npz: holds pictures, and the model makes latents; pass an .npz of",
        ),
        (
            ("diffusion", "train", "z.npz", "--size", 8, "-o", "o"),
            "z.npz: holds latents, which keep their shape; leave out --size",
        ),
    ):
        ran = cli(*more)
        assert ran.status == 2
        assert said in ran.err


EVAL = ("diffusion", "eval", "model", "shapes.npz")


def test_eval_of_latents(cli, folder):
    """The distance is that of decoded samples, which `diffusion sample` draws, and pictures."""
    words = ["diffusion", "train", "z.npz", "--model-size", "tiny", "--patch", 1, *FEW]
    words += ["--no-labels", "--no-report"]
    assert cli(*words, "--steps", 2, "-o", "model").status == 0
    few = ("--decoder", "run", "--steps", 2, "--seed", 5)
    ran = cli(*EVAL, *few, "--samples", 20, "--features", "none", "--json")
    assert ran.status == 0, ran.err
    scores = json.loads(ran.out)
    assert "bits_per_dim" not in scores
    assert scores["parameters"]["decoder"] == "run"
    assert cli("diffusion", "sample", "model", "-n", 20, *few, "-o", "d.npz").status == 0
    decoded = np.load("d.npz")["samples"].reshape(20, -1)
    real = np.load("shapes.npz")["x"].reshape(40, -1)
    expected = metrics.feature_frechet_distance(decoded / 255, real / 255)
    assert scores["fid"] == pytest.approx(float(expected), rel=1e-3)
    ran = cli(*EVAL, *few, "--samples", 20, "--features", "none")
    assert "fid" in ran.out
    assert "bits per dimension" not in ran.out


def test_distill_on_latents(cli, folder):
    words = ["diffusion", "train", "z.npz", "--model-size", "tiny", "--patch", 1, *FEW]
    assert cli(*words, "--steps", 2, "--no-report", "-o", "model").status == 0
    words = ["diffusion", "distill", "model", "--train-steps", 4, "--teacher-steps", 4]
    words += ["--steps", "1,2", "--samples", 10, *FEW]
    ran = cli(*words, "-o", "fast")
    assert ran.status == 0, ran.err
    assert "40 samples of latents, 4 x 2 x 2, 2 classes" in ran.out
    assert "unsup-fast diffusion sample fast --steps 2 -n 64 -o latents.npz" in ran.out
    named = cli(*words, "z.npz", "--samples", 0, "--no-report", "-o", "named")
    assert named.status == 0, named.err
    student, teacher = diffusion.load(folder / "fast", steps=1), diffusion.load(folder / "model")
    assert student.config.clip is None
    x = student.sample(4, seed=1)
    torch.testing.assert_close(diffusion.load(folder / "named", steps=1).sample(4, seed=1), x)
    options = replace(OPTIONS, steps=4, batch_size=8, warmup=2)
    data = pictures.load_latents(folder / "z.npz")
    settings = {"steps": (1, 2), "teacher_steps": 4, "n_samples": 0, "options": options}
    expected = diffusion.distill(
        teacher, data.values, folder / "python", labels=data.labels, progress=False, **settings
    )
    torch.testing.assert_close(expected.sample(4, seed=1), x)
    compared = json.loads((folder / "fast/distilled.json").read_text())
    assert [each["steps"] for each in compared["student"]] == [1, 2]
    with Image.open(folder / "fast/samples/000004.png") as picture:
        assert picture.mode == "RGB"  # the first three channels
    assert (folder / "fast/report.html").exists()
    words = ["diffusion", "sample", "fast", "-n", 2, "--steps", 1, "--decoder", "run"]
    ran = cli(*words, "-o", "d.png")
    assert ran.status == 0, ran.err


BAD = {
    "sides": (["train", "odd.npy", *KL, "-o", "out"], "--network kl: halves the sides twice, and"),
    "huge batch": (
        ["train", "shapes.npz", *KL, "--batch-size", 2**31 - 1, "-o", "out"],
        "--batch-size 2147483647: a step with so many pictures of 8x8 needs",
    ),
    "of vae": (
        ["train", "shapes.npz", *KL, "--beta", 2, "-o", "out"],
        "--beta: is for --network mlp or conv; leave it out",
    ),
    "of kl": (
        ["train", "shapes.npz", "--kl-weight", 2, "-o", "out"],
        "--kl-weight: is for --network kl; leave it out",
    ),
    "sample": (["sample", "run", "-o", "g.png"], "run: holds a KL autoencoder, which has neither"),
    "traverse": (["traverse", "run", "shapes.npz", "-o", "g.png"], "run: holds a KL autoencoder"),
    "eval": (["eval", "run", "shapes.npz"], "use unsup-fast vae encode or vae reconstruct with it"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(cli, folder, name):
    np.save(folder / "odd.npy", np.zeros((4, 9, 9), np.uint8))
    words, said = BAD[name]
    ran = cli("vae", *words)
    assert ran.status == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert not (folder / "out").exists()
