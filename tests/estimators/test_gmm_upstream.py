"""scikit-learn's own checks and tests, run on our class."""

import importlib.util

import numpy as np
import pytest
import sklearn
import sklearn.mixture
from sklearn.utils.estimator_checks import parametrize_with_checks

from unsup_fast.mixture import GaussianMixture

# They test scikit-learn's private functions, or its Array API, which we do not have;
# test_gmm_parity covers the public behaviour that they check.
PRIVATE = (
    "test_gaussian_mixture_all_init_does_not_estimate_gaussian_parameters",
    "test_gaussian_mixture_array_api_compliance",
    "test_gaussian_mixture_precisions_init",
    "test_gaussian_mixture_raises_where_array_api_not_implemented",
)

# They test behaviour of scikit-learn that differs from ours: its message on weights swaps maximum
# and minimum, its float32 score is rounded, and degenerate data are an error.
OTHERWISE = ("test_check_weights", "test_score", "test_regularisation")

WEIGHTS_AND_DRAWS = (
    "random draws go by row, so leaving out or repeating rows gives other draws for the same "
    "random_state"
)


def _upstream():
    """Import scikit-learn's test module with its name bound to ours."""
    spec = importlib.util.find_spec("sklearn.mixture.tests.test_gaussian_mixture")
    if spec is None or tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 9):
        return {}
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sklearn.mixture, "GaussianMixture", GaussianMixture)
        spec.loader.exec_module(module)
    return {
        name: value
        for name, value in vars(module).items()
        if name.startswith("test_") and name not in PRIVATE + OTHERWISE
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
    [GaussianMixture(), GaussianMixture(2, covariance_type="diag", max_iter=5, n_init=2)],
    expected_failed_checks=lambda estimator: (
        {"check_sample_weight_equivalence_on_dense_data": WEIGHTS_AND_DRAWS}
        if estimator.n_components > 1
        else {}
    ),
)
def test_estimator_checks(estimator, check):
    check(estimator)
