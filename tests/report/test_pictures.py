"""Rows as pictures inside the page."""

import base64
import io

import numpy as np
import pytest

from unsup_fast.report import pictures

Image = pytest.importorskip("PIL.Image")


def decoded(uri):
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGBA"))


@pytest.mark.parametrize("channels", [None, 1, 3, 4])
def test_png(channels):
    shape = (2, 3) if channels is None else (2, 3, channels)
    rows = np.random.default_rng(0).integers(0, 256, (2, int(np.prod(shape)))).astype(np.float32)
    pixels = decoded(pictures.strip(rows, shape, 0.0, 255.0, 3))
    assert pixels.shape == (2, 13, 4)
    assert (pixels[:, 3:5] == 0).all()
    assert (pixels[:, 8:] == 0).all()
    expected = rows.reshape(2, 2, 3, -1)
    colour = expected[..., :3] if (channels or 1) > 1 else np.repeat(expected, 3, axis=3)
    np.testing.assert_array_equal(pixels[:, :3, :3], colour[0])
    np.testing.assert_array_equal(pixels[:, 5:8, :3], colour[1])
    opacity = expected[1, ..., 3] if channels == 4 else 255
    np.testing.assert_array_equal(pixels[:, 5:8, 3], np.broadcast_to(opacity, (2, 3)))


@pytest.mark.parametrize(
    ("shape", "side"), [((64, 64), (64, 64)), ((65, 65), (64, 64)), ((300, 7), (64, 1))]
)
def test_large_pictures_are_shrunk(shape, side):
    rows = np.full((2, shape[0] * shape[1]), 1.0, dtype=np.float32)
    pixels = decoded(pictures.strip(rows, shape, 0.0, 2.0, 2))
    assert pixels.shape == (side[0], 2 * side[1] + pictures.GAP, 4)
    assert (pixels[:, : side[1]] == [128, 128, 128, 255]).all()
