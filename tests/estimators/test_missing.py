"""Missing values in arrays and frames, frames of sparse columns, and what errors say of them."""

import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from unsup_fast.blocks import DataError, source
from unsup_fast.cluster import KMeans, MiniBatchKMeans, kmeans_parallel, kmeans_plusplus
from unsup_fast.decomposition import PCA, IncrementalPCA
from unsup_fast.mixture import GaussianMixture

ROWS = np.random.default_rng(0).normal(size=(30, 3))
ESTIMATORS = {
    "KMeans": lambda: KMeans(2, random_state=0),
    "MiniBatchKMeans": lambda: MiniBatchKMeans(2, random_state=0),
    "GaussianMixture": lambda: GaussianMixture(2, random_state=0),
    "PCA": lambda: PCA(2),
    "IncrementalPCA": lambda: IncrementalPCA(2),
}
MASK = np.zeros(ROWS.shape, bool)
MASK[4, 1] = MASK[7, 0] = True


def calls(name):
    """Return what takes rows: fit, and a method of a fitted model."""
    model = ESTIMATORS[name]().fit(ROWS)
    return [ESTIMATORS[name]().fit, model.transform if "PCA" in name else model.predict]


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("dtype", [float, np.float32, int])
def test_masked_rows_are_missing_values(name, dtype):
    X = np.ma.masked_array((9 * ROWS).astype(dtype), MASK)
    for call in calls(name):
        with pytest.raises(
            ValueError, match=r"X is masked, that is missing, in row 4, column 1 \("
        ):
            call(X)


@pytest.mark.parametrize("choose", [kmeans_plusplus, kmeans_parallel])
def test_masked_rows_are_not_chosen(choose):
    with pytest.raises(ValueError, match=r"X is masked, that is missing, in row 4, column 1 \("):
        choose(np.ma.masked_array(ROWS, MASK), 2)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_masked_arrays_without_masked_entries(name):
    plain = ESTIMATORS[name]().fit(ROWS)
    for mask in (np.ma.nomask, np.zeros(ROWS.shape, bool)):
        model = ESTIMATORS[name]().fit(np.ma.masked_array(ROWS, mask))
        attribute = {"K": "cluster_centers_", "M": "cluster_centers_", "G": "means_"}.get(
            name[0], "components_"
        )
        result = getattr(model, attribute)
        assert type(result) is np.ndarray
        np.testing.assert_array_equal(result, getattr(plain, attribute))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (KMeans(2, init=np.ma.masked_array(ROWS[:2], MASK[3:5])), "init"),
        (KMeans(2, init=lambda X, k, random_state: np.ma.masked_array(X[:2], MASK[3:5])), "init"),
        (MiniBatchKMeans(2, init=np.ma.masked_array(ROWS[:2], MASK[3:5])), "init"),
        (GaussianMixture(2, means_init=np.ma.masked_array(ROWS[:2], MASK[3:5])), "means_init"),
    ],
)
def test_masked_starts(model, name):
    with pytest.raises(ValueError, match=f"{name} is masked, that is missing, in row 1, column 1"):
        model.fit(ROWS)


@pytest.mark.parametrize("estimator", [PCA, IncrementalPCA])
def test_masked_scores(estimator):
    model = estimator(2).fit(ROWS)
    with pytest.raises(ValueError, match="X is masked, that is missing, in row 4, column 1"):
        model.inverse_transform(np.ma.masked_array(ROWS[:, :2], MASK[:, :2]))


def test_masked_sources():
    with pytest.raises(DataError, match="X is masked, that is missing, in row 4, column 1"):
        source(np.ma.masked_array(ROWS, MASK))
    with pytest.raises(DataError, match="X: matrix 1 is masked, that is missing, in row 4, column"):
        source(lambda: [ROWS, np.ma.masked_array(ROWS, MASK)]).to_array()
    plain = np.ma.masked_array(ROWS)
    np.testing.assert_array_equal(source(plain).to_array(), ROWS)
    np.testing.assert_array_equal(source(lambda: [plain]).to_array(), ROWS)


@pytest.mark.filterwarnings("ignore:X has feature names")
@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("dtype", ["Int64", "Float32", "Float64", "object"])
def test_pandas_missing_values(name, dtype):
    frame = pd.DataFrame((9 * ROWS).round(), columns=list("abc")).astype(
        "Int64" if dtype == "object" else dtype
    )
    np.testing.assert_array_equal(
        calls(name)[1](frame.to_numpy(float)), calls(name)[1](frame.astype(dtype))
    )
    frame.iloc[4, 1] = pd.NA
    for call in calls(name):
        with pytest.raises(ValueError, match=r"X (contains NaN|is missing).* row 4, column 1"):
            call(frame.astype(dtype))


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize(
    ("value", "what"),
    [
        (np.nan, "Input X contains NaN"),
        (np.inf, "Input X contains infinity or a value too large for dtype('float64')"),
        (-np.inf, "Input X contains infinity or a value too large for dtype('float64')"),
    ],
)
def test_error_names_the_value_and_a_remedy(name, value, what):
    X = ROWS.copy()
    X[5, 2] = value
    expected = (
        f"{what}. The first is in row 5, column 2 (counted from 0). {name} needs finite values; "
        "leave out such rows, or "
    )
    for call in calls(name):
        with pytest.raises(ValueError, match=re.escape(expected)) as caught:
            call(X)
        assert "supervised" not in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["KMeans", "MiniBatchKMeans", "PCA"])
@pytest.mark.parametrize("fill", [0.0, np.nan])
def test_frames_of_sparse_columns(name, fill):
    X = np.where(ROWS > 0.8, ROWS, 0.0)
    frame = pd.DataFrame(X).astype(pd.SparseDtype(float, fill))
    model = ESTIMATORS[name]().fit(frame)
    method = "transform" if name == "PCA" else "predict"
    expected = getattr(ESTIMATORS[name]().fit(sp.csr_array(X) if fill == 0 else X), method)(X)
    np.testing.assert_allclose(getattr(model, method)(frame), expected, atol=1e-12)


def test_a_mixture_of_a_frame_of_sparse_columns():
    X = np.where(ROWS > 0.8, ROWS, 0.0)
    dense = GaussianMixture(2, random_state=0).fit(X)
    zeros = pd.DataFrame(X).astype(pd.SparseDtype(float, 0.0))
    for call in (GaussianMixture(2).fit, dense.predict):
        with pytest.raises(TypeError, match=r"Sparse data was passed.*X\.sparse\.to_dense\(\)"):
            call(zeros)
    model = GaussianMixture(2, random_state=0).fit(zeros.sparse.to_dense())
    np.testing.assert_array_equal(model.means_, dense.means_)
    model = GaussianMixture(2, random_state=0).fit(pd.DataFrame(X).astype("Sparse[float64]"))
    np.testing.assert_array_equal(model.means_, dense.means_)
