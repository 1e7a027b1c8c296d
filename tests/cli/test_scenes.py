"""`unsup-fast scenes` and `unsup-fast scenes check`."""

import json

import numpy as np
import pytest

from unsup_fast import pictures, scenes


def test_the_file_holds_the_scenes(cli, tmp_path):
    assert cli("scenes", "-n", 1100, "--seed", 3, "-o", "scenes.npz").status == 0
    images, captions, specs = scenes.draw(1100, seed=3)
    with np.load(tmp_path / "scenes.npz", allow_pickle=False) as file:
        arrays = dict(file)
    assert np.array_equal(arrays["images"], images)
    assert arrays["captions"].tolist() == captions
    again = scenes.Specifications.of(arrays)
    assert np.array_equal(scenes.render(again), images)
    assert specs.arrays().keys() | {"images", "captions"} == arrays.keys()
    assert np.array_equal(pictures.load(tmp_path / "scenes.npz").pixels, images)
    assert [path.name for path in tmp_path.iterdir()] == ["scenes.npz"]
    assert cli("scenes", "-n", 2, "-o", "scenes.npz").err.startswith(
        "error: scenes.npz: exists already"
    )


def test_options_of_draw(cli, tmp_path):
    words = ["--split", "held", "--side", 48, "--start", 7, "-n", 5, "-o", "s.npz", "--quiet"]
    done = cli("scenes", "draw", *words)
    assert (done.status, done.out) == (0, "")
    expected = scenes.draw(5, split="held", side=48, start=7)
    assert np.array_equal(np.load(tmp_path / "s.npz")["images"], expected.images)
    assert cli("scenes", "-n", 6, "-o", "s.png").status == 0
    assert (tmp_path / "s.png").read_bytes()[:4] == b"\x89PNG"
    assert "shows at most 4096" in cli("scenes", "-n", 5000, "-o", "t.png").err
    many = cli("scenes", "-n", 2_000_000_000, "--side", 1024, "-o", "t.npz")
    assert "so many pictures need" in many.err


def test_help(cli):
    out = cli("scenes").out
    assert "draw" in out
    assert "check" in out
    assert cli("scenes", "--help").out == out
    assert "--split" in cli("scenes", "draw", "--help").out


@pytest.mark.parametrize("channels_last", [False, True])
def test_check(cli, tmp_path, channels_last):
    images, captions, _ = scenes.draw(40)
    name, images = ("samples", np.moveaxis(images, 1, 3)) if channels_last else ("images", images)
    np.savez(tmp_path / "s.npz", **{name: images}, captions=captions)
    good = cli("scenes", "check", "s.npz", "--least", 1)
    assert good.status == 0
    assert [line.split()[0] for line in good.out.splitlines() if "100 %" in line] == [
        "all",
        "one",
        "relation",
        "several",
        "two",
    ]
    np.savez(tmp_path / "w.npz", **{name: images}, captions=captions[:20] + captions[:20])
    bad = cli("scenes", "check", "w.npz", "--least", 0.6, "-o", "w.json")
    assert bad.status == 1
    assert (
        "Failed: everything is right in 50 % of the pictures, and --least asks for 60 %" in bad.out
    )
    assert cli("scenes", "check", "w.npz", "--least", 0.4).status == 0
    printed = cli("scenes", "check", "w.npz", "--json")
    record = json.loads(printed.out)
    assert record["scores"]["all"]["all"] == 0.5
    assert record["scores"]["all"]["n"] == 40
    assert record["passed"]
    saved = json.loads((tmp_path / "w.json").read_text())
    assert not saved["passed"]
    assert saved["scores"] == record["scores"]
    assert saved["parameters"] == {"least": 0.6}


def test_digits(cli, tmp_path):
    random = np.random.default_rng(0)
    x = random.integers(1, 255, (30, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "digits.npz", x=x, y=np.arange(30) % 10)
    assert cli("scenes", "-n", 9, "--digits", "digits.npz", "-o", "s.npz").status == 0
    expected = scenes.draw(9, digits=(x, np.arange(30) % 10))
    assert np.array_equal(np.load(tmp_path / "s.npz")["images"], expected.images)
    assert "names digits, which need a classifier" in cli("scenes", "check", "s.npz").err
    np.savez(tmp_path / "words.npz", x=x, y=np.array(["a", "b", "c"])[np.arange(30) % 3])
    refused = cli("scenes", "-n", 9, "--digits", "words.npz", "-o", "t.npz")
    assert refused.err == "error: --digits words.npz: class a is no digit; pass classes 0 to 9\n"
    np.savez(tmp_path / "few.npz", x=x[:5], y=np.arange(5))
    assert "no image of five" in cli("scenes", "-n", 9, "--digits", "few.npz", "-o", "t.npz").err
    np.save(tmp_path / "x.npy", x)
    assert "has no labels" in cli("scenes", "-n", 9, "--digits", "x.npy", "-o", "t.npz").err
    assert not (tmp_path / "t.npz").exists()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"captions": ["a dog"] * 2}, "s.npz: caption 0, 'a dog', is none of a scene: 'dog' is"),
        ({"captions": ["two small red circles on black"]}, "one for each of the 2 pictures"),
        ({"captions": [1, 2]}, "captions are text"),
        ({}, "captions"),
    ],
)
def test_check_refuses(cli, tmp_path, arrays, message):
    np.savez(tmp_path / "s.npz", images=scenes.draw(2).images, **arrays)
    done = cli("scenes", "check", "s.npz")
    assert done.status == 2
    assert message in done.err
    assert done.err.count("\n") == 1


def test_check_refuses_other_files(cli, tmp_path):
    np.save(tmp_path / "s.npy", scenes.draw(2).images)
    assert "name an .npz file" in cli("scenes", "check", "s.npy").err
    np.savez(tmp_path / "s.npz", images=np.zeros((2, 40, 32, 3), np.uint8), captions=["x"] * 2)
    assert cli("scenes", "check", "s.npz").status == 2
    captions = ["two small red circles on black"] * 2
    np.savez(tmp_path / "s.npz", images=np.zeros((2, 40, 32, 3), np.uint8), captions=captions)
    assert "pass bytes" in cli("scenes", "check", "s.npz").err
