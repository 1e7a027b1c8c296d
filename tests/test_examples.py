"""The scripts in `examples/` run as they stand, in a small form, and print what they promise."""

import os
import re
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
LONGEST = 120  # lines


def run(name, *arguments, cwd):
    command = [sys.executable, "-W", "error::DeprecationWarning:unsup_fast"]
    done = subprocess.run(
        [*command, str(EXAMPLES / f"{name}.py"), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def number(pattern, text):
    return float(re.search(pattern, text)[1])


def test_every_example_is_short_and_tested():
    scripts = sorted(EXAMPLES.glob("*.py"))
    tested = Path(__file__).read_text(encoding="utf-8")
    assert len(scripts) >= 4
    for script in scripts:
        assert len(script.read_text(encoding="utf-8").splitlines()) <= LONGEST
        assert f'run("{script.stem}"' in tested or f'"{script.stem}",' in tested


def test_embeddings_in_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    printed = run("embeddings_parquet", "--rows", "6000", cwd=tmp_path)
    assert number(r"purity against the true topics: (\S+)", printed) > 0.85
    assert "Source of 6,000 rows" in printed
    assert len(re.findall(r"rows, 'text \d+ about topic \d+'", printed)) == 5
    assert not list(tmp_path.iterdir())


def test_methods_are_compared(tmp_path):
    printed = run("compare_methods", "--seeds", "2", cwd=tmp_path)
    inertia = {
        name: number(rf"{name}\s.*?([\d.]+) ± [\d.]+ +[\d.]+\n", printed)
        for name in ("KMeans, n_init=10", "MiniBatchKMeans", "KMeans, cosine")
    }
    assert min(inertia.values()) == inertia["KMeans, n_init=10"]
    purities = re.findall(r"^[KMG]\S.*?(0\.\d{3}) ±", printed, re.M)
    assert len(purities) == 6
    assert all(float(purity) > 0.6 for purity in purities)
    full = re.findall(r"^ +\d+ .* (-[\d.]+) ± [\d.]+$", printed, re.M)
    assert len(full) == 5
    assert float(full[0]) < float(full[2])  # ten components beat one on held-out rows


def test_pipeline_returns_the_same_images(tmp_path):
    pytest.importorskip("diffusers")
    printed = run("diffusers_pipeline", "--small", cwd=tmp_path)
    differences = re.findall(r"^\w+ +(\d\.\de[-+]\d\d) .* ms", printed, re.M)
    assert len(differences) == 3
    assert max(map(float, differences)) < 4e-3  # a byte


def test_diffusion_of_digits(tmp_path):
    pytest.importorskip("accelerate")
    image = pytest.importorskip("PIL.Image")
    printed = run("diffusion_digits", "--steps", "8", cwd=tmp_path)
    assert number(r"(\d+)% of real digits held out", printed) > 90
    assert number(r"at most ([\d.]+) ±", printed) < 12
    assert (tmp_path / "digits-run" / "model.safetensors").exists()
    with image.open(tmp_path / "digits.png") as picture:
        assert picture.size == (10 * 8 + 9 * 2, 10 * 8 + 9 * 2)


def test_spirals(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("matplotlib")
    printed = run("gan_spirals", "--steps", "20", cwd=tmp_path)
    for rule in ("simultaneous", "extragradient"):
        pair = re.search(rf"{rule}: ([\d.]+) a step, exactly ([\d.]+)", printed)
        assert pair[1] == pair[2]
    drawing = (tmp_path / "spirals.svg").read_text(encoding="utf-8")
    assert drawing.count('role="img"') == 7  # six panels and the whole


def test_frechet_distance_over_processes(tmp_path, monkeypatch, capsys):
    """Two processes print the bits of one, and these are those of all samples at once."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("accelerate")
    from unsup_fast import metrics, pictures
    from unsup_fast.models import diffusion

    config = diffusion.Config((1, 8, 8), network="dit", size="tiny", patch=4)
    model = diffusion.Diffusion.build(config)
    model.save(tmp_path)
    words = ["fid_processes", str(tmp_path), "--samples", "700", "--unit", "256", "--steps", "2"]
    script = str(EXAMPLES / "fid_processes.py")
    variables = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "WORLD_SIZE": "2"}
    variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    variables["GLOO_SOCKET_IFNAME"] = "lo" if sys.platform == "linux" else "lo0"
    together = [  # as torchrun starts them
        subprocess.Popen(
            [sys.executable, script, *words[1:]],
            env={**os.environ, **variables, "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    monkeypatch.setattr(sys, "argv", words)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        runpy.run_path(script)["main"]()
        samples = model.sample(steps=2, seed=range(700), batch_size=128, progress=False)
    finally:
        torch.set_num_threads(threads)
    bits = digits(capsys.readouterr().out)
    whole = metrics.FrechetDistance()
    for images, real in ((pictures.digits().pixels, True), (pictures.to_bytes(samples), False)):
        whole.update(np.asarray(images).reshape(len(images), -1) / 255, real=real)
    assert float.fromhex(bits) == pytest.approx(whole.compute(), rel=1e-6)
    printed, nothing = (process.communicate(timeout=250)[0] for process in together)
    assert "in 2 processes" in printed
    assert digits(printed) == bits
    assert nothing == ""


def digits(text):
    return re.search(r"\((-?0x.*)\)", text)[1]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
