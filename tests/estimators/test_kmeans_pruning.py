import numpy as np
import pytest

from unsup_fast._rows.host_rows import HostRows
from unsup_fast.cluster import KMeans, _host_passes, _labelled, _pruning
from unsup_fast.kernels import prune
from unsup_fast.kernels.prune import choice


@pytest.fixture
def steep():
    """Return clustered rows whose first directions hold most of the variance."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 80))[rng.integers(0, 60, 6000)] + rng.normal(size=(6000, 80))
    return (rows * 0.9 ** np.arange(80)).astype(np.float32)


@pytest.fixture
def eager(monkeypatch):
    """Prune without regard to size or time; return the list of all bounds computed."""
    all_bounds = []

    def counted(*arguments):
        all_bounds.append(prune.bounds(*arguments))
        return all_bounds[-1]

    monkeypatch.setattr(_pruning, "WORTHWHILE", 0)
    monkeypatch.setattr(_pruning, "may_pay", lambda *_: True)
    free = {products: costs._replace(row=-1e9) for products, costs in choice.COSTS.items()}
    monkeypatch.setattr(choice, "COSTS", free)
    monkeypatch.setattr(_pruning, "bounds", counted)
    monkeypatch.setattr(_pruning, "perf_counter", lambda: 0.0)
    return all_bounds


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_init", [1, 2])
def test_every_algorithm_gives_the_same_to_the_bit(steep, eager, weighted, n_init):
    weight = np.random.default_rng(1).random(len(steep)) if weighted else None
    models = [
        KMeans(60, algorithm=name, n_init=n_init, random_state=0, max_iter=12).fit(
            steep, None, weight
        )
        for name in ("lloyd", "auto", "elkan")
    ]
    assert len(eager) == 2 * n_init
    assert sum(eager[0].work[1:]) > 0
    for model in models[1:]:
        assert model.inertia_ == models[0].inertia_
        assert model.n_iter_ == models[0].n_iter_
        for name in ("labels_", "cluster_centers_", "inertia_history_", "n_changed_history_"):
            np.testing.assert_array_equal(getattr(model, name), getattr(models[0], name))


def passes_over(X):
    """Return passes that may prune, about the first row."""
    rows = HostRows(X=X, n_threads=1, model_origin=X[0].copy())
    return _host_passes.HostPasses(rows, may_prune=True)


@pytest.mark.parametrize(("dense", "back"), [(1, False), (20, True)])
def test_bounds_slower_than_the_dense_pass_are_dropped(steep, eager, monkeypatch, dense, back):
    # A dense pass seems to take 1 s (first two readings of the clock), pruned ones take 9 s.
    seconds = [len(steep[: _pruning.TIMED]) / len(steep), 9, 9, dense, 9, 9]
    ticks = iter(np.cumsum([step for each in seconds for step in (0, each)]))
    monkeypatch.setattr(_pruning, "perf_counter", lambda: float(next(ticks)))
    passes = passes_over(steep)
    centers = steep[:60].copy()
    passes.begin(centers)
    pruned = []
    for _ in range(5):
        passes.step(centers, 10)
        pruned.append(passes._labelled._pruning.bounds is not None)
    assert pruned == [True, False, False, back, back]
    assert len(eager) == 1 + back


def test_an_interrupted_pass_leaves_no_bounds_behind(steep, eager, monkeypatch):
    passes = passes_over(steep)
    passes.begin(steep[:60])
    passes.step(steep[:60].copy(), 10)
    assign_update = _labelled.assign_update

    def interrupted(*arguments, **options):
        monkeypatch.setattr(_labelled, "assign_update", assign_update)
        raise KeyboardInterrupt

    monkeypatch.setattr(_labelled, "assign_update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        passes.step(steep[60:120].copy(), 10)
    assert passes._labelled._pruning.bounds is None
    step = passes.step(steep[60:120].copy(), 10)
    np.testing.assert_array_equal(passes._totals.counts, np.bincount(step.labels, minlength=60))


def test_rows_in_a_file_leave_room(steep, eager, monkeypatch, tmp_path):
    np.save(tmp_path / "rows.npy", steep)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    for room, fits in ((1 << 30, True), (1000, False)):
        monkeypatch.setattr(_pruning, "MAPPED_ROOM", room)
        passes = passes_over(np.asarray(mapped))
        passes.begin(steep[:60])
        passes.step(steep[:60].copy(), 10)
        assert (passes._labelled._pruning.bounds is not None) == fits


def test_inertia_of_tight_clusters_keeps_its_digits():
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(4, 3)) * 100
    X = np.repeat(middles, 500, axis=0) + rng.normal(size=(2000, 3)) * 1e-4
    model = KMeans(4, init=middles, tol=0).fit(X)
    exact = ((X - model.cluster_centers_[model.labels_]) ** 2).sum()
    assert model.inertia_history_[-1] == pytest.approx(exact, rel=1e-9)
    assert model.inertia_ == pytest.approx(exact, rel=1e-9)


def test_small_jobs_are_not_projected(steep, monkeypatch):
    monkeypatch.setattr(_pruning, "basis", lambda *_: pytest.fail("a basis was made"))
    KMeans(60, n_init=1, max_iter=5, random_state=0).fit(steep)
