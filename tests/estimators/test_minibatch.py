"""What is promised about mini-batches beyond scikit-learn's behaviour."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import config_context
from sklearn.base import clone

from unsup_fast._rows import host_rows
from unsup_fast.cluster import MiniBatchKMeans, Step
from unsup_fast.cluster._batches import Draws
from unsup_fast.cluster._minibatch import Plan, beginning, continued, run, step
from unsup_fast.kernels.assign import error_bound


def stop_after(number):
    def callback(state):
        if state.step == number:
            raise KeyboardInterrupt

    return callback


def reference_step(means, counts, rows, weight, dtype):
    """Make one step in float64, row by row."""
    c = means.astype(dtype).astype(np.float64)
    x = rows.astype(np.float64)
    squared = ((x[:, None] - c) ** 2).sum(axis=2)  # [B, K]
    labels = squared.argmin(axis=1)
    means, counts = means.copy(), counts.copy()
    for k in np.unique(labels[weight > 0]):
        mine = labels == k
        total = counts[k] + weight[mine].sum()
        means[k] = (means[k] * counts[k] + weight[mine] @ x[mine]) / total
        counts[k] = total
    return means, counts, weight @ squared.min(axis=1), np.sort(squared, axis=1)


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    n_rows=st.integers(1, 40),
    n_columns=st.integers(1, 17),
    n_clusters=st.integers(1, 12),
    dtype=st.sampled_from([np.float32, np.float64]),
    sparse=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_steps_are_running_means(data, n_rows, n_columns, n_clusters, dtype, sparse, seed):
    rng = np.random.default_rng(seed)
    weights = st.none() | hnp.arrays(dtype, n_rows, elements=st.sampled_from([0, 0.5, 1, 7]))
    shift = None if sparse else rng.normal(size=n_columns).astype(dtype)
    means = beginning(rng.normal(size=(n_clusters, n_columns)))
    for _ in range(3):
        rows = rng.normal(size=(n_rows, n_columns)).astype(dtype)
        weight = data.draw(weights)
        w = np.ones(n_rows) if weight is None else weight.astype(np.float64)
        expected = reference_step(means.values, means.counts, rows, w, dtype)
        if n_clusters > 1 and (expected[3][:, 1] - expected[3][:, 0]).min() < 1e-4:
            return  # a tie, up to rounding
        before = means.values.copy()
        batch = sp.csr_array(rows) if sparse else rows
        moved, inertia, n_reassigned = step(means, batch, weight, shift, "euclidean", 0.0, None, 1)
        np.testing.assert_array_equal(means.values, before)
        tolerance = 1e-5 if dtype == np.float32 else 1e-12
        np.testing.assert_allclose(moved.values, expected[0], atol=tolerance)
        np.testing.assert_allclose(moved.counts, expected[1], rtol=1e-15)
        assert inertia == pytest.approx(expected[2], rel=1e-4, abs=1e-9)
        assert n_reassigned == 0
        means = moved


@settings(max_examples=60, deadline=None)
@given(
    weight=st.none()
    | hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        st.integers(1, 300),
        elements=st.sampled_from([0, 0.25, 1, 3, 1000]),
    ),
    n_rows=st.integers(1, 300),
    seed=st.integers(0, 1000),
)
def test_draws_are_those_of_choice(weight, n_rows, seed):
    if weight is not None and weight.sum() == 0:
        return
    n_rows = n_rows if weight is None else len(weight)
    dtype = np.float32 if weight is None else weight.dtype
    share = np.ones(n_rows, dtype) if weight is None else weight
    share = share / share.sum()
    a, b = np.random.RandomState(seed), np.random.RandomState(seed)
    draw = Draws(n_rows, weight, dtype)
    for size in (1, 7, 500):
        np.testing.assert_array_equal(draw(a, size), b.choice(n_rows, size, p=share))


def test_draws_of_many_rows():
    for weight in (None, np.random.default_rng(0).uniform(size=200_003).astype(np.float32)):
        share = np.ones(200_003, np.float32) if weight is None else weight
        drawn = Draws(200_003, weight, np.float32)(np.random.RandomState(1), 50_000)
        chosen = np.random.RandomState(1).choice(200_003, 50_000, p=share / share.sum())
        np.testing.assert_array_equal(drawn, chosen)


class Chunks:
    """Rows that are not in one array."""

    def __init__(self, X):
        self.n_rows = len(X)
        self.parts = np.array_split(X, 7)
        self.taken = []

    def take(self, indices):
        self.taken.append(indices)
        return np.concatenate(self.parts)[indices]


def test_batches_may_come_from_anywhere(blobs):
    options = {"batch_size": 30, "max_no_improvement": None, "max_iter": 2}
    model = MiniBatchKMeans(6, init=blobs[:6], n_init=1, random_state=0, **options).fit(blobs)
    rows = Chunks(blobs)
    plan = Plan(30, 20, 0.01, 0.0, None, model._origin, "euclidean", 1)
    generator = np.random.RandomState(0)
    generator.randint(0, 300, 90)  # rows for the choice between starts
    generator.randint(0, 300, 90)  # rows to start from
    draw = Draws(300, None, blobs.dtype)
    result = run(rows, draw, plan, blobs[:6], generator, None, False)
    np.testing.assert_array_equal(result.means.centers, model.cluster_centers_)
    assert [len(indices) for indices in rows.taken] == [30] * 20


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_mean_of_all_rows(dtype):
    X = (1e4 + np.random.default_rng(0).normal(size=(5000, 3))).astype(dtype)
    weight = np.random.default_rng(1).uniform(0.5, 2, 5000).astype(dtype)
    model = MiniBatchKMeans(1, random_state=0)
    for rows, w in zip(np.array_split(X, 300), np.array_split(weight, 300), strict=True):
        model.partial_fit(rows, sample_weight=w)
    mean = np.average(X.astype(np.float64), axis=0, weights=weight)
    np.testing.assert_allclose(model._means[0], mean, rtol=1e-9 if dtype == np.float32 else 1e-14)
    np.testing.assert_array_equal(model.cluster_centers_, model._means.astype(dtype))
    assert model._counts[0] == pytest.approx(weight.sum(dtype=np.float64), rel=1e-12)


def test_counts_and_means_do_not_saturate():
    model = MiniBatchKMeans(1, init=np.zeros((1, 1), np.float32), n_init=1)
    model.partial_fit(np.zeros((1, 1), np.float32), sample_weight=[2.0**40])
    for _ in range(50):
        model.partial_fit(np.full((10, 1), 2.0**20, np.float32))
    assert model._counts[0] == 2.0**40 + 500
    assert model._means[0, 0] == pytest.approx(500 * 2.0**20 / (2.0**40 + 500), rel=1e-12)


def test_centroids_set_by_hand(blobs):
    model = MiniBatchKMeans(3, init=blobs[:3], n_init=1, random_state=0).partial_fit(blobs)
    other = pickle.loads(pickle.dumps(model))
    other.cluster_centers_ = other.cluster_centers_ + 100
    for one, expected in ((model, model._means), (other, other.cluster_centers_)):
        means = continued(one.cluster_centers_, one._means, one._counts, "euclidean")
        np.testing.assert_array_equal(means.values, expected)
    other.partial_fit(blobs)
    assert abs(other.cluster_centers_ - 100 - model.cluster_centers_).min() < 10


def test_rows_far_from_the_origin(offset_rows, simd):
    model = MiniBatchKMeans(12, random_state=0, batch_size=500, n_init=3).fit(offset_rows)
    c = model.cluster_centers_.astype(np.float64)
    squared = ((offset_rows.astype(np.float64)[:, None] - c) ** 2).sum(axis=2)
    excess = squared[np.arange(5000), model.labels_] - squared.min(axis=1)
    assert (excess <= error_bound(offset_rows, model.cluster_centers_, model._origin)).all()
    assert model.inertia_ == pytest.approx(squared.min(axis=1).sum(), rel=1e-5)
    moved = MiniBatchKMeans(12, random_state=0, batch_size=500, n_init=3).fit(
        offset_rows.astype(np.float64) - 1e4
    )
    assert model.inertia_ == pytest.approx(moved.inertia_, rel=2e-2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_threads_do_not_change_a_bit(dtype, container):
    X = container(np.random.default_rng(0).normal(size=(20_011, 5)).astype(dtype))
    options = {"batch_size": 6007, "random_state": 0, "max_iter": 5, "max_no_improvement": None}
    a, b = (MiniBatchKMeans(17, n_threads=n, **options).fit(X) for n in (1, 2))
    for name in ("cluster_centers_", "labels_", "_means", "_counts"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert a.inertia_ == b.inertia_
    np.testing.assert_array_equal(a.predict(X), a.labels_)
    np.testing.assert_array_equal(np.bincount(a.labels_, minlength=17), a.cluster_sizes_)
    assert a.score(X) == -a.inertia_


def test_rows_are_neither_copied_nor_changed(blobs, tmp_path):
    np.save(tmp_path / "X.npy", blobs)
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    options = {"n_clusters": 5, "random_state": 0, "batch_size": 20}
    a, b = (MiniBatchKMeans(**options).fit(rows) for rows in (X, np.asfortranarray(blobs)))
    np.testing.assert_array_equal(a.cluster_centers_, b.cluster_centers_)
    np.testing.assert_array_equal(a.labels_, b.labels_)


def test_rows_of_another_type(blobs):
    model = MiniBatchKMeans(4, random_state=0).partial_fit(blobs.astype(np.float32))
    for rows in (blobs, sp.csr_array(blobs), blobs.astype(np.float32), blobs.astype(int)):
        model.partial_fit(rows)
        assert model.cluster_centers_.dtype == np.float32
        np.testing.assert_array_equal(model.predict(rows), model.labels_)


def test_without_labels(blobs):
    options = {"n_clusters": 5, "random_state": 0, "batch_size": 50}
    labelled = MiniBatchKMeans(**options).fit(blobs)
    model = MiniBatchKMeans(**options).fit(blobs).set_params(compute_labels=False)
    model.partial_fit(blobs)
    assert not hasattr(model, "labels_")
    np.testing.assert_array_equal(model.fit_predict(blobs), labelled.labels_)
    assert not hasattr(model, "cluster_sizes_")
    assert model.inertia_ == pytest.approx(labelled.inertia_, rel=0.3)
    one = MiniBatchKMeans(5, compute_labels=False, batch_size=300, max_iter=1, random_state=0)
    assert one.fit(blobs).n_steps_ == 1
    assert np.isfinite(one.inertia_)


def test_all_clusters_rare():
    X = np.random.default_rng(0).normal(size=(50, 2))
    model = MiniBatchKMeans(3, reassignment_ratio=9, random_state=0, batch_size=20).fit(X)
    assert np.isfinite(model.cluster_centers_).all()


def test_rows_without_weight_found_no_cluster():
    X = np.arange(1000.0)[:, None]
    weight = np.zeros(1000)
    weight[::100] = 1
    for init in ("k-means++", "random"):
        model = MiniBatchKMeans(5, init=init, init_size=5, batch_size=8, random_state=0)
        model.fit(X, sample_weight=weight)
        assert model.cluster_centers_.max() <= 900
        for seed in range(5):
            model = clone(model).set_params(random_state=seed, reassignment_ratio=1)
            model.partial_fit(X, sample_weight=weight)
            assert (model._means % 50 == 0).all()


def test_huge_weights():
    weight = np.full(1000, 3e38, np.float32)
    weight[500:] = 0
    assert Draws(1000, weight, np.float32)(np.random.RandomState(0), 1000).max() < 500


def test_negative_weights(blobs):
    weight = np.ones(300)
    weight[[7, 9]] = -1
    with pytest.raises(ValueError, match=r"sample_weight of row 7 is -1\.0; weights must be >= "):
        MiniBatchKMeans(3).fit(blobs, sample_weight=weight)


def test_callback(blobs):
    seen = []
    model = MiniBatchKMeans(6, init=blobs[::50], batch_size=40, tol=1e-4, random_state=0)
    model.fit(blobs, callback=seen.append)
    assert [state.step for state in seen] == list(range(1, model.n_steps_ + 1))
    assert all(isinstance(state, Step) and state.n_steps == 750 for state in seen)
    assert np.isnan(seen[0].smoothed_inertia)
    assert seen[1].smoothed_inertia == seen[1].inertia
    alpha = 2 * 40 / 301
    assert seen[2].smoothed_inertia == pytest.approx(
        (1 - alpha) * seen[1].inertia + alpha * seen[2].inertia
    )
    assert seen[3].center_shift == pytest.approx(((seen[3].centers - seen[2].centers) ** 2).sum())
    assert seen[0].tol == pytest.approx(1e-4 * blobs.var(axis=0).mean())
    assert seen[-1].seconds > 0
    np.testing.assert_array_equal(seen[-1].centers, model.cluster_centers_)
    with pytest.raises(ValueError, match="read-only"):
        seen[-1].centers[0] = 0
    assert "callback" not in str(MiniBatchKMeans().get_metadata_routing())
    with config_context(enable_metadata_routing=True), pytest.raises(TypeError, match="callback"):
        MiniBatchKMeans().set_fit_request(callback=True)


@pytest.mark.parametrize("number", [1, 4])
def test_interrupt_keeps_the_last_step(blobs, number):
    options = {"n_clusters": 6, "batch_size": 60, "random_state": 0, "max_no_improvement": None}
    model = MiniBatchKMeans(**options)
    with pytest.raises(KeyboardInterrupt):
        model.fit(blobs, callback=stop_after(number))
    seen = []
    MiniBatchKMeans(**options).fit(blobs, callback=seen.append)
    assert model.n_steps_ == number
    np.testing.assert_array_equal(model.cluster_centers_, seen[number - 1].centers)
    np.testing.assert_array_equal(model.predict(blobs), model.labels_)
    assert model.score(blobs) == -model.inertia_


def test_interrupt_before_the_first_step(blobs):
    def init(X, n_clusters, random_state):
        raise KeyboardInterrupt

    for method in ("fit", "partial_fit"):
        model = MiniBatchKMeans(3, init=init)
        with pytest.raises(KeyboardInterrupt):
            getattr(model, method)(blobs)
        assert not hasattr(model, "cluster_centers_")


def test_second_interrupt_skips_the_labels(blobs, monkeypatch):
    model = MiniBatchKMeans(6, random_state=0).fit(blobs)
    before = model.cluster_centers_, model._counts

    def impatient(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(host_rows, "assign", impatient)
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(blobs)  # which must not change the model
    assert model.cluster_centers_ is before[0]
    assert model._counts is before[1]
    with pytest.raises(KeyboardInterrupt):
        model.fit(blobs, callback=stop_after(2))
    assert model.n_steps_ == 2
    assert not hasattr(model, "labels_")
    assert not hasattr(model, "cluster_sizes_")
    assert model.inertia_ > 0


def test_names_clone_and_pickle(blobs):
    frame = pd.DataFrame(blobs, columns=list("abcd"))
    model = MiniBatchKMeans(3, random_state=0).set_output(transform="pandas").partial_fit(frame)
    names = [f"minibatchkmeans{k}" for k in range(3)]
    assert model.transform(frame).columns.tolist() == names
    with pytest.raises(ValueError, match="feature names should match"):
        model.partial_fit(frame.rename(columns={"a": "z"}))
    assert not hasattr(clone(model), "labels_")
    again = pickle.loads(pickle.dumps(model))
    for one in (model, again):
        one.partial_fit(frame)
    np.testing.assert_array_equal(model.cluster_centers_, again.cluster_centers_)
    with pytest.raises(ValueError, match=r"device='cuda'.*computes on the CPU"):
        MiniBatchKMeans(device="cuda").partial_fit(blobs)


def test_tensors(blobs):
    torch = pytest.importorskip("torch")
    X = torch.from_numpy(blobs.astype(np.float32))
    a = MiniBatchKMeans(5, random_state=0).fit(X)
    b = MiniBatchKMeans(5, random_state=0).fit(X.numpy())
    for name in ("cluster_centers_", "labels_", "cluster_sizes_"):
        assert isinstance(getattr(a, name), torch.Tensor)
        np.testing.assert_array_equal(getattr(a, name).numpy(), getattr(b, name))
    a.partial_fit(X, sample_weight=torch.ones(300))
    b.partial_fit(X.numpy(), sample_weight=np.ones(300))
    assert isinstance(a.cluster_centers_, torch.Tensor)
    np.testing.assert_array_equal(a.cluster_centers_.numpy(), b.cluster_centers_)
    assert torch.equal(a.predict(X), a.labels_)
    a.partial_fit(X.numpy())
    assert isinstance(a.labels_, np.ndarray)
