"""Callback, history, printed lines, and Ctrl-C."""

import os
import signal
import threading
from itertools import pairwise

import numpy as np
import pytest
from sklearn import config_context

from unsup_fast._rows import host_rows
from unsup_fast.cluster import Iteration, KMeans, _labelled


def stop_after(iteration, run=1):
    def callback(state):
        if (state.run, state.iteration) == (run, iteration):
            raise KeyboardInterrupt

    return callback


def test_callback_sees_every_iteration(blobs):
    seen = []
    model = KMeans(6, init=blobs[:6], tol=1e-3)
    model.fit(blobs, callback=lambda state: seen.append((state, state.labels.copy())))
    assert [state.iteration for state, _ in seen] == list(range(1, model.n_iter_ + 1))
    assert [state.inertia for state, _ in seen] == model.inertia_history_.tolist()
    assert [state.n_changed for state, _ in seen] == model.n_changed_history_.tolist()
    assert seen[0][0].n_changed == len(blobs)
    for (state, labels), (_, following) in pairwise(seen):
        assert isinstance(state, Iteration)
        assert state.max_iter == 300
        assert state.tol == pytest.approx(1e-3 * blobs.var(axis=0).mean())
        means = np.array([blobs[labels == k].mean(axis=0) for k in range(6)])
        np.testing.assert_allclose(state.centers, means)
        assert (labels != following).sum() == seen[state.iteration][0].n_changed
    last = seen[-1][0]
    assert last.center_shift <= last.tol
    assert last.seconds > 0
    np.testing.assert_array_equal(last.centers, model.cluster_centers_)
    with pytest.raises(ValueError, match="read-only"):
        last.centers[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        last.labels[0] = 0
    with pytest.raises(AttributeError):
        last.inertia = 0.0


def test_callback_is_told_the_run(blobs):
    runs = []
    KMeans(3, init="random", n_init=4, random_state=0).fit(
        blobs, callback=lambda state: runs.append(state.run)
    )
    assert sorted(set(runs)) == [1, 2, 3, 4]


def test_callback_is_no_metadata(blobs):
    assert "callback" not in str(KMeans().get_metadata_routing())
    with config_context(enable_metadata_routing=True):
        KMeans().set_fit_request(sample_weight=True)
        with pytest.raises(TypeError, match="callback"):
            KMeans().set_fit_request(callback=True)


def test_history(blobs):
    model = KMeans(6, init=blobs[:6], tol=0).fit(blobs)
    assert model.inertia_history_.dtype == np.float64
    assert model.n_changed_history_.dtype == np.int64
    assert (np.diff(model.inertia_history_) <= 0).all()
    assert model.inertia_ == pytest.approx(model.inertia_history_[-1], rel=1e-12)  # converged
    assert model.n_changed_history_[-1] == 0
    for i in (1, 3):
        part = KMeans(6, init=blobs[:6], max_iter=i, tol=0).fit(blobs)
        assert part.inertia_ == pytest.approx(model.inertia_history_[i], rel=1e-12)


def test_verbose(blobs, capsys):
    KMeans(4, verbose=1, init=blobs[:4], max_iter=3, tol=0).fit(blobs)
    lines = capsys.readouterr().out.splitlines()
    assert "Initialization complete" in lines[0]
    assert len(lines) == 5
    for i, line in enumerate(lines[1:4], 1):
        assert line.startswith(f"Iteration {i}, inertia ")
        assert "labels changed, at most" in line
    KMeans(4, init=blobs[:4]).fit(blobs)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("iteration", [1, 3])
def test_interrupt_keeps_the_last_iteration(blobs, iteration):
    X = blobs.astype(np.float32)
    model = KMeans(6, init=X[:6], tol=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, callback=stop_after(iteration))
    reference = KMeans(6, init=X[:6], tol=0, max_iter=iteration).fit(X)
    assert model.n_iter_ == iteration
    for name in ("cluster_centers_", "labels_", "cluster_sizes_", "inertia_history_"):
        np.testing.assert_array_equal(getattr(model, name), getattr(reference, name))
    assert model.inertia_ == reference.inertia_
    np.testing.assert_array_equal(model.predict(X), model.labels_)


def test_interrupt_before_the_first_iteration(blobs):
    def init(X, n_clusters, random_state):
        raise KeyboardInterrupt

    model = KMeans(3, init=init)
    with pytest.raises(KeyboardInterrupt):
        model.fit(blobs)
    assert not hasattr(model, "cluster_centers_")


def test_interrupt_in_a_later_run_keeps_the_best(blobs):
    options = {"init": "random", "random_state": 0, "tol": 0}
    model = KMeans(6, n_init=3, **options)
    with pytest.raises(KeyboardInterrupt):
        model.fit(blobs, callback=stop_after(1, run=3))
    two = KMeans(6, n_init=2, **options).fit(blobs)
    assert model.inertia_ <= two.inertia_
    np.testing.assert_array_equal(model.predict(blobs), model.labels_)


def test_interrupt_while_the_next_run_is_seeded(blobs):
    calls = []

    def init(X, n_clusters, random_state):
        if calls:
            raise KeyboardInterrupt
        calls.append(1)
        return X[:n_clusters]

    model = KMeans(3, init=init, n_init=2)
    with pytest.raises(KeyboardInterrupt):
        model.fit(blobs)
    assert model.inertia_ == KMeans(3, init=blobs[:3]).fit(blobs).inertia_


def test_second_interrupt_skips_the_labels(blobs, monkeypatch):
    model = KMeans(6, init=blobs[:6], tol=0).fit(blobs)
    passes = []
    assign_update = _labelled.assign_update

    def impatient(*arguments, **options):
        passes.append(1)
        if len(passes) > 2:
            raise KeyboardInterrupt
        return assign_update(*arguments, **options)

    def more_impatient(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(_labelled, "assign_update", impatient)
    monkeypatch.setattr(host_rows, "assign", more_impatient)
    with pytest.raises(KeyboardInterrupt):
        model.fit(blobs)
    monkeypatch.undo()
    assert not hasattr(model, "labels_")
    assert not hasattr(model, "cluster_sizes_")
    reference = KMeans(6, init=blobs[:6], tol=0, max_iter=2).fit(blobs)
    np.testing.assert_array_equal(model.cluster_centers_, reference.cluster_centers_)
    np.testing.assert_array_equal(model.predict(blobs), reference.labels_)
    assert model.inertia_ == reference.inertia_history_[-1]


def test_signal_during_fit():
    # Noise takes far more than the two or three iterations that pass before the signal.
    X = np.random.default_rng(0).normal(size=(60_000, 64)).astype(np.float32)
    seen = []

    def callback(state):
        seen.append(state.iteration)
        if state.iteration == 1:
            threading.Timer(0.03, os.kill, (os.getpid(), signal.SIGINT)).start()

    model = KMeans(600, init=X[:600], tol=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, callback=callback)
    assert seen[-1] <= model.n_iter_ <= seen[-1] + 1
    np.testing.assert_array_equal(model.predict(X), model.labels_)


def test_other_exceptions_of_the_callback_pass(blobs):
    def callback(state):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        KMeans(3).fit(blobs, callback=callback)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("tol_inertia", [0.5, 1e-2, 1e-3, 0.0])
def test_tol_inertia_stops_at_the_first_small_decrease(tol_inertia, weighted):
    random = np.random.default_rng(2)
    X, weight = random.random((2000, 3)), random.random(2000) if weighted else None
    options = {"init": X[:20], "n_init": 1, "tol": 0}
    whole = KMeans(20, **options).fit(X, sample_weight=weight)
    history = whole.inertia_history_
    decrease = (history[:-1] - history[1:]) / history[:-1]
    small = np.flatnonzero(decrease <= tol_inertia)
    expected = small[0] + 2 if len(small) else whole.n_iter_
    model = KMeans(20, tol_inertia=tol_inertia, **options).fit(X, sample_weight=weight)
    assert model.n_iter_ == expected
    np.testing.assert_array_equal(model.inertia_history_, history[:expected])
    np.testing.assert_array_equal(model.labels_, model.predict(X))
    longer = KMeans(20, max_iter=expected, **options)
    if expected < whole.n_iter_:
        longer.fit(X, sample_weight=weight)
        np.testing.assert_array_equal(model.cluster_centers_, longer.cluster_centers_)


def test_tol_inertia_is_off_by_default_and_checked(blobs):
    assert KMeans().tol_inertia is None
    with pytest.raises(ValueError, match="tol_inertia"):
        KMeans(2, tol_inertia=-1e-3).fit(blobs)


def test_verbose_says_that_inertia_hardly_falls(capsys):
    X = np.random.default_rng(2).random((2000, 3))
    KMeans(20, init=X[:20], n_init=1, tol=0, tol_inertia=1e-2, verbose=1).fit(X)
    assert "decrease of inertia within tolerance 0.01" in capsys.readouterr().out
