"""The origin of rows: the median of evenly spaced ones, alike for arrays and tensors."""

import numpy as np
import pytest

from unsup_fast.kernels.origin import median_row, origin, sample_slice

pytestmark = pytest.mark.any_level  # NumPy and torch compute


@pytest.mark.parametrize("n_rows", [1, 2, 7, 99, 100, 199, 200, 12345])
def test_sample_is_about_a_hundred_even_rows(n_rows: int) -> None:
    rows = range(n_rows)[sample_slice(n_rows)]
    assert rows[0] == 0
    assert len(rows) == n_rows if n_rows < 200 else 100 <= len(rows) < 200


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_rows", [1, 2, 5, 100, 1003])
def test_origin_is_the_upper_median_of_each_column(n_rows: int, dtype: type) -> None:
    torch = pytest.importorskip("torch")
    X = np.random.default_rng(n_rows).standard_normal((n_rows, 7)).astype(dtype)
    before = X.copy()
    step = n_rows // 100 or 1
    columns = [sorted(X[::step, j].tolist()) for j in range(7)]
    expected = np.array([column[len(column) // 2] for column in columns], dtype)
    for result in (origin(X), origin(torch.from_numpy(X)).numpy()):
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, expected)
        result[:] = 0
    np.testing.assert_array_equal(X, before)


def test_median_row_does_not_follow_outliers() -> None:
    X = np.ones((50, 3))
    X[:20] = 1e30
    np.testing.assert_array_equal(median_row(X), [1, 1, 1])
