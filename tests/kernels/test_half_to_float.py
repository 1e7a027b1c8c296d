import numpy as np
import pytest

from unsup_fast.kernels.half_to_float import half_to_float

EVERY = np.arange(1 << 16, dtype=np.uint16).view(np.float16)


def bits_of(X, **options):
    out = np.full(X.shape, np.nan, dtype=np.float32)
    half_to_float(X, out, **options)
    return out.view(np.uint32)


def test_every_pattern_is_the_reference_to_the_bit():
    np.testing.assert_array_equal(bits_of(EVERY), bits_of(EVERY, backend="ref"))


def test_the_reference_has_numpys_numbers():
    actual, expected = bits_of(EVERY, backend="ref").view(np.float32), EVERY.astype(np.float32)
    np.testing.assert_array_equal(actual, expected)
    np.testing.assert_array_equal(np.signbit(actual), np.signbit(EVERY))


def test_nan_keeps_its_payload():
    actual, nan = bits_of(EVERY), np.isnan(EVERY)
    assert (actual[nan] & 0x7FC00000 == 0x7FC00000).all()
    np.testing.assert_array_equal(actual[nan] >> 13 & 0x1FF, EVERY[nan].view(np.uint16) & 0x1FF)


@pytest.mark.parametrize("size", [0, 1, 3, 7, 15, 16, 17, 31, 33, 97, 1025])
@pytest.mark.parametrize("start", [0, 1, 31740])
def test_odd_sizes_at_odd_offsets(size, start):
    X = EVERY[start : start + size]
    guarded = np.full(size + 2, 7, dtype=np.float32)
    half_to_float(X, guarded[1:-1])
    np.testing.assert_array_equal(guarded[1:-1].view(np.uint32), bits_of(X, backend="ref"))
    assert guarded[0] == guarded[-1] == 7


def test_any_shape():
    X = EVERY[:60].reshape(3, 4, 5)
    np.testing.assert_array_equal(bits_of(X).view(np.float32), X.astype(np.float32))


def test_wrong_arguments():
    X, out = EVERY[:6].reshape(2, 3), np.empty((2, 3), np.float32)
    with pytest.raises(TypeError, match="X must be an ndarray of float16, got float32"):
        half_to_float(out, out)
    with pytest.raises(TypeError, match="X must be an ndarray of float16, got list"):
        half_to_float([1.0], out)
    with pytest.raises(TypeError, match="out must be an ndarray of float32, got float16"):
        half_to_float(X, X)
    with pytest.raises(ValueError, match=r"out has shape \(3, 2\); it must be \(2, 3\)"):
        half_to_float(X, out.reshape(3, 2))
    with pytest.raises(ValueError, match="X must be C-contiguous"):
        half_to_float(X.T, out.reshape(3, 2))
    with pytest.raises(ValueError, match="out must be C-contiguous"):
        half_to_float(X.reshape(3, 2), out.T)
