"""The page of a GAN: its charts, alarms and tiles, of whole files and of missing ones."""

import re

import numpy as np
import pytest

from unsup_fast.report.gan import Limits, Neighbours, Run, gan

pytest.importorskip("matplotlib")
pytest.importorskip("PIL")

SUMMARY = {
    "data": {"file": "d.npz", "shape": [40, 1, 8, 8], "classes": ["a", "<b>"], "skipped": []},
    "parameters": {
        "family": "wgan-gp",
        "model_size": "tiny",
        "latent": 6,
        "loss": "wasserstein",
        "n_critic": 5,
        "batch_size": 8,
    },
    "result": {"steps": 9, "seconds": 2.0, "loss": None, "weights": 1200, "stopped": "reached 9"},
    "machine": {"system": "Linux", "threads": 1, "device": "cpu", "simd": "v3"},
    "versions": {"unsup_fast": "1", "python": "3", "numpy": "2"},
}


@pytest.fixture
def run(tmp_path):
    """Return a function that returns the content of a page, with changes."""
    images = np.random.default_rng(0).integers(256, size=(3, 8, 8, 1), dtype=np.uint8)

    def content(**changes):
        parts = {
            "title": "A <title>",
            "data_name": "d.npz",
            "folder": "run",
            "summary": SUMMARY,
            "metrics": tmp_path / "metrics.csv",
            "grids": [],
            "alarms": [],
            "limits": Limits(spread=0.25, sign=0.98),
            "scores": tmp_path / "scores.csv",
            "neighbours": Neighbours(
                samples=images, nearest=images, of_samples=0.25, of_pictures=0.125
            ),
            "interpolations": [images, images],
            "paths": ["a", "<b>"],
            "truncations": {"limit 0.5": images, "none": images},
            "mixes": {},
            "n_generator": 700,
            "grown": "",
        }
        return Run(**(parts | changes))

    names = "step,seconds,d_loss,g_loss,real,fake,sign,spread,gradient_penalty"
    names += ",generator_norm,discriminator_norm,examples_per_second"
    rows = [
        f"{step},{step},-1.5,{step},2,1,0.5,0.8,{0.3 if step % 2 else ''},0.1,0.2,40"
        for step in range(1, 10)
    ]
    (tmp_path / "metrics.csv").write_text("\n".join([names, *rows]) + "\n")
    scores = "step,seconds,frechet_distance\n3,3,40\n6,6,12.5\n9,9,20\n"
    (tmp_path / "scores.csv").write_text(scores)
    return content


def test_whole_page(run, parsed):
    page = gan(run(alarms=["step 800: the generator has <collapsed>", "step 900: another"]))
    tags = parsed(page)
    assert len([tag for tag, _ in tags if tag == "svg"]) == 8
    for words in (
        "A &lt;title&gt;",
        "A GAN (wgan-gp, tiny) with 6 latents and the wasserstein loss, trained on d.npz: 40 pict",
        "<li>step 800: the generator has &lt;collapsed&gt;</li>",
        "What went wrong",
        'Alarms</dt><dd><span class="value">2<',
        'Spread</dt><dd><span class="value">0.80<',
        'Pictures seen</dt><dd><span class="value">360<',
        'Frechet distance</dt><dd><span class="value">12.5</span><span class="more">the best, after'
        " step 6<",
        "Penalties, before their weights (logarithmic)",
        "alarm below",
        "is 0.25000; that of pictures to the nearest other one is 0.12500",
        "label=&#x27;&lt;b&gt;&#x27;",
    ):
        assert words in page, words
    assert not re.search(r"\bnan\b", page)
    assert "<dt>Loss</dt>" not in page
    assert "limit 0.5" in page
    assert "Mixed styles" not in page


def test_page_of_a_network_with_styles_and_ada(run, parsed, tmp_path):
    images = np.zeros((3, 8, 8, 1), np.uint8)
    names = "step,seconds,d_loss,g_loss,real,fake,sign,spread,r1,path_length,augment_p,r_t"
    names += ",generator_norm,discriminator_norm,examples_per_second"
    rows = [f"{step},1,1,1,1,1,0.5,0.8,,0.5,0.25,0.6,1,1,40" for step in range(1, 10)]
    (tmp_path / "metrics.csv").write_text("\n".join([names, *rows]) + "\n")
    content = run(mixes={"fine": images, "coarse 1": images}, truncations={"psi 0": images})
    page = gan(content)
    for words in (
        "Mixed styles",
        "coarse 1",
        "The same seeds with styles drawn to their mean",
        "Augmentation: its probability, and the mean sign that steers it",
        "path length",
    ):
        assert words in page, words


def test_page_of_a_generator_that_still_grows(run, parsed):
    page = gan(run(grown="grown to 4 x 4 of 8 x 8"))
    assert "Samples are grown to 4 x 4 of 8 x 8, and enlarged." in page
    assert "enlarged" not in gan(run())


def test_page_without_metrics_and_scores(run, parsed, tmp_path):
    for name in ("metrics.csv", "scores.csv"):
        (tmp_path / name).unlink()
    page = gan(run())
    assert not [tag for tag, _ in parsed(page) if tag == "svg"]
    for words in ("How it went", "The game", "How near", "What went wrong", "<dt>Spread"):
        assert words not in page
    (tmp_path / "metrics.csv").write_text("step,seconds,d_loss,examples_per_second\n")
    assert "The game" not in gan(run())
