"""scikit-learn's own checks and tests, run on our classes."""

import importlib.util

import numpy as np
import pytest
import sklearn
import sklearn.cluster
from sklearn.utils.estimator_checks import parametrize_with_checks

import unsup_fast.cluster as ours

# They test scikit-learn's private functions, which we do not have; test_kmeans_parity (weights in
# seeding) and test_minibatch_parity cover the public behaviour that they check.
PRIVATE = (
    "test_minibatch_reassign",
    "test_minibatch_update_consistency",
    "test_sample_weight_init",
    "test_sample_weight_zero",
)

WEIGHTS_AND_DRAWS = (
    "random draws go by row, so leaving out or repeating rows gives other draws for the same "
    "random_state; scikit-learn's classes fail here for the same reason"
)


def _upstream():
    """Import scikit-learn's test module with its four names bound to ours."""
    spec = importlib.util.find_spec("sklearn.cluster.tests.test_k_means")
    if spec is None or tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 9):
        return {}
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("KMeans", "MiniBatchKMeans", "k_means", "kmeans_plusplus"):
            patch.setattr(sklearn.cluster, name, getattr(ours, name))
        spec.loader.exec_module(module)
    return {
        name: value
        for name, value in vars(module).items()
        if name.startswith("test_") and name not in PRIVATE
    }


globals().update(_upstream())

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def global_random_seed():
    return 42


@pytest.fixture(params=[np.float32, np.float64])
def global_dtype(request):
    return request.param


@parametrize_with_checks(
    [
        ours.KMeans(),
        ours.KMeans(n_clusters=2, n_init=2, max_iter=5),
        ours.MiniBatchKMeans(),
        ours.MiniBatchKMeans(n_clusters=2, n_init=2, max_iter=5, batch_size=10),
    ],
    expected_failed_checks=lambda estimator: {
        "check_sample_weight_equivalence_on_dense_data": WEIGHTS_AND_DRAWS,
        "check_sample_weight_equivalence_on_sparse_data": WEIGHTS_AND_DRAWS,
    },
)
def test_estimator_checks(estimator, check):
    check(estimator)


def test_integer_weights_equal_repeated_rows(blobs):
    weight = np.random.default_rng(0).integers(0, 4, len(blobs))
    init = blobs[::50]
    a = ours.KMeans(6, init=init).fit(blobs, sample_weight=weight)
    b = ours.KMeans(6, init=init).fit(np.repeat(blobs, weight, axis=0))
    np.testing.assert_allclose(a.cluster_centers_, b.cluster_centers_, rtol=1e-12)
    assert a.inertia_ == pytest.approx(b.inertia_, rel=1e-12)
