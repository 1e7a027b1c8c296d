"""What objects say of themselves: one line with sizes, and pictures in notebooks."""

import base64
import io
import re

import numpy as np
import pytest

from unsup_fast import blocks, metrics, pictures

ROWS = np.random.default_rng(0).normal(size=(30, 4))


def test_source(tmp_path):
    assert repr(blocks.source(ROWS)) == "<Source of 30 rows of 4 columns, float64: X (array)>"
    path = tmp_path / "a\nb.npy"
    np.save(path, ROWS.astype(np.float16))
    said = repr(blocks.source(path))
    assert said.startswith("<Source of 30 rows of 4 columns, float16: ")
    assert said.endswith(r"a\nb.npy (npy)>")


def test_source_is_not_read_for_its_repr():
    passes = []

    def rows():
        passes.append(1)
        return iter([ROWS])

    source = blocks.source(rows)
    opened = len(passes)
    assert repr(source).startswith("<Source of rows of 4 columns")
    assert len(passes) == opened
    assert source.n_rows == 30
    assert repr(source).startswith("<Source of 30 rows of 4 columns")


@pytest.mark.parametrize("name", ["FrechetDistance", "KernelInceptionDistance"])
def test_accumulators_of_features(name):
    accumulator = getattr(metrics, name)()
    assert repr(accumulator) == f"<{name}: no samples>"
    accumulator.update(ROWS, real=True)
    accumulator.update(ROWS[:7], real=False)
    accumulator.update(ROWS[:3], real=False)
    assert repr(accumulator) == f"<{name}: real 30 x 4, fake 10 x 4>"


def test_statistics():
    fid = metrics.FrechetDistance()
    fid.set_statistics(np.zeros(3), np.eye(3))
    assert repr(fid) == "<FrechetDistance: real statistics of 3 columns>"
    assert repr(fid.statistics(real=True)) == "<Statistics of 3 columns>"


@pytest.mark.parametrize("n_samples", [None, 40])
def test_inception_score(n_samples):
    score = metrics.InceptionScore(splits=2, n_samples=n_samples)
    assert repr(score) == "<InceptionScore: no samples>"
    score.update(np.full((12, 5), 0.2))
    score.update(np.full((8, 5), 0.2))
    assert repr(score) == "<InceptionScore: probabilities 20 x 5>"


def loaded(pixels, name="<b>&\x1b"):
    return pictures.Pictures(pixels, None, (), [], name)


def test_pictures_are_shown_as_a_grid():
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (60, 3, 8, 6), dtype=np.uint8)
    shown = loaded(pixels)
    assert repr(shown) == r"<Pictures: 60 of 3 x 8 x 6, from <b>&\x1b>"
    html = shown._repr_html_()
    assert "<b>" not in html
    assert r"from &lt;b&gt;&amp;\x1b&gt;" in html
    content = re.search('src="data:image/png;base64,([^"]+)"', html)[1]
    with image.open(io.BytesIO(base64.b64decode(content))) as file:
        picture = np.asarray(file)
    np.testing.assert_array_equal(picture, pictures.grid(pixels[:40], 10))
    assert len(re.findall(r"(?:src|href)=", html)) == 1


def test_large_pictures_are_small_in_a_notebook():
    pytest.importorskip("PIL")
    pixels = np.random.default_rng(0).integers(0, 256, (41, 3, 500, 300), dtype=np.uint8)
    assert len(loaded(pixels)._repr_html_()) < 3_000_000
    assert loaded(pixels[:0])._repr_html_() is None


def test_digits():
    assert repr(pictures.digits()).startswith("<Pictures: 1,797 of 1 x 8 x 8, 10 classes, from ")
    assert repr(pictures.images(np.zeros((3, 8, 8, 3), np.uint8))).startswith("<Images: 3 from ")


def test_diffusion():
    torch = pytest.importorskip("torch")
    from unsup_fast.models import diffusion

    config = diffusion.Config(shape=(1, 8, 8), classes=("a", "b"), size="tiny")
    model = diffusion.Diffusion.build(config)
    n = sum(each.numel() for each in model.network.parameters())
    expected = (
        f"<Diffusion: 1 x 8 x 8, unet tiny, v_prediction, 2 classes, {n:,} parameters on cpu>"
    )
    assert repr(model) == expected
    custom = diffusion.Config(shape=(3,), network="custom")
    said = repr(diffusion.Diffusion(torch.nn.Linear(3, 3), custom))
    assert said == "<Diffusion: 3, custom, v_prediction, 12 parameters on cpu>"
