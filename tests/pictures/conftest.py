"""Pictures as files, for the tests of this folder."""

import io

import numpy as np
import pytest


@pytest.fixture
def encode():
    """Return a function that encodes an array or a Pillow image as the bytes of a file."""
    Image = pytest.importorskip("PIL.Image")

    def encode(picture, kind="PNG", **options):
        content = io.BytesIO()
        picture = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
        picture.save(content, kind, **options)
        return content.getvalue()

    return encode


@pytest.fixture
def colours():
    """Return seven pictures [N, H, W, 3]."""
    return np.random.default_rng(0).integers(0, 256, (7, 6, 5, 3), dtype=np.uint8)
