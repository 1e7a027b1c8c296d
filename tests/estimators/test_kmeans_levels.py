"""`KMeans(levels=)`: against fits put together by hand; allotment; what is refused.

`composed` is the algorithm as the documentation states it, of nothing but flat `KMeans`.
"""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.random import sample_without_replacement

from unsup_fast import blocks
from unsup_fast.cluster import KMeans, _levels, _members, _pruning, _splits


@pytest.fixture(scope="module")
def rows():
    """Return 1600 x 12 float32 rows around 60 centres of different weight."""
    rng = np.random.default_rng(5)
    shares = rng.dirichlet(np.ones(60))
    centers = 4 * rng.normal(size=(60, 12))
    X = centers[rng.choice(60, 1600, p=shares)] + rng.normal(size=(1600, 12)) + 3
    return X.astype(np.float32)


def composed(X, n_clusters, levels, seed, *, weight=None, per_cluster=256, **options):
    """Fit level after level with flat estimators; return centers, parents and nearest labels."""
    draws = np.random.RandomState(seed)
    labels = np.zeros(len(X), dtype=int)
    if weight is not None:
        labels[weight == 0] = -1
    n_parents = 1
    for k in (*levels, n_clusters):
        members = [np.flatnonzero(labels == parent) for parent in range(n_parents)]
        sizes = [len(m) if weight is None else weight[m].sum() for m in members]
        shares = _levels.allot(np.array(sizes), k, np.array([len(m) for m in members]))
        seeds = draws.randint(2**31 - 1, size=n_parents)
        centers, parents, below = [], [], np.full(len(X), -1)
        for parent in np.flatnonzero(shares):
            own, share = members[parent], int(shares[parent])
            state = np.random.RandomState(seeds[parent])
            sample = own
            if len(own) > per_cluster * share:
                drawn = sample_without_replacement(
                    len(own), per_cluster * share, random_state=state
                )
                sample = own[np.sort(drawn)]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                part = KMeans(share, n_init=1, random_state=state, **options).fit(
                    X[sample], sample_weight=None if weight is None else weight[sample]
                )
            below[own] = len(parents) + part.predict(X[own])
            centers.append(part.cluster_centers_)
            parents += [parent] * share
        labels, n_parents = below, k
        centers = np.concatenate(centers)
    return centers, np.array(parents), labels


@pytest.mark.parametrize(
    ("n_clusters", "levels", "per_cluster"),
    [(50, [7], 256), (50, [7], 20), (60, [4, 16], 16), (12, [1], 256), (9, [9], 256)],
)
@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_equals_fits_put_together_by_hand(rows, n_clusters, levels, per_cluster, init, monkeypatch):
    monkeypatch.setattr(_splits, "ROWS_PER_CLUSTER", per_cluster)
    options = {"init": init, "max_iter": 12}
    model = KMeans(n_clusters, levels=levels, random_state=3, **options).fit(rows)
    centers, parents, _ = composed(rows, n_clusters, levels, 3, per_cluster=per_cluster, **options)
    flat = KMeans(n_clusters, init=centers, max_iter=1).fit(rows)
    np.testing.assert_array_equal(model.cluster_centers_, flat.cluster_centers_)
    np.testing.assert_array_equal(model.labels_, flat.labels_)
    np.testing.assert_array_equal(model.parents_, parents)
    assert model.parents_.dtype == np.int32
    assert model.inertia_ == flat.inertia_
    assert model.inertia_history_.tolist() == flat.inertia_history_.tolist()
    assert model.n_iter_ == 1


def test_weights_and_cosine_by_hand(rows):
    weight = np.random.default_rng(0).integers(0, 4, len(rows)).astype(np.float32)
    options = {"metric": "cosine", "max_iter": 9}
    model = KMeans(40, levels=[6], random_state=1, **options).fit(rows, sample_weight=weight)
    centers, parents, _ = composed(rows, 40, [6], 1, weight=weight, **options)
    flat = KMeans(40, init=centers, **(options | {"max_iter": 1}))
    flat.fit(rows, sample_weight=weight)
    np.testing.assert_array_equal(model.cluster_centers_, flat.cluster_centers_)
    np.testing.assert_array_equal(model.parents_, parents)
    assert model.inertia_ == flat.inertia_


def test_standardize_is_a_fit_to_divided_rows(rows):
    X = rows * np.float32([1, 1000] * 6)
    model = KMeans(30, levels=[5], random_state=0, standardize=True).fit(X)
    divided = KMeans(30, levels=[5], random_state=0).fit(X / model.scale_)
    np.testing.assert_allclose(
        model.cluster_centers_ / model.scale_, divided.cluster_centers_, rtol=1e-4, atol=1e-4
    )
    np.testing.assert_array_equal(model.predict(X), model.labels_)


def test_labels_are_the_nearest_of_all_centroids(rows):
    model = KMeans(80, levels=[9], random_state=0).fit(rows)
    distances = ((rows[:, None].astype(float) - model.cluster_centers_) ** 2).sum(axis=2)  # [N, K]
    np.testing.assert_array_equal(model.labels_, distances.argmin(axis=1))
    np.testing.assert_array_equal(model.predict(rows), model.labels_)
    assert model.inertia_ == pytest.approx(distances.min(axis=1).sum(), rel=1e-6)
    np.testing.assert_array_equal(model.cluster_sizes_, np.bincount(model.labels_, minlength=80))
    assert (np.diff(model.parents_) >= 0).all()
    assert model.parents_.max() < 9


def test_inertia_is_near_that_of_a_flat_fit(rows):
    flat = KMeans(80, random_state=0).fit(rows)
    assert KMeans(80, levels=[9], random_state=0).fit(rows).inertia_ < 1.1 * flat.inertia_


@pytest.mark.parametrize("pruned", [False, True])
def test_threads_and_bounds_change_nothing(rows, pruned, monkeypatch):
    if pruned:
        monkeypatch.setattr(_pruning, "WORTHWHILE", 0)
        monkeypatch.setattr(_pruning, "may_pay", lambda *_: True)
        monkeypatch.setattr(
            _pruning, "choose_basis", lambda X, centers, shift, find: find().first(3)
        )
    X = np.repeat(rows, 2, axis=1)
    algorithm = "auto" if pruned else "lloyd"
    fits = [
        KMeans(64, levels=[8], random_state=0, n_threads=threads, algorithm=algorithm).fit(X)
        for threads in (1, 2)
    ]
    fits.append(KMeans(64, levels=[8], random_state=0, algorithm="lloyd").fit(X))
    for model in fits[1:]:
        np.testing.assert_array_equal(model.cluster_centers_, fits[0].cluster_centers_)
        np.testing.assert_array_equal(model.labels_, fits[0].labels_)


@pytest.mark.parametrize("levels", [[6], [3, 10]])
def test_a_source_in_one_block_is_fitted_as_its_rows(rows, levels, monkeypatch):
    monkeypatch.setattr(_splits, "ROWS_PER_CLUSTER", 20)
    array = KMeans(40, levels=levels, random_state=2).fit(rows)
    whole = blocks.source(lambda: iter([rows]))
    for room in (0, 30_000, 1 << 30):
        monkeypatch.setattr(_members, "ROOM", room)
        model = KMeans(40, levels=levels, random_state=2).fit(whole)
        np.testing.assert_array_equal(model.cluster_centers_, array.cluster_centers_)
        np.testing.assert_array_equal(model.labels_, array.labels_)
        np.testing.assert_array_equal(model.parents_, array.parents_)


def test_a_source_in_blocks(rows, monkeypatch):
    monkeypatch.setattr(_splits, "ROWS_PER_CLUSTER", 20)
    source = blocks.source(lambda: iter(np.array_split(rows, 7)))
    model = KMeans(40, levels=[6], random_state=2).fit(source)
    array = KMeans(40, levels=[6], random_state=2).fit(rows)
    assert model.inertia_ == pytest.approx(array.inertia_, rel=1e-3)
    np.testing.assert_array_equal(model.predict(rows), model.labels_)


def test_sparse_rows_are_clustered_as_dense_ones():
    X = sp.random(400, 30, density=0.2, random_state=0, format="csr")
    sparse = KMeans(20, levels=[4], random_state=0).fit(X)
    dense = KMeans(20, levels=[4], random_state=0).fit(X.toarray())
    np.testing.assert_allclose(sparse.cluster_centers_, dense.cluster_centers_, atol=1e-12)
    np.testing.assert_array_equal(sparse.labels_, dense.labels_)


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=12).filter(any),
    st.floats(0, 1),
)
def test_allotment(sizes, position):
    sizes = np.array(sizes)
    filled = np.count_nonzero(sizes)
    total = filled + round(position * (sizes.sum() - filled))
    shares = _levels.allot(sizes, total, sizes)
    assert shares.sum() == total
    assert (shares <= sizes).all()
    assert ((shares >= 1) == (sizes > 0)).all()
    order = np.argsort(sizes, kind="stable")
    larger = np.diff(sizes[order]) > 0
    assert (np.diff(shares[order])[larger] >= 0).all()


@pytest.mark.parametrize(
    ("sizes", "total", "most", "expected"),
    [
        ([10, 20, 30], 6, [10, 20, 30], [1, 2, 3]),  # proportional
        ([50, 30, 20], 7, [50, 30, 20], [4, 2, 1]),  # 3.5, 2.1, 1.4: the largest remainder
        ([1000, 1, 1], 4, [1000, 1, 1], [2, 1, 1]),  # at least one
        ([0, 5, 5], 3, [0, 5, 5], [0, 2, 1]),  # a tie goes to the first
        ([9.0, 1.0], 6, [2, 50], [2, 4]),  # no more than rows, whatever their weight
    ],
)
def test_allotment_by_hand(sizes, total, most, expected):
    assert _levels.allot(np.array(sizes), total, np.array(most)).tolist() == expected


@pytest.mark.parametrize("first", [3, 8])
def test_fewer_distinct_rows_than_clusters(first):
    X = np.repeat(np.arange(5.0)[:, None], 20, axis=0)
    with pytest.warns(ConvergenceWarning, match=r"distinct clusters \(5\)"):
        model = KMeans(12, levels=[first], random_state=0).fit(X)
    assert model.inertia_ == 0
    assert len(np.unique(model.parents_)) == min(first, 5)  # empty ones are not split
    assert len(model.cluster_centers_) == len(model.parents_) == 12


def test_progress_and_callback(rows):
    seen, iterations = [], []
    KMeans(30, levels=[5], random_state=0).fit(
        rows,
        callback=iterations.append,
        seeding_callback=lambda done, total: seen.append((done, total)),
    )
    assert [total for _, total in seen] == [35] * 6
    done = [done for done, _ in seen]
    assert done[0] == 5
    assert done == sorted(set(done))
    assert done[-1] == 35
    assert [(state.iteration, state.max_iter) for state in iterations] == [(1, 1)]
    assert iterations[0].n_changed == len(rows)


def test_printed_lines(rows, capsys):
    KMeans(30, levels=[5], random_state=0, verbose=1).fit(rows)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Level 1 of 2 complete: 5 clusters."
    assert lines[1] == "Level 2 of 2 complete: 30 clusters."
    assert lines[3].startswith("Iteration 1, inertia ")


def test_interrupt_among_the_levels_sets_nothing(rows):
    def stop(done, total):
        if done > 5:
            raise KeyboardInterrupt

    model = KMeans(30, levels=[5], random_state=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(rows, seeding_callback=stop)
    assert not hasattr(model, "cluster_centers_")
    assert not hasattr(model, "parents_")


def test_interrupt_after_the_iteration_keeps_it(rows):
    def stop(state):
        raise KeyboardInterrupt

    model = KMeans(30, levels=[5], random_state=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(rows, callback=stop)
    whole = KMeans(30, levels=[5], random_state=0).fit(rows)
    np.testing.assert_array_equal(model.labels_, whole.labels_)
    np.testing.assert_array_equal(model.parents_, whole.parents_)


def test_saved_with_its_parents(rows, tmp_path):
    model = KMeans(30, levels=(3, 5), random_state=0).fit(rows)
    model.save(tmp_path / "m.safetensors")
    loaded = KMeans.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(loaded.parents_, model.parents_)
    assert list(loaded.levels) == [3, 5]
    again = clone(loaded).fit(rows)
    np.testing.assert_array_equal(again.cluster_centers_, model.cluster_centers_)
    again.set_params(levels=None, n_init=1, max_iter=2).fit(rows)
    assert not hasattr(again, "parents_")
    model.cluster_centers_ = model.cluster_centers_[:9]
    model.set_params(n_clusters=9).save(tmp_path / "hand.safetensors")
    assert not hasattr(KMeans.load(tmp_path / "hand.safetensors"), "parents_")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": []}, r"levels=\[\] must be .* as in levels=\[64\]"),
        ({"levels": [0]}, r"levels=\[0\] must be"),
        ({"levels": [2.5]}, r"levels=\[2.5\] must be"),
        ({"levels": [4, 3]}, r"levels=\[4, 3\] must not decrease"),
        ({"levels": [9]}, r"nor exceed n_clusters=8"),
        ({"levels": 4}, "'levels' parameter"),
        ({"levels": [4], "init": np.zeros((8, 12))}, "init='k-means\\+\\+' or levels=None"),
        ({"levels": [4], "n_init": 3}, "pass n_init=1"),
    ],
)
def test_what_does_not_fit_is_an_error(rows, options, message):
    with pytest.raises(ValueError, match=message):
        KMeans(8, **options).fit(rows)


def test_levels_have_no_checkpoint(rows):
    with pytest.raises(ValueError, match="pass checkpoint=None or levels=None"):
        KMeans(8, levels=[2]).fit(rows, checkpoint="c.safetensors")


def test_too_few_rows_with_weight(rows):
    weight = np.zeros(len(rows))
    weight[:20] = 1
    with pytest.raises(ValueError, match="only 20 rows have weight; n_clusters=30"):
        KMeans(30, levels=[4]).fit(rows, sample_weight=weight)
    model = KMeans(20, levels=[4], random_state=0).fit(rows, sample_weight=weight)
    assert model.inertia_ == pytest.approx(0, abs=1e-6)
