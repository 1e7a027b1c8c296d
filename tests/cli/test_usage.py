"""No value of an option or argument of any command ends in a traceback."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import typer

from unsup_fast.cli import run as command_line
from unsup_fast.cli.app import app

TREE = typer.main.get_command(app)

# Small inputs, and options that keep a run short; later options of the same name replace them.
BASES = {
    "kmeans": ["four.npy", "-k", "2", "-o", "out", "--no-report", "--overwrite"],
    "pca": ["four.npy", "-n", "2", "-o", "out", "--no-report", "--overwrite"],
    "gmm": ["four.npy", "-k", "1", "-o", "out", "--no-report", "--overwrite"],
    "predict": ["model", "four.npy", "-o", "out.npy", "--overwrite"],
    "transform": ["model", "four.npy", "-o", "out.npy", "--overwrite"],
    "dedup": [
        "four.npy",
        "-k",
        "2",
        "--threshold",
        "0.9",
        "-o",
        "out",
        "--no-report",
        "--overwrite",
    ],
    "fid": ["four.npy", "four.npy", "--features", "none"],
    "inception-score": ["shares.npy", "--splits", "1"],
    "kid": ["four.npy", "four.npy", "--subset-size", "3", "--subsets", "2"],
    "prdc": ["four.npy", "four.npy"],
    "demo": ["-o", "four.npy"],
    "info": [],
    "diffusion train": ["none.npz", "-o", "out"],
    "diffusion distill": ["none", "-o", "out"],
    "diffusion sample": ["none", "-o", "out.png"],
    "diffusion eval": ["none", "none.npz"],
    "vae train": ["none.npz", "-o", "out"],
    "vae sample": ["none", "-o", "out.png"],
    "vae reconstruct": ["none", "none.npz", "-o", "out.png"],
    "vae traverse": ["none", "-o", "out.png"],
    "vae encode": ["none", "none.npz", "-o", "out.npz"],
    "vae eval": ["none", "none.npz"],
    "gan train": ["none.npz", "-o", "out"],
    "gan sample": ["none", "-o", "out.png"],
    "gan interpolate": ["none", "-o", "out.png"],
    "gan mix": ["none", "-o", "out.png"],
    "gan invert": ["none", "none.npz", "-o", "out.png"],
    "gan eval": ["none", "none.npz"],
    "scenes draw": ["-n", "2", "-o", "scenes.npz", "--overwrite", "--quiet"],
    "scenes check": ["none.npz"],
}
NUMBERS = ("nan", "inf", "-1", "0", "1e308", "99999999999", "9" * 5000, "1:999999999")
TEXTS = ("", "999999999x999999999", "[/x]\x1b[31m\x9b", "caf\udce9", "9" * 5000)
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]")


def leaves(command, words=()):
    """Yield the commands that do something, with their names."""
    if not hasattr(command, "commands"):
        yield " ".join(words), command
    for name, inner in getattr(command, "commands", {}).items():
        yield from leaves(inner, (*words, name))


COMMANDS = dict(leaves(TREE))
PARAMETERS = [
    pytest.param(name, parameter, id=f"{name} {parameter.opts[-1]}")
    for name, command in COMMANDS.items()
    for parameter in command.params
    if not getattr(parameter, "is_flag", False)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("usage")
    rows = np.random.default_rng(0).random((9, 4), dtype=np.float32)
    np.save(path / "four.npy", rows)
    np.save(path / "shares.npy", rows / rows.sum(axis=1, keepdims=True))
    for command, option, out in (("kmeans", "-k", "model"), ("pca", "-n", "axes")):
        words = [command, str(path / "four.npy"), option, "2", "-o", str(path / out)]
        assert command_line([*words, "--no-report", "--quiet"]) == 0
    return path


@pytest.fixture
def usage(folder, capsys, monkeypatch):
    """Return a function that runs a command, and checks that it ends well or with one line."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(typer.main, "get_command", lambda _: TREE)  # built anew, it takes longer
    monkeypatch.setattr(os, "fsync", lambda _: None)

    def call(*words):
        capsys.readouterr()
        status = command_line(words)
        out, err = capsys.readouterr()
        assert status in (0, 2), err
        lines = [line for line in err.splitlines() if not line.startswith("warning: ")]
        assert len(lines) == (status == 2), err
        assert all(line.startswith("error: ") and len(line) < 1000 for line in lines), err
        assert not CONTROL.search(out + err)
        return "".join(lines)

    return call


def test_every_command_is_tried():
    assert set(BASES) == set(COMMANDS)


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_hostile_values(usage, name, parameter):
    values = NUMBERS if parameter.metavar in ("N", "X", "ROWS", "K") else TEXTS
    option = parameter.opts[-1]
    for value in values:
        if parameter.param_type_name == "argument":
            usage(*name.split(), value, value, "-o", "out.npy")
        else:
            equals = "=" if option.startswith("--") else ""
            usage(*name.split(), *BASES[name], f"{option}{equals}{value}")


SAID = {
    "range": (
        ["kmeans", "four.npy", "-o", "o", "-k", "2:10"],
        "2:10 is a range, and k-means takes",
    ),
    "many": (["kmeans", "four.npy", "-o", "o", "-k", "10"], "has 9 rows, fewer than -k 10"),
    "start": (
        ["kmeans", "four.npy", "-o", "o", "-k", "2", "--init", "kmeans++"],
        "--init kmeans++: is not one of k-means++, k-means||, random, and no such file",
    ),
    "fits": (
        ["gmm", "four.npy", "-o", "o", "-k", "1:999999999"],
        "four.npy: has 9 rows, fewer than -k 999999999",
    ),
    "share": (["pca", "four.npy", "-o", "o", "-n", "1.5"], "-n 1.5: write a number of axes"),
    "sample": (
        ["diffusion", "sample", "model", "-o", "g.png"],
        "model: is a run of `unsup-fast kmeans` (it holds a KMeans), and diffusion sample needs "
        "one of `diffusion train`; use unsup-fast predict or transform with it",
    ),
    "eval": (
        ["diffusion", "eval", "axes", "--data", "digits"],
        "axes: is a run of `unsup-fast pca` (it holds a PCA), and diffusion eval needs one",
    ),
    "predict": (
        ["predict", "axes", "four.npy", "-o", "o.npy"],
        "axes: holds a PCA, and it has no labels to give; use unsup-fast transform",
    ),
    "pixels": (
        ["kmeans", "four.npy", "-o", "o", "-k", "2", "--images", "4294967296x4294967296"],
        "--images 4294967296x4294967296: is 18446744073709551616 values, rows have 4",
    ),
    "splits": (
        ["inception-score", "shares.npy", "--splits", "10"],
        "--splits 10: needs 10 samples",
    ),
    "subset": (["kid", "four.npy", "four.npy", "--subset-size", "10"], "pass --subset-size 9 or"),
    "neighbours": (["prdc", "four.npy", "four.npy", "-k", "9"], "has 9; pass -k 8 or less"),
    "steps": (
        ["diffusion", "train", "n.npz", "-o", "o", "--steps", "2", "--decay", "3"],
        "--decay",
    ),
    "device": (["fid", "four.npy", "four.npy", "--device", "meta"], "--device meta: is not one of"),
    "sampler": (
        ["diffusion", "sample", "none", "-o", "g.png", "--sampler", "x"],
        "--sampler x: is",
    ),
    "channels": (
        ["diffusion", "train", "n.npz", "-o", "o", "--channels", "2"],
        "2 is not 1 (grey)",
    ),
    "side": (["fid", "four.npy", "four.npy", "--size", "9999x1"], "sides of at most 8192 pixels"),
}


@pytest.mark.parametrize("name", SAID)
def test_what_is_wrong_is_said_in_the_words_of_the_command_line(usage, name):
    words, said = SAID[name]
    assert said in usage(*words)


HEAVY = ("torch", "sklearn", "matplotlib", "pyarrow", "pandas")
EARLY = ("range", "start", "share", "sample", "eval", "predict", "device", "sampler", "channels")


def test_usage_is_checked_before_anything_heavy_is_imported(folder):
    code = (
        "import sys\nfrom unsup_fast.cli import run\n"
        f"for words in {[SAID[name][0] for name in EARLY]!r}:\n"
        "    assert run(words) == 2\n"
        f"    assert not set({HEAVY!r}) & set(sys.modules), words\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True)
