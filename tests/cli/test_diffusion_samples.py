"""`unsup-fast diffusion sample` and `eval`, and what all of its commands refuse."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
Image = pytest.importorskip("PIL.Image")

from unsup_fast.cli.training import classes  # noqa: E402
from unsup_fast.models import diffusion  # noqa: E402
from unsup_fast.models.networks import unet  # noqa: E402


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setitem(unet.SIZES, "tiny", unet.Size(8, (1, 2), 1, ()))


@pytest.fixture(autouse=True)
def run(tmp_path, small):
    """Write an untrained model as a run, one that is cut short, and pictures without classes."""
    np.save(tmp_path / "plain.npy", np.zeros((4, 8, 8), np.uint8))
    config = diffusion.Config((1, 8, 8), ("square", "stripe"), size="tiny", patch=1)
    for name in ("run", "cut"):
        diffusion.Diffusion.build(config).save(tmp_path / name)
    content = (tmp_path / "cut/model.safetensors").read_bytes()
    (tmp_path / "cut/model.safetensors").write_bytes(content[: len(content) // 2])
    return tmp_path / "run"


def test_sample_png(cli, run, tmp_path):
    ran = cli("diffusion", "sample", "run", "-n", 6, "--steps", 3, "--label", "all", "-o", "g.png")
    assert ran.status == 0, ran.err
    assert "6 pictures written to g.png, dpm++2m, 3 steps" in ran.out
    with Image.open(tmp_path / "g.png") as picture:
        assert picture.size == (3 * 10 - 2, 2 * 10 - 2)
    ran = cli("diffusion", "sample", "run", "-o", "g.png")
    assert ran.status == 2
    assert "g.png: exists already" in ran.err


def test_sample_npz(cli, run, tmp_path):
    words = ["diffusion", "sample", "run", "-n", 5, "--steps", 3, "--guidance", 2, "--seed", 4]
    words += ["--label", "stripe", "--label", 0, "--sampler", "ddim", "--batch-size", 2]
    words += ["--guidance-interval", "0.1,50"]
    assert cli(*words, "-o", "s.npz", "-q").status == 0
    saved = np.load(tmp_path / "s.npz")
    assert saved["samples"].shape == (5, 8, 8, 1)
    assert saved["samples"].dtype == np.uint8
    assert saved["labels"].tolist() == [1, 1, 1, 0, 0]
    assert saved["classes"].tolist() == ["square", "stripe"]
    expected = diffusion.load(run).sample(
        5,
        sampler="ddim",
        steps=3,
        label=[1, 1, 1, 0, 0],
        guidance=2.0,
        guidance_interval=(0.1, 50.0),
        seed=4,
    )
    expected = ((expected.movedim(1, -1) + 1) * 127.5).numpy()
    np.testing.assert_allclose(saved["samples"], expected, atol=2)
    command = ("diffusion", "sample", "run", "-n", 3, "--steps", 2)
    assert cli(*command, "--label", "any", "-o", "any.npz").status == 0
    assert set(np.load(tmp_path / "any.npz")) == {"samples"}
    assert cli(*command, "-o", "all.npz").status == 0
    assert np.load(tmp_path / "all.npz")["labels"].tolist() == [0, 0, 1]


def test_eval(cli, shapes, run, tmp_path):
    words = ["diffusion", "eval", "run", shapes, "-n", 12, "--timesteps", 4, "--samples", 30]
    words += ["--features", "none", "--steps", 2]
    ran = cli(*words, "-o", "e.json", "--json")
    assert ran.status == 0, ran.err
    assert ran.out == (tmp_path / "e.json").read_text()
    scores = json.loads(ran.out)
    model, data = diffusion.load(run), np.load(shapes)
    chosen = np.sort(np.random.default_rng(0).permutation(40)[:12])
    expected = diffusion.nll_bits_per_dim(
        model,
        data["x"][chosen][:, None],
        labels=(data["y"][chosen] == "stripe").astype(np.int64),
        n_timesteps=4,
        seed=0,
    )
    assert scores["bits_per_dim"] == pytest.approx(expected.bits_per_dim, rel=1e-4)
    assert scores["pictures"] == 12
    assert scores["conditional"] is True
    assert scores["fid"] > 0
    assert scores["samples"] == 30
    assert scores["features"] == {"name": "none"}
    ran = cli(*words[:6], "--timesteps", 2)
    assert "bits per dimension" in ran.out
    assert "fid" not in ran.out


def test_eval_of_pictures_of_one_class_tells_it(cli, run, tmp_path):
    pixels = np.random.default_rng(0).integers(256, size=(6, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "one.npz", x=pixels, y=np.array(["stripe"] * 6))
    ran = cli("diffusion", "eval", "run", "one.npz", "--timesteps", 2, "--json")
    scores = json.loads(ran.out)
    assert scores["conditional"] is True
    assert "precision" not in scores["parameters"]
    expected = diffusion.nll_bits_per_dim(
        diffusion.load(run), pixels[:, None], labels=[1] * 6, n_timesteps=2, seed=0
    )
    assert scores["bits_per_dim"] == pytest.approx(expected.bits_per_dim, rel=1e-4)


EVAL = ["eval", "run", "shapes.npz", "--timesteps", 0, "--features", "none"]
BAD = {
    "no data": (["train", "-o", "out"], "DATA: name a file or folder of pictures, or pass --data"),
    "two data": (["train", "shapes.npz", "--data", "digits", "-o", "out"], "DATA: name a file"),
    "not built in": (["train", "--data", "mnist", "-o", "out"], "--data mnist: is not built in"),
    "built in resized": (
        ["train", "--data", "digits", "--size", 16, "-o", "out"],
        "--data digits: takes no --size",
    ),
    "missing data": (["train", "no.npz", "-o", "out"], "no.npz: no such file"),
    "network": (["train", "shapes.npz", "--network", "mlp", "-o", "out"], "--network mlp: is not"),
    "sides": (["train", "shapes.npz", "--size", 9, "-o", "out"], "multiples of"),
    "size": (["train", "shapes.npz", "--size", "big", "-o", "out"], "--size big: write N or HxW"),
    "dropout": (
        ["train", "shapes.npz", "--dropout", 2, "-o", "out"],
        "--dropout 2.0: write a number",
    ),
    "minutes": (
        ["train", "shapes.npz", "--minutes", 0, "-o", "out"],
        "--minutes 0.0: write a number above 0",
    ),
    "train device": (["train", "shapes.npz", "--device", "abacus", "-o", "out"], "--device abacus"),
    "out is a file": (["train", "shapes.npz", "-o", "shapes.npz"], "is a file; name a directory"),
    "nothing to resume": (["train", "shapes.npz", "-o", "out", "--resume"], "no checkpoint to res"),
    "no run": (["sample", "no", "-o", "g.png"], "no: no such directory; name the directory"),
    "run is a file": (["sample", "shapes.npz", "-o", "g.png"], "shapes.npz: is a file; name"),
    "empty run": (["sample", ".", "-o", "g.png"], "holds no model.safetensors; train one"),
    "truncated": (["sample", "cut", "-o", "g.png"], "cut/model.safetensors"),
    "label": (
        ["sample", "run", "--label", "9", "-o", "g.png"],
        "--label 9: is no class; there are",
    ),
    "long label": (
        ["sample", "run", "--label", "9" * 5000, "-o", "g.png"],
        "99: is no class; there",
    ),
    "huge guidance": (
        ["sample", "run", "-n", 1, "--steps", 2, "--guidance", "1e308", "-o", "g.png", "-q"],
        "--guidance 1e+308: the pictures are not finite; pass a smaller weight",
    ),
    "huge batch": (
        ["train", "shapes.npz", "--model-size", "tiny", "--batch-size", 2**31 - 1, "-o", "out"],
        "--batch-size 2147483647: a step with so many pictures of",
    ),
    "huge size": (
        ["train", "shapes.npz", "--model-size", "tiny", "--size", 9000, "-o", "out"],
        "sides of at most 8192",
    ),
    "n": (["sample", "run", "-n", 0, "-o", "g.png"], "-n"),
    "few": (
        ["sample", "run", "-n", 1, "--label", "all", "-o", "g.png"],
        "-n 1: is less than the 2",
    ),
    "guidance": (
        ["sample", "run", "--guidance", 2, "--label", "any", "-o", "g.png"],
        "guidance needs a label",
    ),
    "interval": (
        ["sample", "run", "--guidance", 2, "--guidance-interval", "5,1", "-o", "g.png"],
        "--guidance-interval 5,1: write LOW,HIGH",
    ),
    "interval alone": (
        ["sample", "run", "--guidance-interval", "0.3,5", "-o", "g.png"],
        "--guidance-interval: limits --guidance; pass both",
    ),
    "sampler": (["sample", "run", "--sampler", "rk", "-o", "g.png"], "--sampler rk: is not one"),
    "steps": (["sample", "run", "--steps", 1001, "-o", "g.png"], "--steps 1001: the"),
    "precision": (["sample", "run", "--precision", "int8", "-o", "g.png"], "--precision int8: is"),
    "device": (["sample", "run", "--device", "abacus", "-o", "g.png"], "--device abacus: "),
    "kind of file": (["sample", "run", "-o", "g.jpg"], "-o g.jpg: name a .png or .npz file"),
    "no place": (["sample", "run", "-o", "no/g.png"], "no: no such directory"),
    "eval data": (["eval", "run", "no.npz"], "no.npz: no such file"),
    "features": (
        ["eval", "run", "shapes.npz", "--features", "x"],
        "--features x: is not inception",
    ),
    "resize": (
        ["eval", "run", "shapes.npz", "--features", "lite0", "--resize", "clean"],
        "--resize is for --features inception",
    ),
    "eval sampler": ([*EVAL, "--sampler", "rk"], "--sampler rk: is not one of"),
    "eval steps": ([*EVAL, "--steps", 0], "steps"),
    "eval many steps": ([*EVAL, "--steps", 1001], "--steps 1001: the model has 1,000 levels"),
    "eval guidance": (
        ["eval", "run", "plain.npy", *EVAL[3:], "--guidance", 2],
        "--guidance: needs pictures whose classes",
    ),
    "eval weights": (
        [*EVAL[:-1], "inception", "--weights", "no.pth"],
        "no.pth",
    ),
    "weights": (["eval", "run", "shapes.npz", "--weights", "w"], "--weights: is for --features"),
    "eval out": (["eval", "run", "shapes.npz", "-o", "e.txt"], "-o e.txt: name a .json file"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(cli, shapes, tmp_path, name):
    words, said = BAD[name]
    ran = cli("diffusion", *words)
    assert ran.status == 2
    assert said in ran.err
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "g.png").exists()


def test_a_model_without_classes_takes_no_label(cli, tmp_path):
    diffusion.Diffusion.build(diffusion.Config((1, 8, 8), size="tiny", patch=1)).save(
        tmp_path / "run"
    )
    ran = cli("diffusion", "sample", "run", "--label", 1, "-o", "g.png")
    assert ran.status == 2
    assert "--label 1: the model has no classes" in ran.err


def test_labels_by_name_come_before_numbers():
    assert classes.labels_of(["1", "0", "all"], ("1", "0")) == [0, 1, 0, 1]
    assert classes.labels_of(["1"], ("a", "b")) == [1]
    assert classes.labels_of([], ("a", "b")) == [0, 1]
    assert classes.labels_of(["any"], ("a", "b")) == []
    assert classes.labels_of(["any"], ("a", "any")) == [1]


@pytest.mark.parametrize(("labels", "n"), [([3], 4), ([3, 1], 5), (range(10), 10), ([0, 1, 2], 64)])
def test_labels_share_the_pictures(labels, n):
    spread = classes.spread(labels, n)
    numbers = [spread.count(label) for label in labels]
    assert len(spread) == n == sum(numbers)
    assert max(numbers) - min(numbers) <= 1


def test_help(cli):
    for words in (["diffusion"], ["diffusion", "--help"]):
        ran = cli(*words)
        assert ran.status == 0
        for command in ("train", "sample", "eval"):
            assert command in ran.out
