"""`unsup-fast vae`: from pictures to a model, its latents, samples and scores."""

import csv
import json
import math
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")

from safetensors.numpy import load_file  # noqa: E402

import unsup_fast  # noqa: E402
from unsup_fast.cli import run as command_line  # noqa: E402
from unsup_fast.cli.training import samples  # noqa: E402
from unsup_fast.cli.vae import pages, settings  # noqa: E402
from unsup_fast.models import vae  # noqa: E402
from unsup_fast.models.networks import mlp  # noqa: E402
from unsup_fast.models.training import metrics_log  # noqa: E402
from unsup_fast.models.vae import config  # noqa: E402

COURSE = ("--model-size", "tiny", "--latent", 6, "--batch-size", 16, "--warmup", 2)
FEW = (*COURSE, "--steps", 6, "--save-every", 2, "--sample-every", 4)


@pytest.fixture(autouse=True, scope="module")
def small():
    """Make networks so small, and samples so few, that a step takes no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(mlp.WIDTHS, "tiny", (16, 12))
        patch.setattr(samples, "ROW", 2)
        patch.setattr(metrics_log.Throughput, "EVERY", 0)  # each step has its row
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small, save_shapes):
    """Return a folder with pictures, a run that is conditional on them, and one that is not."""
    path = tmp_path_factory.mktemp("trained")
    data = path / "shapes.npz"
    save_shapes(data)
    words = ["vae", "train", data, *FEW, "-q"]
    assert command_line([*map(str, words), "-o", f"{path}/run"]) == 0
    more = ("--no-labels", "--no-report", "--likelihood", "logistic")
    assert command_line([*map(str, words), *more, "-o", f"{path}/plain"]) == 0
    return path


@pytest.fixture
def folder(trained, tmp_path):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def pixels(folder):
    return np.load(folder / "shapes.npz")["x"][:, None]  # [40, 1, 8, 8]


def classes(folder):
    return (np.load(folder / "shapes.npz")["y"] == "stripe").astype(np.int64)


def size_of(path):
    with Image.open(path) as picture:
        return picture.size


def test_train(trained):
    run = trained / "run"
    assert {path.name for path in run.iterdir()} == {
        "checkpoint.safetensors",
        "metrics.csv",
        "model.json",
        "model.safetensors",
        "report.html",
        "samples",
        "summary.json",
    }
    assert sorted(path.name for path in (run / "samples").iterdir()) == ["000004.png", "000006.png"]
    assert size_of(run / "samples/000006.png") == (18, 18)  # 2 classes of 2, gaps of 2
    summary = json.loads((run / "summary.json").read_text())
    assert summary["command"] == "vae train"
    assert summary["parameters"]["latent"] == 6
    assert summary["parameters"]["likelihood"] == "bernoulli"
    assert summary["result"]["steps"] == 6
    model = unsup_fast.load(run)
    assert isinstance(model, vae.VAE)
    assert model.config.classes == ("square", "stripe")
    assert summary["result"]["weights"] == sum(each.numel() for each in model.network.parameters())
    assert vae.load(trained / "plain").config == vae.Config(
        (1, 8, 8), size="tiny", latent=6, likelihood="logistic"
    )


def test_report(trained):
    page = (trained / "run/report.html").read_text()
    for words in (
        "A variational autoencoder of shapes.npz",
        "with 6 latents, a tiny multilayer perceptron, trained on shapes.npz: 40 pictures",
        "The bound and its two parts, nats a picture",
        "After step 6",
        "decoded means",
        "KL by latent, nats",
        "of 6 latents active",
        "Traversals",
        "both of one class",
        "their two largest principal components",
        "</i> stripe",
        "vae.load(&#x27;",
    ):
        assert words in page, words
    strips = 2 + 6 + 2  # pairs, traversals of all six latents, a path in each class
    assert page.count('src="data:image/png') == 2 + strips
    assert page.count("<svg") == 4
    assert "http" not in page.replace("http://www.w3.org", "")


@pytest.mark.parametrize("latent", [1, 2])
def test_report_of_few_latents(cli, folder, latent):
    words = ["vae", "train", "shapes.npz", *FEW, "--latent", latent, "--no-labels", "-q"]
    assert cli(*words, "-o", "few").status == 0
    page = (folder / "few/report.html").read_text()
    said = "nothing upward" if latent == 1 else "latent 0 across and latent 1 upward"
    assert said in page
    assert "principal components" not in page


def test_resume_gives_the_same_bits(cli, folder):
    words = ["vae", "train", "shapes.npz", *FEW, "--no-report"]
    first = cli(*words, "--steps", 3, "-o", "again")
    assert first.status == 0, first.err
    ran = cli(*words, "-o", "again", "--resume")
    assert ran.status == 0, ran.err
    assert "Going on after 3 steps" in ran.out
    for name in ("model.safetensors", "checkpoint.safetensors"):
        one, other = load_file(folder / "again" / name), load_file(folder / "run" / name)
        assert one.keys() == other.keys()
        for key, value in one.items():
            np.testing.assert_array_equal(value, other[key], err_msg=key)
    ran = cli(*words, "-o", "again", "--resume", "--beta", 2, "--steps", 9)
    assert ran.status == 2
    assert "was trained with --beta = 1.0, not 2.0" in ran.err


def test_options_are_those_of_the_training(cli, folder, monkeypatch):
    taken = {}

    def train(data, out, **options):
        taken.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr(vae, "train", train)
    words = ["--beta", 0.5, "--beta-warmup", 3, "--free-bits", 0.25, "--flip", "--network", "conv"]
    ran = cli("vae", "train", "shapes.npz", *FEW, *words, "-o", "out")
    assert ran.status == 130
    names = ("beta", "beta_warmup", "free_bits", "importance_samples", "flip", "start")
    assert {name: taken[name] for name in names} == {
        "beta": 0.5,
        "beta_warmup": 3,
        "free_bits": 0.25,
        "importance_samples": 1,
        "flip": True,
        "start": None,
    }
    assert taken["config"].network == "conv"
    assert taken["labels"].tolist() == classes(folder).tolist()
    words = ["--importance-samples", 5, "--start", "run"]
    cli("vae", "train", "shapes.npz", *FEW, *words, "-o", "out")
    assert taken["importance_samples"] == 5
    expected = load_file(folder / "run/model.safetensors")
    for name, value in taken["start"].network.state_dict().items():
        np.testing.assert_array_equal(value, expected[name])


def test_start_and_the_objective_of_several_draws(cli, folder):
    words = ["vae", "train", "shapes.npz", *FEW, "--no-report", "--start", "run", "-o", "fine"]
    ran = cli(*words, "--importance-samples", 3, "--learning-rate", 1e-12)
    assert ran.status == 0, ran.err
    one, other = (load_file(folder / name / "model.safetensors") for name in ("run", "fine"))
    for name, value in one.items():
        np.testing.assert_allclose(other[name], value, atol=1e-6)
    ran = cli(*words, "--latent", 4, "--overwrite")
    assert ran.status == 2
    assert "--start run: its model is another one (mlp tiny, 6 latents, bernoulli" in ran.err


def test_sample(cli, folder):
    ran = cli("vae", "sample", "run", "-n", 6, "--label", "all", "-o", "g.png")
    assert ran.status == 0, ran.err
    assert "6 pictures written to g.png" in ran.out
    assert size_of(folder / "g.png") == (3 * 10 - 2, 2 * 10 - 2)
    words = ["-n", 5, "--label", "stripe", "--label", 0, "--seed", 4, "--temperature", 0.5]
    assert cli("vae", "sample", "run", *words, "-o", "s.npz", "-q").status == 0
    saved = np.load(folder / "s.npz")
    assert saved["labels"].tolist() == [1, 1, 1, 0, 0]
    expected = vae.load(folder / "run").sample(5, label=[1, 1, 1, 0, 0], seed=4, temperature=0.5)
    expected = (expected.movedim(1, -1) + 1) * 127.5
    np.testing.assert_allclose(saved["samples"], expected, atol=0.51)
    assert cli("vae", "sample", "plain", "-n", 3, "-o", "p.npz").status == 0
    assert set(np.load(folder / "p.npz")) == {"samples"}


def test_reconstruct(cli, folder):
    ran = cli("vae", "reconstruct", "run", "shapes.npz", "-n", 0, "-o", "p.npz")
    assert ran.status == 0, ran.err
    saved = np.load(folder / "p.npz")
    np.testing.assert_array_equal(saved["originals"], np.moveaxis(pixels(folder), 1, -1))
    expected = vae.load(folder / "run").reconstruct(pixels(folder), classes(folder))
    expected = (expected.movedim(1, -1) + 1) * 127.5
    np.testing.assert_allclose(saved["reconstructions"], expected, atol=0.51)
    error = np.mean((saved["originals"].astype(float) - saved["reconstructions"]) ** 2)
    assert f"PSNR {10 * math.log10(255**2 / error):.2f} dB" in ran.out
    assert cli("vae", "reconstruct", "run", "shapes.npz", "-n", 18, "-o", "p.png").status == 0
    assert size_of(folder / "p.png") == (16 * 10 - 2, 4 * 10 - 2)  # 16 and 2, each in pairs


def test_traverse(cli, folder):
    ran = cli("vae", "traverse", "run", "shapes.npz", "--columns", 5, "-o", "t.png")
    assert ran.status == 0, ran.err
    assert size_of(folder / "t.png") == (5 * 10 - 2, 6 * 10 - 2)
    model, x, label = vae.load(folder / "run"), pixels(folder), classes(folder)
    order = vae.latent_statistics(model, x, label).busiest.tolist()
    assert f": {', '.join(map(str, order))}" in ran.out
    words = ["--latents", "4,1", "--span", 2, "--columns", 3, "--picture", 7]
    assert cli("vae", "traverse", "run", "shapes.npz", *words, "-o", "t.npz").status == 0
    saved = np.load(folder / "t.npz")
    assert saved["latents"].tolist() == [4, 1]
    assert saved["values"].tolist() == [-2, 0, 2]
    expected = model.traverse(x[7:8], label[7:8], latents=[4, 1], values=[-2.0, 0.0, 2.0])
    expected = (expected.movedim(2, -1) + 1) * 127.5
    np.testing.assert_allclose(saved["pictures"], expected, atol=0.51)


def test_traverse_takes_the_pictures_of_the_training(cli, trained):
    ran = cli("vae", "traverse", trained / "run", "-o", "t.npz")
    assert ran.status == 0, ran.err


def test_encode(cli, folder):
    ran = cli("vae", "encode", "run", "shapes.npz", "-o", "z.npz")
    assert ran.status == 0, ran.err
    assert "6 latents of 40 pictures written to z.npz, means" in ran.out
    model, x, label = vae.load(folder / "run"), pixels(folder), classes(folder)
    posterior = model.encode(x, label, seed=0)
    saved = np.load(folder / "z.npz")
    np.testing.assert_allclose(saved["latents"], posterior.mean, rtol=1e-5, atol=1e-6)
    assert saved["labels"].tolist() == np.load(folder / "shapes.npz")["y"].tolist()
    words = ["vae", "encode", "plain", "shapes.npz", "--sample", "--seed", 3]
    assert cli(*words, "-o", "z.npy").status == 0
    expected = vae.load(folder / "plain").encode(x, seed=3).sample(3)
    np.testing.assert_allclose(np.load(folder / "z.npy"), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["z.npz", "z.npy", "z.parquet", "z.csv"])
def test_other_commands_read_latents(cli, folder, name):
    assert cli("vae", "encode", "run", "shapes.npz", "-o", name, "-q").status == 0
    for command in ("kmeans", "gmm"):
        ran = cli(command, name, "-k", 2, "-o", command, "--no-report")
        assert ran.status == 0, ran.err
        assert f"{name}  40 rows x 6 columns" in ran.out


def test_eval(cli, folder):
    words = ["vae", "eval", "run", "shapes.npz", "-n", 12, "--samples", 20, "--seed", 2]
    ran = cli(*words, "-o", "e.json", "--json")
    assert ran.status == 0, ran.err
    assert ran.out == (folder / "e.json").read_text()
    scores = json.loads(ran.out)
    chosen = np.sort(np.random.default_rng(2).permutation(40)[:12])
    model = vae.load(folder / "run")
    x, label = pixels(folder)[chosen], classes(folder)[chosen]
    nats = model.nll(x, label, n_samples=20, seed=2).numpy()
    assert scores["nll"]["mean"] == pytest.approx(nats.mean(), rel=1e-5)
    assert scores["nll"]["standard_error"] == pytest.approx(nats.std(ddof=1) / 12**0.5, rel=1e-4)
    bits = model.nll_bits_per_dim(x, label, n_samples=20, seed=2)
    assert scores["bits_per_dim"]["mean"] == pytest.approx(bits.bits_per_dim, rel=1e-5)
    bounds = scores["importance_weighted_bounds"]
    assert list(bounds) == ["1", "5", "20"]
    assert bounds["20"]["mean"] == -scores["nll"]["mean"]
    bound = model.elbo(x, label, seed=2)
    assert scores["elbo"]["mean"] == pytest.approx(float(bound.elbo.mean()), rel=1e-5)
    parts = scores["reconstruction"]["mean"] - scores["kl"]["mean"]
    assert scores["elbo"]["mean"] == pytest.approx(parts, rel=1e-6)
    statistics = vae.latent_statistics(model, x, label, seed=2)
    assert scores["active_latents"] == int(statistics.active.sum())
    assert scores["conditional"] is True
    ran = cli("vae", "eval", "plain", "shapes.npz", "-n", 1, "--samples", 3)
    assert ran.status == 0, ran.err
    for said in ("-log p(x), nats, 3 draws", "bits per dimension", "L_3, nats", "latents active"):
        assert said in ran.out


BAD = {
    "no data": (["train", "-o", "out"], "DATA: name a file or folder of pictures, or pass --data"),
    "network": (["train", "shapes.npz", "--network", "unet", "-o", "out"], "--network unet: is no"),
    "size": (
        ["train", "shapes.npz", "--network", "conv", "--model-size", "large", "-o", "out"],
        "--model-size large: --network conv has the sizes tiny, small, base; pass one of them",
    ),
    "latent": (["train", "shapes.npz", "--latent", 0, "-o", "out"], "--latent 0: write a number"),
    "likelihood": (
        ["train", "shapes.npz", "--likelihood", "cauchy", "-o", "out"],
        "--likelihood cauchy: is not one of bernoulli, gaussian, logistic",
    ),
    "objective": (
        ["train", "shapes.npz", "--importance-samples", 5, "--beta", 2, "-o", "out"],
        "--beta 2: --importance-samples 5 trains a bound without a separate divergence; leave",
    ),
    "free bits in parts": (
        ["train", "shapes.npz", "--free-bits", 0.1, "--shards", 8, "-o", "out"],
        "--free-bits 0.1: are of the mean over a whole batch, which --shards 8 computes in parts;",
    ),
    "huge batch": (
        ["train", "shapes.npz", "--batch-size", 2**31 - 1, "-o", "out"],
        "--batch-size 2147483647: a step with so many pictures of 8x8 needs",
    ),
    "start": (["train", "shapes.npz", "--start", "no", "-o", "out"], "no: no such directory; name"),
    "no run": (["sample", "no", "-o", "g.png"], "no: no such directory; name the directory of a r"),
    "no model": (["sample", ".", "-o", "g.png"], "holds no model.safetensors; train one"),
    "label": (["sample", "run", "--label", "9", "-o", "g.png"], "--label 9: is no class; there ar"),
    "no classes": (
        ["sample", "plain", "--label", "1", "-o", "g.png"],
        "--label 1: the model has no classes; leave --label out",
    ),
    "temperature": (
        ["sample", "run", "--temperature", -1, "-o", "g.png"],
        "--temperature -1.0: write a number of at least 0",
    ),
    "kind": (["encode", "run", "shapes.npz", "-o", "z.txt"], "-o z.txt: name a .npz or .npy"),
    "unlabelled": (
        ["encode", "run", "shapes.npz", "--no-labels", "-o", "z.npz"],
        "its pictures have no classes, or others than the model, which is conditional on square, s",
    ),
    "latents": (
        ["traverse", "run", "shapes.npz", "--latents", "0,6", "-o", "t.png"],
        "--latents 6: the model has the latents 0 to 5; pass some of these",
    ),
    "no list": (
        ["traverse", "run", "shapes.npz", "--latents", "a", "-o", "t.png"],
        "--latents a: write numbers with commas, as in 0,3,17",
    ),
    "picture": (
        ["traverse", "run", "shapes.npz", "--picture", 40, "-o", "t.png"],
        "--picture 40: there are 40, counted from 0; pass 39 or less",
    ),
    "key without data": (
        ["traverse", "run", "--key", "x", "-o", "t.png"],
        "--key: is for DATA; pass DATA too, or leave --key out",
    ),
    "draws": (["eval", "run", "shapes.npz", "--samples", 0], "--samples 0: write a number of at l"),
    "eval out": (["eval", "run", "shapes.npz", "-o", "e.txt"], "-o e.txt: name a .json file"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(cli, folder, name):
    words, said = BAD[name]
    ran = cli("vae", *words)
    assert ran.status == 2
    assert said in ran.err
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
    assert not (folder / "out").exists()
    assert not (folder / "g.png").exists()


def test_other_commands_refuse_the_run(cli, folder):
    for words, said in (
        (["predict", "run", "z.npy"], "run: holds a variational autoencoder; use unsup-fast vae"),
        (
            ["diffusion", "sample", "run"],
            "run: is a run of `unsup-fast vae train` (it holds a VAE), and diffusion sample needs "
            "one of `diffusion train`; use unsup-fast vae encode",
        ),
    ):
        ran = cli(*words, "-o", "out.png")
        assert ran.status == 2
        assert said in ran.err


def test_the_options_know_the_sizes_of_the_networks():
    assert config.SIZES == settings.SIZES
    assert config.MOST_LATENTS == settings.MOST_LATENTS
    assert pages.LATENTS == 8


def test_metrics_have_both_parts_of_the_bound(trained):
    with (trained / "run/metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    for row in rows:
        parts = float(row["reconstruction"]) + float(row["kl"])
        assert float(row["loss"]) == pytest.approx(parts, rel=1e-5)


def test_help(cli):
    for words in (["vae"], ["vae", "--help"]):
        ran = cli(*words)
        assert ran.status == 0
        for command in ("train", "sample", "reconstruct", "traverse", "encode", "eval"):
            assert command in ran.out
