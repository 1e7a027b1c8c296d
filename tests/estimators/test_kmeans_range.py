"""Rows at the ends of the range of their type, against the same rows near one."""

import numpy as np
import pytest

from unsup_fast.blocks import source
from unsup_fast.cluster import KMeans, MiniBatchKMeans, kmeans_parallel, kmeans_plusplus


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    X = 4 * rng.integers(0, 4, (600, 1)) + rng.normal(size=(600, 3))
    return X - np.median(X, axis=0)


def stream(X):
    return source(lambda: [X], chunk_size=97)


ENDS = [(np.float32, 110), (np.float32, -110), (np.float64, 500), (np.float64, -600)]


@pytest.mark.parametrize("given_as", [np.asarray, stream])
@pytest.mark.parametrize(("dtype", "exponent"), ENDS)
@pytest.mark.parametrize("choose", [kmeans_plusplus, kmeans_parallel])
def test_seeding_does_not_see_a_power_of_two(rows, choose, dtype, exponent, given_as):
    X = rows.astype(dtype)
    expected = choose(given_as(X), 9, random_state=0)[1]
    far = np.ldexp(X, exponent)
    np.testing.assert_array_equal(choose(given_as(far), 9, random_state=0)[1], expected)
    init = {kmeans_plusplus: "k-means++", kmeans_parallel: "k-means||"}[choose]
    model = KMeans(9, init=init, random_state=0, max_iter=1).fit(given_as(far))
    start = KMeans(9, init=far[expected], max_iter=1).fit(given_as(far))
    np.testing.assert_array_equal(model.cluster_centers_, start.cluster_centers_)


@pytest.mark.parametrize("given_as", [np.asarray, stream])
@pytest.mark.parametrize("exponent", [-550, -600, -990, 480])
@pytest.mark.parametrize("weighted", [False, True])
def test_fit_of_doubles_whose_squares_vanish_or_nearly_overflow(rows, exponent, weighted, given_as):
    weight = np.random.default_rng(1).integers(1, 4, 600) if weighted else None
    far = np.ldexp(rows, exponent)
    options = {"random_state": 0, "tol": 0, "n_init": 1, "algorithm": "lloyd"}
    expected = KMeans(7, **options).fit(given_as(rows), sample_weight=weight)
    model = KMeans(7, **options).fit(given_as(far), sample_weight=weight)
    assert model.n_iter_ == expected.n_iter_ > 2
    np.testing.assert_array_equal(model.labels_, expected.labels_)
    centers = np.ldexp(expected.cluster_centers_, exponent)
    np.testing.assert_allclose(model.cluster_centers_, centers, rtol=1e-12)
    assert np.isfinite(model.inertia_)
    np.testing.assert_array_equal(model.predict(given_as(far)), model.labels_)


@pytest.mark.parametrize("given_as", [np.asarray, stream])
def test_floats_near_their_largest_number(rows, given_as):
    unit = rows / np.abs(rows - np.median(rows, axis=0)).max()
    X = (3.3e38 * unit).astype(np.float32)  # each less the median is within the range
    model = KMeans(7, random_state=0).fit(given_as(X))
    expected = KMeans(7, random_state=0).fit(unit.astype(np.float32))
    assert model.n_iter_ > 1
    np.testing.assert_array_equal(model.labels_, expected.labels_)
    assert model.inertia_ == pytest.approx(expected.inertia_ * 3.3e38**2, rel=1e-5)


@pytest.mark.parametrize("given_as", [np.asarray, stream])
@pytest.mark.parametrize("estimator", [KMeans, MiniBatchKMeans])
def test_floats_whose_differences_overflow_are_an_error(rows, estimator, given_as):
    X = rows.astype(np.float32)
    X[:400], X[400:] = -3e38, 3e38
    with pytest.raises(
        ValueError, match=r"lie up to 6e\+38 from their median, beyond float32; div"
    ):
        estimator(2).fit(given_as(X))
    assert estimator(2, random_state=0).fit(X.astype(np.float64)).inertia_ >= 0
    model = estimator(2, random_state=0).fit(
        np.linspace(-3e38, -2e38, 900, dtype=np.float32).reshape(300, 3)
    )
    with pytest.raises(ValueError, match="beyond float32"):
        model.predict(X)
