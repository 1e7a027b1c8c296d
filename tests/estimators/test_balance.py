"""Balanced clusters: sizes, labels and what is refused."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from unsup_fast import blocks
from unsup_fast.cluster import KMeans
from unsup_fast.cluster._balance import balanced, largest_size
from unsup_fast.cluster._choices import HostChoices
from unsup_fast.distributed import Assign


@pytest.fixture(scope="module")
def rows():
    """Return 2000 x 5 float32 rows, most of them in one dense lump."""
    rng = np.random.default_rng(2)
    lump, wide = rng.normal(size=(1500, 5)) + 3, 6 * rng.normal(size=(500, 5))
    return np.concatenate([lump, wide]).astype(np.float32)


def fit(X, balance=1.2, **options):
    return KMeans(12, random_state=0, max_iter=10, balance=balance, **options).fit(X)


@pytest.mark.parametrize("balance", [1.3, 1.1])
@pytest.mark.parametrize("options", [{}, {"metric": "cosine"}, {"standardize": True}], ids=str)
def test_no_cluster_is_too_large(rows, balance, options):
    plain = fit(rows, None, **options)
    model = fit(rows, balance, **options)
    assert plain.largest_ratio_ > balance
    assert model.largest_ratio_ <= balance
    assert plain.imbalance_ > model.imbalance_ >= 1
    np.testing.assert_array_equal(model.cluster_centers_, plain.cluster_centers_)
    np.testing.assert_array_equal(np.bincount(model.labels_, minlength=12), model.cluster_sizes_)
    own = np.take_along_axis(plain.transform(rows), model.labels_[:, None], axis=1)
    cost = own.sum() if options.get("metric") == "cosine" else (own**2).sum()
    assert model.inertia_ == pytest.approx(cost, rel=1e-4)
    assert plain.inertia_ < model.inertia_


@pytest.mark.parametrize("options", [{}, {"metric": "cosine", "standardize": True}], ids=str)
def test_predict_and_copies_of_the_model_agree(rows, options, tmp_path):
    model = fit(rows, **options)
    np.testing.assert_array_equal(model.predict(rows), model.labels_)
    np.testing.assert_array_equal(model.predict(rows[::-1].copy()), model.labels_[::-1])
    np.testing.assert_array_equal(Assign(model)(rows), model.labels_)
    model.save(tmp_path / "model.safetensors")
    loaded = KMeans.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict(rows), model.labels_)
    assert loaded.largest_ratio_ == model.largest_ratio_
    again = model.set_params(balance=None).fit(rows)
    assert again.largest_ratio_ > 1.2
    np.testing.assert_array_equal(again.predict(rows), again.labels_)


def test_threads_and_blocks_change_nothing(rows):
    one, two = fit(rows, n_threads=1), fit(rows, n_threads=2)
    stream = fit(blocks.source(lambda: [rows], chunk_size=301))
    for other in (two, stream):
        np.testing.assert_array_equal(other.labels_, one.labels_)
        assert other.inertia_ == one.inertia_


def test_rows_of_two_clusters_by_hand():
    """The penalty lies between the margins of the rows that stay and of those that leave."""
    X = np.array([0.0, 1, 2, 3, 4, 10])[:, None]
    centers = np.array([[2.0], [10.0]])
    squared = (X - centers.T) ** 2
    labels = np.where(X <= 6, [0, 1], [1, 0]).astype(np.int32)
    choices = HostChoices(labels, np.take_along_axis(squared, labels, axis=1))
    result = balanced(choices, 6, 2, most=3)
    assert choices.labels(result.penalties).tolist() == [0, 0, 0, 1, 1, 1]
    assert result.sizes.tolist() == [3, 3]
    assert choices.inertia(result.penalties) == 4 + 1 + 0 + 49 + 36 + 0
    assert result.penalties[1] == 0
    assert 7**2 - 1 < result.penalties[0] < 8**2 - 0


@pytest.mark.parametrize(
    ("n_rows", "n_clusters", "balance", "most"),
    [(10, 3, 1.0, 4), (12, 3, 1.0, 4), (100, 10, 1.25, 12), (5, 5, 1.9, 1), (7, 1, 1, 7)],
)
def test_largest_size(n_rows, n_clusters, balance, most):
    assert largest_size(n_rows, n_clusters, balance) == most


def test_equal_rows_cannot_be_parted():
    X = np.repeat(np.array([[0.0], [1.0], [5.0]]), [50, 2, 2], axis=0)
    with pytest.warns(ConvergenceWarning, match=r"balance=1.1 was not reached in 200 rounds.*2.7"):
        model = KMeans(3, random_state=0, balance=1.1).fit(X)
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        KMeans(1, balance=1.0).fit(X)


def test_what_is_refused_by_name(rows):
    with pytest.raises(ValueError, match=r"balance counts rows, .* sample_weight"):
        KMeans(3, balance=1.2).fit(rows, sample_weight=np.ones(len(rows)))
    with pytest.raises(ValueError, match="'balance' parameter"):
        KMeans(3, balance=0.9).fit(rows)
