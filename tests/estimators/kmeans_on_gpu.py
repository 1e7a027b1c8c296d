"""Run by test_gpu_cases.py."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
import triton

from unsup_fast import blocks
from unsup_fast._rows import device_rows, devices, validate
from unsup_fast.cluster import KMeans, _init
from unsup_fast.cluster._passes_of import passes_of

INTERPRETED = triton.knobs.runtime.interpret
DEVICE = "cpu" if INTERPRETED else "cuda"


@pytest.fixture(autouse=True)
def gpu(monkeypatch):
    """Let tensors in CPU memory pass for CUDA tensors where kernels are interpreted."""
    real = devices.compute_device

    def pretended(X, device, **options):
        if device == "cuda" or (device is None and isinstance(X, torch.Tensor)):
            return torch.device("cpu")
        return real(X, device, **options)

    if INTERPRETED:
        monkeypatch.setattr(devices, "compute_device", pretended)


@pytest.fixture
def rows():
    """Return 150 x 5 float32 rows around 6 overlapping centres, off the origin."""
    rng = np.random.default_rng(7)
    X = np.concatenate([rng.normal(size=(25, 5)) + c for c in 3 * rng.normal(size=(6, 5))])
    return (X + 100).astype(np.float32)


def on(value):
    return torch.from_numpy(value).to(DEVICE)


def agree(ours, theirs, rtol=1e-5):
    """Compare a model fitted on the GPU with one fitted on the CPU."""
    host = ours.labels_.cpu().numpy()
    np.testing.assert_array_equal(host, theirs.labels_)
    centers = ours.cluster_centers_.cpu().numpy()
    np.testing.assert_allclose(centers, theirs.cluster_centers_, rtol=rtol)
    np.testing.assert_array_equal(ours.cluster_sizes_.cpu().numpy(), theirs.cluster_sizes_)
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=rtol)
    assert ours.n_iter_ == theirs.n_iter_
    np.testing.assert_allclose(ours.inertia_history_, theirs.inertia_history_, rtol=rtol)
    np.testing.assert_array_equal(ours.n_changed_history_, theirs.n_changed_history_)


@pytest.mark.parametrize("init", ["k-means++", "k-means||", "random"])
def test_as_on_the_cpu(rows, init):
    ours = KMeans(6, init=init, n_init=1, random_state=0).fit(on(rows))
    agree(ours, KMeans(6, init=init, n_init=1, random_state=0).fit(rows))
    for name, dtype in (
        ("cluster_centers_", torch.float32),
        ("labels_", torch.int32),
        ("cluster_sizes_", torch.int64),
    ):
        value = getattr(ours, name)
        assert value.dtype == dtype
        assert value.device.type == DEVICE


def test_float64_weights_and_given_centroids(rows):
    X = rows.astype(np.float64)
    weight = np.random.default_rng(0).random(150)
    options = {"n_clusters": 4, "init": X[:4], "n_init": 1, "max_iter": 4, "tol": 0}
    theirs = KMeans(**options).fit(X, sample_weight=weight)
    agree(KMeans(**options).fit(on(X), sample_weight=on(weight)), theirs, rtol=1e-12)
    assert theirs.n_iter_ == 4


def test_methods_give_what_they_are_given(rows):
    X = on(rows)
    model = KMeans(5, random_state=0).fit(X)
    labels, distances = model.predict(X), model.transform(X)
    assert torch.equal(labels, model.labels_)
    assert torch.equal(distances.argmin(dim=1).int(), labels)
    assert distances.dtype == torch.float32
    assert distances.device.type == DEVICE
    assert model.score(X) == pytest.approx(-model.inertia_)
    host = KMeans(5, random_state=0, device="cuda").fit(rows)
    assert isinstance(host.labels_, np.ndarray)
    np.testing.assert_array_equal(host.labels_, labels.cpu().numpy())
    np.testing.assert_array_equal(host.predict(rows), host.labels_)
    np.testing.assert_array_equal(host.transform(rows), distances.cpu().numpy())
    assert host.score(rows, sample_weight=np.ones(150)) == host.score(rows)
    # Fitted on the GPU, used on the CPU.
    model.device = "cpu"
    np.testing.assert_array_equal(model.predict(rows), host.labels_)
    np.testing.assert_allclose(model.transform(rows), host.transform(rows), rtol=1e-5)


def test_save_and_load(rows, tmp_path):
    model = KMeans(4, random_state=0).fit(on(rows))
    model.save(tmp_path / "m.safetensors")
    loaded = KMeans.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(loaded.predict(rows), model.labels_.cpu().numpy())


def test_empty_clusters_are_moved_as_on_the_cpu(rows):
    far = np.concatenate([rows[:4], rows[:3] + 1000])
    for weight in (None, np.random.default_rng(1).random(150).astype(np.float32)):
        ours = KMeans(7, init=far, n_init=1)
        there = None if weight is None else on(weight)
        ours.fit(on(rows), sample_weight=there)
        agree(ours, KMeans(7, init=far, n_init=1).fit(rows, sample_weight=weight))
        assert (ours.cluster_sizes_ > 0).all()


def test_fewer_distinct_rows_than_clusters():
    X = np.repeat(np.arange(3, dtype=np.float32)[:, None], 10, axis=0)
    with pytest.warns(UserWarning, match=r"distinct clusters \(3\) found smaller than n_clusters"):
        ours = KMeans(5, random_state=0).fit(on(X))
    assert ours.inertia_ == 0


def test_callback_and_several_runs(rows):
    seen = []
    model = KMeans(4, init="random", n_init=2, random_state=3).fit(on(rows), callback=seen.append)
    of_best = [state for state in seen if state.run == seen[-1].run]
    assert {state.run for state in seen} == {1, 2}
    assert all(isinstance(state.labels, torch.Tensor) for state in seen)
    agree(model, KMeans(4, init="random", n_init=2, random_state=3).fit(rows))
    for state in of_best[1:]:
        before = of_best[state.iteration - 2]
        assert state.n_changed == (state.labels != before.labels).sum()
    array = []
    KMeans(4, random_state=3, device="cuda").fit(rows, callback=array.append)
    assert isinstance(array[0].centers, np.ndarray)


def test_a_callable_init(rows):
    def init(X, n_clusters, random_state):
        assert X.device.type == DEVICE
        return X[:n_clusters] * 1

    ours = KMeans(3, init=init, n_init=1).fit(on(rows))
    agree(ours, KMeans(3, init=rows[:3], n_init=1).fit(rows))


def test_ctrl_c_keeps_the_last_iteration(rows):
    def stop(state):
        if state.iteration == 2:
            raise KeyboardInterrupt

    model = KMeans(6, init=rows[:6], n_init=1)
    with pytest.raises(KeyboardInterrupt):
        model.fit(on(rows), callback=stop)
    agree(model, KMeans(6, init=rows[:6], n_init=1, max_iter=2, tol=0).fit(rows))


def test_a_second_ctrl_c_skips_the_labels(rows, monkeypatch):
    def stop(*args, **kwargs):
        monkeypatch.setattr(device_rows, "assign", stop)
        raise KeyboardInterrupt

    model = KMeans(6, init=rows[:6], n_init=1)
    with pytest.raises(KeyboardInterrupt):
        model.fit(on(rows), callback=stop)
    assert model.n_iter_ == 1
    assert not hasattr(model, "labels_")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int64])
def test_other_types_and_views(rows, dtype):
    X = on(np.asfortranarray(rows)).to(dtype)
    ours = KMeans(3, random_state=0).fit(X)
    agree(ours, KMeans(3, random_state=0).fit(X.cpu().double().numpy()), rtol=1e-4)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (torch.full((10, 3), float("nan")), r"contains NaN.*\n?.*row 0, column 0"),
        (torch.ones((10, 3)).index_fill_(0, torch.tensor([4]), float("inf")), "row 4, column 0"),
        (torch.ones((2, 3)), "n_samples=2 should be >= n_clusters=3"),
        (torch.ones(10), "Expected a 2D tensor"),
        (torch.ones((0, 3)), r"0 sample\(s\)"),
        (torch.ones((10, 0)), r"0 feature\(s\)"),
        (torch.ones((10, 3)).to_sparse(), "pass a dense one"),
    ],
)
def test_wrong_rows(X, message):
    with pytest.raises(ValueError, match=message):
        KMeans(3).fit(X.to(DEVICE))


def test_wrong_arguments(rows):
    model = KMeans(3, random_state=0).fit(on(rows))
    with pytest.raises(ValueError, match="expecting 5 features"):
        model.predict(on(np.ones((4, 2), dtype=np.float32)))
    with pytest.raises(ValueError, match="sample_weight"):
        KMeans(3).fit(on(rows), sample_weight=torch.ones(7))
    with pytest.raises(ValueError, match="does not match the number of"):
        KMeans(3, init=on(rows[:2])).fit(on(rows))
    with pytest.raises(ValueError, match="sparse rows are for the CPU"):
        KMeans(3, device="cuda").fit(sp.csr_matrix(rows))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_cosine(rows, dtype, weighted):
    rng = np.random.default_rng(2)
    X = ((rows - 99) * rng.uniform(0.5, 2, (len(rows), 1))).astype(dtype)
    X[:3] *= 1e-30
    weight = rng.random(len(X)).astype(dtype) if weighted else None
    theirs = KMeans(6, random_state=0, metric="cosine", tol=0).fit(X, sample_weight=weight)
    ours = KMeans(6, random_state=0, metric="cosine", tol=0)
    ours.fit(on(X), sample_weight=None if weight is None else on(weight))
    agree(ours, theirs)
    np.testing.assert_allclose(ours.inertia_history_, theirs.inertia_history_, rtol=1e-5)
    lengths = torch.linalg.vector_norm(ours.cluster_centers_, dim=1).cpu().numpy()
    np.testing.assert_allclose(lengths, 1, rtol=1e-6)
    np.testing.assert_array_equal(ours.predict(on(X)).cpu().numpy(), theirs.labels_)
    np.testing.assert_allclose(
        ours.transform(on(X)).cpu().numpy(), theirs.transform(X), rtol=1e-4, atol=1e-6
    )
    assert ours.score(on(X)) == pytest.approx(theirs.score(X), rel=1e-5)


def test_cosine_of_rows_at_the_ends(rows):
    X = np.eye(5)
    X[1] *= 1e300
    X[2] *= 1e-300
    X[3] = [2, 0, 0, 0, 0]
    init = np.array([[3.0, 0, 0, 0, 0], [0, 1e-200, 0, 0, 0], [0, 0, 1, 0, 0], [1, 0, 0, 0, 0]])
    ours = KMeans(4, init=init, metric="cosine", n_init=1).fit(on(X))  # one is empty at first
    agree(ours, KMeans(4, init=init, metric="cosine", n_init=1).fit(X))
    opposed = KMeans(1, init=X[:1], metric="cosine", n_init=1).fit(on(np.array([X[0], -X[0]])))
    np.testing.assert_array_equal(opposed.cluster_centers_.cpu().numpy(), X[:1])
    X[2] = 0
    with pytest.raises(ValueError, match="row 2 of X is zero and has no direction"):
        ours.predict(on(X))
    with pytest.raises(ValueError, match="row 2 of init is zero and has no direction"):
        KMeans(5, init=np.diag([1, 1, 0, 1, 1]), metric="cosine", n_init=1).fit(on(rows))


def test_rows_that_come_in_blocks_are_for_the_cpu(rows):
    source = blocks.source(lambda: [rows])
    model = KMeans(3, device="cuda", random_state=0)
    with pytest.raises(ValueError, match=r"rows that come in blocks \(Source\).*device='cpu'"):
        model.fit(source)
    model.fit(source.to_array())
    for call in (model.predict, model.transform, model.score):
        with pytest.raises(ValueError, match=r"rows that come in blocks \(Source\).*device='cpu'"):
            call(source)
    labels = model.set_params(device="cpu").predict(source)
    np.testing.assert_array_equal(labels, model.labels_)
    on_device = KMeans(3, random_state=0).fit(on(rows))
    on_device.set_params(device="cpu")
    np.testing.assert_array_equal(on_device.predict(source), on_device.labels_.cpu().numpy())


@pytest.mark.skipif(INTERPRETED, reason="needs a GPU to wait for")
def test_an_iteration_waits_for_nothing(rows):
    data = validate.rows(on(rows), None, KMeans(6), reset=True)
    passes = passes_of(data, metric="euclidean")
    centers = _init.start(data, "k-means++", 6, np.random.RandomState(0))
    passes.begin(centers)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            step = passes.step(centers, 9)  # waits for an event, and no operation for the device
            centers = step.centers
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert step.inertia > 0


@pytest.mark.parametrize(("metric", "weighted"), [("euclidean", True), ("cosine", False)])
def test_standardized_as_on_the_cpu(rows, metric, weighted):
    X = (rows - 100) * np.array([1e-3, 1, 50, 1, 1e4], dtype=np.float32)
    X[:, 3] = 0.1
    weight = np.random.default_rng(1).integers(1, 4, len(X)).astype(np.float32)
    weight = weight if weighted else None
    options = {"metric": metric, "standardize": True, "n_init": 1, "max_iter": 4, "init": X[::25]}
    ours = KMeans(6, **options).fit(on(X), sample_weight=weight)
    theirs = KMeans(6, **options).fit(X, sample_weight=weight)
    np.testing.assert_allclose(ours.scale_, theirs.scale_, rtol=1e-6)
    assert ours.scale_[3] == 1
    agree(ours, theirs, rtol=1e-4)
    np.testing.assert_array_equal(ours.predict(on(X)).cpu().numpy(), ours.labels_.cpu().numpy())
    distances = ours.transform(on(X)).cpu().numpy()
    np.testing.assert_allclose(distances, theirs.transform(X), rtol=1e-3, atol=1e-5)
    assert ours.score(on(X)) == pytest.approx(theirs.score(X), rel=1e-4)


def test_tol_inertia_as_on_the_cpu(rows):
    options = {"init": rows[:6], "n_init": 1, "tol": 0, "tol_inertia": 0.1}
    agree(KMeans(6, **options).fit(on(rows)), KMeans(6, **options).fit(rows))
