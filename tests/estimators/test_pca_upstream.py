"""scikit-learn's own checks and tests, run on our classes."""

import importlib.util

import numpy as np
import pytest
import sklearn
import sklearn.decomposition
from sklearn.utils.estimator_checks import parametrize_with_checks

import unsup_fast.decomposition as ours

# These test private functions, or the array API. test_pca_svd_solver_auto expects scikit-learn's
# choice where that is random or slow, and test_pca_score expects a lower score of the same axes if
# `whiten` is set, on which the score does not depend. test_incremental_pca_validation expects a
# first batch of n_components rows, which ours does not need.
ELSEWHERE = (
    "test_infer_dim_1",
    "test_infer_dim_2",
    "test_infer_dim_3",
    "test_assess_dimension_bad_rank",
    "test_small_eigenvalues_mle",
    "test_assess_dimension_rank_one",
    "test_pca_array_api_compliance",
    "test_pca_mle_array_api_compliance",
    "test_array_api_error_and_warnings_on_unsupported_params",
    "test_pca_svd_solver_auto",
    "test_pca_score",
    "test_incremental_pca_validation",
)


def _upstream(name):
    """Import one of scikit-learn's test modules with its class bound to ours."""
    spec = importlib.util.find_spec(f"sklearn.decomposition.tests.{name}")
    if spec is None or tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 9):
        return {}
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        for cls in ("PCA", "IncrementalPCA"):
            patch.setattr(sklearn.decomposition, cls, getattr(ours, cls))
        spec.loader.exec_module(module)
    return {
        key if name == "test_pca" else key.replace("test_", "test_incremental_", 1): value
        for key, value in vars(module).items()
        if key.startswith("test_") and key not in ELSEWHERE
    }


globals().update(_upstream("test_pca"))
globals().update(_upstream("test_incremental_pca"))


@pytest.fixture
def global_random_seed():
    return 42


@pytest.fixture(params=[np.float32, np.float64])
def global_dtype(request):
    return request.param


@parametrize_with_checks(
    [
        ours.PCA(),
        ours.PCA(n_components=1, whiten=True, svd_solver="covariance_eigh"),
        ours.PCA(n_components=1, svd_solver="arpack"),
        ours.PCA(n_components=1, svd_solver="randomized"),
        ours.IncrementalPCA(),
        ours.IncrementalPCA(n_components=1, batch_size=10),
    ]
)
def test_estimator_checks(estimator, check):
    check(estimator)
