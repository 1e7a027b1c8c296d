import numpy as np
import pytest

from unsup_fast.cluster import KMeans, _pruning
from unsup_fast.kernels.assign import prune


@pytest.fixture
def steep():
    """Rows whose first directions hold most of the variance, in clusters."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 80))[rng.integers(0, 60, 6000)] + rng.normal(size=(6000, 80))
    return (rows * 0.9 ** np.arange(80)).astype(np.float32)


@pytest.fixture
def eager(monkeypatch):
    """Pruning without regard to size or time; counts the projections made."""
    made = []

    def counted(*arguments):
        made.append(prune.project(*arguments))
        return made[-1]

    monkeypatch.setattr(_pruning, "WORTHWHILE", 0)
    monkeypatch.setattr(_pruning, "may_pay", lambda *_: True)
    monkeypatch.setattr(prune, "ROW", -1e9)
    monkeypatch.setattr(_pruning, "project", counted)
    monkeypatch.setattr(_pruning, "perf_counter", lambda: 0.0)
    return made


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
    assert len(eager) == 2
    assert eager[0].survivors > 0
    for model in models[1:]:
        assert model.inertia_ == models[0].inertia_
        assert model.n_iter_ == models[0].n_iter_
        for name in ("labels_", "cluster_centers_", "inertia_history_", "n_changed_history_"):
            np.testing.assert_array_equal(getattr(model, name), getattr(models[0], name))


def test_a_projection_slower_than_the_dense_pass_is_dropped(steep, eager, monkeypatch):
    ticks = iter(np.cumsum([0, 1] + [0, 9] * 100))  # first pass 1 s, the others 9 s
    monkeypatch.setattr(_pruning, "perf_counter", lambda: float(next(ticks)))
    passes = _pruning.Passes(steep, steep[0].copy(), None, 1, True)
    labels = np.full(len(steep), -1, dtype=np.int32)
    centers = steep[:60].copy()
    for _ in range(4):
        passes.assign(centers, labels, 10)
    assert len(eager) == 1
    assert passes._projection is None


def test_small_jobs_are_not_projected(steep, monkeypatch):
    monkeypatch.setattr(_pruning, "basis", lambda *_: pytest.fail("a basis was made"))
    KMeans(60, n_init=1, max_iter=5, random_state=0).fit(steep)
