"""Conversion of values in [-1, 1] to bytes, and grids of pictures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unsup_fast import pictures


def test_bytes_come_back():
    x = np.arange(256, dtype=np.uint8)
    for dtype in (np.float32, np.float64):
        np.testing.assert_array_equal(pictures.to_bytes(x / dtype(127.5) - dtype(1)), x)


def test_values_are_rounded_and_clipped():
    x = np.random.default_rng(0).normal(0, 1, (3, 1, 33, 17)).astype(np.float32)
    actual = pictures.to_bytes(x)
    assert (actual.dtype, actual.shape) == (np.uint8, x.shape)
    exact = np.clip((x.astype(np.float64) + 1) * 127.5, 0, 255)
    assert np.abs(actual - exact).max() <= 0.5 + 1e-5
    np.testing.assert_array_equal(
        pictures.to_bytes(np.array([-9.0, -1.0, 1.0, 9.0])), [0, 0, 255, 255]
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_tensors(dtype):
    torch = pytest.importorskip("torch")
    x = torch.linspace(-1.5, 1.5, 40, dtype=getattr(torch, dtype), requires_grad=True).reshape(
        2, 20
    )
    actual = pictures.to_bytes(x)
    assert isinstance(actual, np.ndarray)
    np.testing.assert_array_equal(actual, pictures.to_bytes(x.detach().double().numpy()))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(value):
    x = np.zeros((2, 3, 4))
    x[1, 2, 0] = x[1, 2, 3] = value
    with pytest.raises(ValueError, match=r"2 values that are not finite, the first at \[1, 2, 0\]"):
        pictures.to_bytes(x)
    with pytest.raises(ValueError, match="not finite"):
        pictures.grid(x)


def test_bytes_are_no_floats():
    with pytest.raises(TypeError, match="x holds uint8; pass floats"):
        pictures.to_bytes(np.zeros(3, np.uint8))


@settings(max_examples=60)
@given(
    st.integers(1, 12), st.sampled_from([1, 3]), st.integers(4, 7), st.integers(4, 7),
    st.none() | st.integers(1, 14),
)  # fmt: skip
def test_every_picture_is_in_its_cell(n, channels, height, width, columns):
    x = np.random.default_rng(n).integers(0, 256, (n, channels, height, width), dtype=np.uint8)
    image = pictures.grid(x, columns)
    across = min(columns or int(np.ceil(n**0.5)), n)
    rows = -(-n // across)
    assert image.shape == (rows * (height + 2) - 2, across * (width + 2) - 2, 3)
    assert image.flags.c_contiguous
    left = image.copy()
    for i, picture in enumerate(x):
        top, start = i // across * (height + 2), i % across * (width + 2)
        cell = slice(top, top + height), slice(start, start + width)
        expected = np.broadcast_to(picture.transpose(1, 2, 0), (height, width, 3))
        np.testing.assert_array_equal(image[cell], expected)
        left[cell] = 128
    assert (left == 128).all()


def test_layouts():
    x = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 6), dtype=np.uint8)
    whole = pictures.grid(x)
    np.testing.assert_array_equal(pictures.grid(x.transpose(0, 2, 3, 1)), whole)
    np.testing.assert_array_equal(pictures.grid(x / 127.5 - 1), whole)
    np.testing.assert_array_equal(pictures.grid(x[0]), x[0].transpose(1, 2, 0))
    np.testing.assert_array_equal(pictures.grid(x[0].transpose(1, 2, 0)), x[0].transpose(1, 2, 0))
    grey = x[:, :1]
    np.testing.assert_array_equal(pictures.grid(grey[:, 0]), pictures.grid(grey))
    np.testing.assert_array_equal(pictures.grid(grey[0]), np.repeat(grey[0, 0, :, :, None], 3, 2))
    np.testing.assert_array_equal(pictures.grid(grey[0, 0]), pictures.grid(grey[0]))


@pytest.mark.parametrize(
    "shape", [(), (4,), (2, 2, 5, 5), (0, 3, 5, 5), (2, 3, 0, 5), (1, 1, 3, 4, 4)]
)
def test_bad_shapes(shape):
    with pytest.raises(ValueError, match=r"x has shape .*; pass pictures"):
        pictures.grid(np.zeros(shape))


@pytest.mark.parametrize(
    ("columns", "error"), [(0, ValueError), (2.0, TypeError), (True, TypeError)]
)
def test_bad_columns(columns, error):
    with pytest.raises(error, match=r"columns=.*; pass an int >= 1"):
        pictures.grid(np.zeros((4, 1, 5, 5)), columns)


def test_files(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    x = np.random.default_rng(0).integers(0, 256, (5, 1, 4, 6), dtype=np.uint8)
    for columns in (2, 5):
        pictures.save_grid(tmp_path / "x.png", x, columns)
        with Image.open(tmp_path / "x.png") as picture:
            np.testing.assert_array_equal(np.asarray(picture), pictures.grid(x, columns))
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_files_that_cannot_be_written(tmp_path):
    pytest.importorskip("PIL")
    x = np.zeros((2, 1, 4, 4))
    with pytest.raises(ValueError, match=r"x.jpg: grids are saved as PNG"):
        pictures.save_grid(tmp_path / "x.jpg", x)
    with pytest.raises(OSError, match="cannot save the pictures, and nothing was changed: there"):
        pictures.save_grid(tmp_path / "none" / "x.png", x)
    (tmp_path / "x.png").write_bytes(b"before")
    with pytest.raises(ValueError, match="not finite"):
        pictures.save_grid(tmp_path / "x.png", x + np.nan)
    assert (tmp_path / "x.png").read_bytes() == b"before"
