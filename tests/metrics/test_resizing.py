"""Each resizing function against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from unsup_fast.metrics._resizing import RESIZERS  # noqa: E402

SIZES = [(32, 32, 299), (1, 1, 8), (300, 7, 29), (31, 512, 97), (29, 29, 29), (64, 17, 75)]


def picture(height, width, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (2, 3, height, width)).astype(np.float32)


def resized(name, x, side):
    return RESIZERS[name](torch.from_numpy(x), side).numpy()


def along(x, axis, side, centres):
    """Interpolate between two pixels in float64; `centres`: positions are those of centres."""
    size = x.shape[axis]
    positions = np.empty(side)
    for i in range(side):
        if centres:
            positions[i] = max(0.0, (i + 0.5) * size / side - 0.5)
        else:
            positions[i] = np.float32(i) * np.float32(np.float32(size) / np.float32(side))
    low = np.floor(positions).astype(int)
    high = np.minimum(low + 1, size - 1)
    share = (positions - low).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    return np.take(x, low, axis) * (1 - share) + np.take(x, high, axis) * share


def bilinear(x, side, *, centres):
    return along(along(x.astype(np.float64), 3, side, centres), 2, side, centres)


@pytest.mark.parametrize("size", SIZES)
def test_tensorflow(size):
    *shape, side = size
    x = picture(*shape)
    expected = bilinear(x, side, centres=False)
    np.testing.assert_allclose(resized("tensorflow", x, side), (expected - 128) / 128, atol=1e-5)


def test_tensorflow_takes_corners_and_smooths_nothing():
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 1, 16)
    actual = 128 * resized("tensorflow", x, 4)[0, 0, 0] + 128
    np.testing.assert_array_equal(actual, [0, 4, 8, 12])
    x = np.array([[[[0.0, 100.0]]]], dtype=np.float32)
    actual = 128 * resized("tensorflow", x, 4)[0, 0, 0] + 128
    np.testing.assert_array_equal(actual, [0, 50, 100, 100])


@pytest.mark.parametrize("size", SIZES)
def test_pytorch_fid(size):
    *shape, side = size
    x = picture(*shape)
    expected = 2 * bilinear(x, side, centres=True) / 255 - 1
    np.testing.assert_allclose(resized("pytorch-fid", x, side), expected, atol=2e-4)


@pytest.mark.parametrize("size", SIZES)
def test_clean_is_pillow_in_floats(size):
    Image = pytest.importorskip("PIL.Image")
    *shape, side = size
    x = picture(*shape)
    expected = [
        [
            np.asarray(Image.fromarray(channel).resize((side, side), Image.Resampling.BICUBIC))
            for channel in one
        ]
        for one in x
    ]
    expected = (np.array(expected, dtype=np.float64) - 128) / 128
    np.testing.assert_allclose(resized("clean", x, side), expected, atol=1e-5)


@given(
    st.sampled_from(sorted(RESIZERS)),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 255),
)
def test_one_colour_stays(name, height, width, side, colour):
    x = np.full((1, 3, height, width), colour, dtype=np.float32)
    expected = 2 * colour / 255 - 1 if name == "pytorch-fid" else (colour - 128) / 128
    np.testing.assert_allclose(resized(name, x, side), expected, atol=2e-6)


@pytest.mark.parametrize("name", RESIZERS)
def test_memory_format_does_not_matter(name):
    x = torch.from_numpy(picture(40, 30))
    last = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(RESIZERS[name](last, 50), RESIZERS[name](x, 50), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", RESIZERS)
def test_gradients(name):
    x = 255 * torch.rand(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: RESIZERS[name](x, 4), x.detach().requires_grad_())
