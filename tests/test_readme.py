"""The examples of the README run as they stand, on small data."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

README = Path(__file__).parent.parent / "README.md"


def examples(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(), re.M | re.S)


@pytest.fixture
def tiny_pipeline(monkeypatch):
    """Let `from_pretrained` return a pipeline with a small network of random weights."""
    diffusers = pytest.importorskip("diffusers")
    network = diffusers.UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 8),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
    )
    pipeline = diffusers.DDPMPipeline(unet=network, scheduler=diffusers.DDPMScheduler())
    pipeline.set_progress_bar_config(disable=True)
    monkeypatch.setattr(diffusers.DDPMPipeline, "from_pretrained", lambda name: pipeline)


def test_python_examples_run(tiny_pipeline, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = examples("python")
    assert len(blocks) == 3
    for block in blocks:
        names = {}
        exec(block.replace("steps=500", "steps=2"), names)
        if "pipe" in names:
            assert len(names["images"]) == 4
    assert float(capsys.readouterr().out.split()[0]) > 0  # the inertia
    assert (tmp_path / "grid.png").stat().st_size > 0


def test_commands_run(tmp_path, monkeypatch):
    pytest.importorskip("typer")
    parquet = pytest.importorskip("pyarrow.parquet")
    pillow = pytest.importorskip("PIL.Image")
    from pyarrow import table

    from unsup_fast.cli import run

    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    rows = random.normal(size=(150, 3))
    parquet.write_table(table({"embedding": list(rows)}), "embeddings.parquet")
    np.savetxt("data.csv", rows, delimiter=",", header="a,b,c", comments="")
    for name in ("photos", "generated"):
        Path(name).mkdir()
        for i in range(12):
            pixels = random.integers(256, size=(32, 32, 3), dtype=np.uint8)
            pillow.fromarray(pixels).save(f"{name}/{i}.png")
    shutil.make_archive("generated", "zip", "generated")

    (block,) = examples("sh")
    commands = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert [words[:1] for words in commands] == [["unsup-fast"]] * 7
    short = {
        "kmeans": [],
        "gmm": [],
        "diffusion train": ["--steps", "2", "--batch-size", "4", "--model-size", "tiny"],
        "diffusion distill": ["--train-steps", "10", "--batch-size", "4", "--samples", "0"],
        "vae train": ["--steps", "2", "--batch-size", "4", "--model-size", "tiny"],
        "gan train": ["--steps", "2", "--batch-size", "4", "--model-size", "tiny"],
        "fid": ["--features", "none"],
    }
    for _, command, *words in commands:
        if command == "fid":
            words = words[: words.index("--weights")]  # a file of 90 MB that users download
        name = f"{command} {words[0]}" if command in ("diffusion", "vae", "gan") else command
        assert run([command, *words, *short[name]]) == 0
    assert parquet.read_table("out/labels.parquet").num_rows == 150


@pytest.mark.parametrize(
    "page", [README, *sorted(README.parent.glob("docs/**/*.md"))], ids=lambda page: page.name
)
def test_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing
