"""The rows nearest to their centroids."""

import numpy as np
import pytest

from unsup_fast.report import central

pytest.importorskip("matplotlib")


def test_central_rows_are_the_nearest(content):
    case = content(2000, 4, 8)
    model = case.model
    clusters, sampled = central.find(
        case.X, model.labels_, model.cluster_centers_, model.cluster_sizes_, 5
    )
    assert not sampled
    assert [one.size for one in clusters] == sorted(model.cluster_sizes_, reverse=True)
    distances = model.transform(case.X)
    for one in clusters:
        own = np.where(model.labels_ == one.cluster, distances[:, one.cluster], np.inf)
        np.testing.assert_array_equal(one.rows, np.argsort(own, kind="stable")[:5])
        np.testing.assert_allclose(one.distances, own[one.rows], rtol=1e-4)


def test_central_rows_of_a_sample(monkeypatch, content):
    monkeypatch.setattr(central, "MOST_VALUES", 800)
    monkeypatch.setattr(central, "BLOCK_VALUES", 64)
    case = content(2000, 4, 8)
    model = case.model
    arguments = (case.X, model.labels_, model.cluster_centers_, model.cluster_sizes_, 5)
    clusters, sampled = central.find(*arguments)
    assert sampled
    for one in clusters:
        assert (model.labels_[one.rows] == one.cluster).all()


def test_clusters_shown_of_many():
    sizes = np.arange(1000)
    shown = central.choose(sizes)
    assert len(shown) == len(set(shown.tolist())) == 36
    assert shown[0] == 999
    assert shown[-1] == 1
    assert len(central.choose(np.ones(50))) == 50
