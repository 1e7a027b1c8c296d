"""Rows in a plane: one scale, ellipses, colours, the window."""

import re

import numpy as np
import pytest

from unsup_fast.blocks import source
from unsup_fast.cluster import KMeans
from unsup_fast.decomposition import PCA
from unsup_fast.mixture import GaussianMixture
from unsup_fast.report import mixture, plane, window

pytest.importorskip("matplotlib")


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_ellipses_are_those_of_the_covariance_in_the_plane(kind):
    random = np.random.default_rng(1)
    X = random.normal(size=(500, 5)) @ random.normal(size=(5, 5))
    model = GaussianMixture(2, covariance_type=kind, random_state=0).fit(X)
    flat = plane.Plane(source(X), model.predict(X), model.means_)
    whole = {
        "full": lambda k: model.covariances_[k],
        "tied": lambda k: model.covariances_,
        "diag": lambda k: np.diag(model.covariances_[k]),
        "spherical": lambda k: model.covariances_[k] * np.eye(5),
    }[kind]
    for k, outline in enumerate(mixture.outlines(model, flat)):
        offsets = outline - flat.centers[k]
        inverse = np.linalg.inv(flat.basis @ whole(k) @ flat.basis.T)
        squares = np.einsum("ij,jk,ik->i", offsets, inverse, offsets)
        np.testing.assert_allclose(squares, mixture.DEVIATIONS**2, rtol=1e-8)


def drawn(svg):
    """Return the positions of the rows in a picture, [S, 2], and its width and height."""
    width, height = map(float, re.search(r'viewBox="0 0 (\d+) (\d+)"', svg).groups())
    rows = re.findall(r'<path d="([^"]*)"[^>]*class="rows', svg)
    rows += re.findall(r'<g class="rows[^>]*><path d="([^"]*)"', svg)
    starts = re.findall(r"M\s*(-?[\d.]+)[ ,](-?[\d.]+)", " ".join(rows))
    return np.array(starts, dtype=np.float64), (width, height)


@pytest.mark.parametrize("spreads", [(1, 1), (20, 1), (1, 700), (3, 2), (0, 1), (1e-9, 1e-12)])
def test_planes_have_one_scale(spreads):
    random = np.random.default_rng(3)
    X = random.uniform(-1, 1, (300, 2)) * spreads + 5
    labels = np.zeros(300, dtype=np.int64)
    flat = plane.Plane(source(X), labels, X.mean(axis=0)[None])
    along = PCA(2).fit_transform(X)
    pictures_ = [flat.svg(np.array([300])), plane.scatter(along)[0]]
    true = np.linalg.norm(X[:, None] - X, axis=2)
    inner = np.quantile(along, [0.001, 0.999], axis=0)
    seen = ((along >= inner[0]) & (along <= inner[1])).all(axis=1)
    for picture in pictures_:
        at, (width, height) = drawn(picture)
        assert (width, height) <= (760, 520)
        assert height >= window.LEAST_HEIGHT
        shown = np.linalg.norm(at[:, None] - at, axis=2)[seen][:, seen]
        expected = true[seen][:, seen]
        scale = shown.max() / expected.max()
        np.testing.assert_allclose(shown, scale * expected, atol=0.3)
        assert np.ptp(at, axis=0).max() > 0.8 * min(width, height)


def test_the_scale_of_a_plane_is_said():
    X = np.column_stack([np.linspace(0, 1000, 400), np.tile([0, 1], 200)])
    flat = plane.Plane(source(X), np.zeros(400, dtype=np.int64), np.array([[500.0, 0.5]]))
    wide = 1.12 * np.ptp(np.quantile(X[:, 0], [0.001, 0.999]))
    said = f"Both axes have one scale; the picture is {wide:,.1f} wide and"
    assert said in flat.caption(np.array([400]))
    assert said in plane.scatter(X)[1]


@pytest.mark.parametrize("points", [np.zeros((3, 2)), np.full((1, 2), 7.0), np.eye(2)])
def test_planes_of_few_rows(points):
    view = window.around(points, points[:1])
    assert (view.high > view.low).all()
    assert ((view.positions(points) >= 0) & (view.positions(points) <= 1)).all()


def test_centroids_of_cosine_runs_lie_inside_the_picture():
    random = np.random.default_rng(0)
    X = np.abs(random.normal(size=(600, 200))) * (random.random((600, 200)) < 0.05)
    X[:, 0] += 0.01
    model = KMeans(6, metric="cosine", n_init=1, random_state=0).fit(X)
    flat = plane.Plane(source(X), model.labels_, model.cluster_centers_, "cosine")
    shares = flat.window(model.cluster_sizes_).positions(flat.centers)
    assert ((shares > 0.02) & (shares < 0.98)).all()


@pytest.mark.parametrize("kind", ["full", "spherical"])
def test_ellipses_are_round_where_the_covariance_is(kind):
    X = np.random.default_rng(1).normal(size=(2000, 3)) + [[0, 0, 0], [40, 0, 0]][:1]
    X[::2, 0] += 40
    model = GaussianMixture(2, covariance_type=kind, random_state=0).fit(X)
    flat = plane.Plane(source(X), model.predict(X), model.means_)
    sizes = np.array([1000, 1000])
    view = flat.window(sizes)
    assert view.height < 300  # 40 across and 7 upward
    for outline, centre in zip(mixture.outlines(model, flat), flat.centers, strict=True):
        offsets = (view.inside(outline) - view.positions(centre)) * [732, view.height - 28]
        radii = np.linalg.norm(offsets, axis=1)
        np.testing.assert_allclose(radii, radii.mean(), rtol=0.08)


def test_lines_end_where_they_leave_the_window():
    view = window.around(np.array([[0.0, 0.0], [10.0, 8.0]]))
    line = np.array([[5.0, 5.0], [5.0, 50.0], [4.0, 4.0]])
    shares = view.inside(line)
    assert np.isnan(shares[1]).all()
    assert np.isfinite(shares[[0, 2]]).all()


def test_neighbours_differ_in_colour():
    centers = np.random.default_rng(0).random((200, 2))
    chosen = plane.colours(centers)
    assert set(chosen.tolist()) == set(range(10))
    distances = ((centers[:, None] - centers) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (chosen != chosen[distances.argmin(axis=1)]).all()
    assert plane.colours(np.zeros((300, 2))).shape == (300,)
