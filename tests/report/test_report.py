"""The HTML report."""

import base64
import io
import os
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest

from unsup_fast import report
from unsup_fast.blocks import source
from unsup_fast.cluster import KMeans
from unsup_fast.decomposition import PCA
from unsup_fast.mixture import GaussianMixture
from unsup_fast.report import (
    central,
    charts,
    curves,
    figure,
    frame,
    mixture,
    numbers,
    pictures,
    plane,
    window,
)
from unsup_fast.report.lines import Lines

pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")

VOID = {"meta", "img"}


class Balanced(HTMLParser):
    """Collects tags, and checks that each is closed where it should be."""

    def __init__(self):
        super().__init__()
        self.open, self.tags = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def content(n_rows=500, n_columns=6, n_clusters=5, metric="euclidean", **more):
    X = np.random.default_rng(0).random((n_rows, n_columns), dtype=np.float32)
    model = KMeans(n_clusters, init=X[:n_clusters].copy(), max_iter=20, metric=metric).fit(X)
    summary = {
        "data": {"file": "d.npy", "dtype": "float32", "notes": ["A <note>."]},
        "parameters": {"n_clusters": n_clusters, "init": "random", "columns": ["a", "b"]},
        "result": {
            "inertia": model.inertia_,
            "explained": 0.5,
            "iterations": model.n_iter_,
            "converged": True,
            "stopped": "no label changed any more",
            "seconds": 0.1,
            "empty_clusters": 0,
        },
        "machine": {"system": "Linux x86_64", "threads": 1, "simd": "v3"},
        "versions": {"unsup_fast": "1", "python": "3", "numpy": "2"},
    }
    return report.Content("A <title>", "d.npy", source(X), model, summary, "labels.npy", **more)


def parsed(page):
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    return parser.tags


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 2), (30, 3, 30), (500, 6, 5), (900, 4, 120)])
def test_page_is_whole_and_alone(shape):
    page = report.kmeans(content(*shape))
    tags = parsed(page)
    assert not [tag for tag, _ in tags if tag in ("script", "link", "iframe")]
    links = [value for _, a in tags for name, value in a.items() if name in ("src", "href")]
    names = Counter(a["id"] for _, a in tags if "id" in a)
    assert all(number == 1 for number in names.values())
    assert all(
        link.startswith("data:image/png;base64,") or (link[0] == "#" and link[1:] in names)
        for link in links
    )
    assert len([tag for tag, _ in tags if tag == "style"]) == 1
    assert "#0f1e" not in page  # the stand-ins for the page's colours
    assert not re.search(r"url\(|@import|https?://", page)
    for word in ("nan", "inf"):
        assert not re.search(
            rf'"[^"]*\b{word}\b[^"]*"', re.sub(r"<style>.*</style>", "", page, flags=re.S)
        )
    assert "A &lt;title&gt;" in page
    assert "A &lt;note&gt;." in page
    assert "prefers-color-scheme: dark" in page


def test_pictures_have_words_for_those_who_do_not_see_them():
    tags = parsed(report.kmeans(content(image_shape=(2, 3))))
    images = [a for tag, a in tags if tag == "img"]
    assert len(images) == 10
    assert all(a["alt"] for a in images)
    charts_ = [a for tag, a in tags if tag == "svg"]
    assert len(charts_) == 4
    assert all(a["role"] == "img" and a["aria-label"] for a in charts_)


def test_cosine():
    pages = [report.kmeans(content(metric="cosine", image_shape=s)) for s in (None, (2, 3))]
    for page in pages:
        parsed(page)
        assert "Spherical k-means (cosine distances) of d.npy: 500 rows of 6 columns" in page
        assert "cosine distances, summed" in page
    case = content(metric="cosine")
    model = case.model
    sizes = model.cluster_sizes_
    clusters, _ = central.find(case.X, model.labels_, model.cluster_centers_, sizes, 5, "cosine")
    distances = model.transform(case.X)
    for one in clusters:
        expected = np.sort(distances[model.labels_ == one.cluster, one.cluster])[:5]
        np.testing.assert_allclose(one.distances, expected, atol=1e-6)


def other(command, n_rows=400, n_columns=6, k=4, kind="full", data=None, **more):
    """Return the page of a PCA or a mixture."""
    X = np.random.default_rng(0).random((n_rows, n_columns), dtype=np.float32)
    summary = dict(content(9, 2, 2).summary)
    summary["data"] = data or summary["data"]
    summary["parameters"] = {"n_components": [k - 1, k, k + 1], "criterion": "bic"}
    if command == "pca":
        model = PCA(k).fit(X)
        summary["result"] = {"axes": k, "explained": 0.5, "reconstruction_error": 1, "seconds": 1}
        page_content = report.Content(
            "T", "d.npy", source(X), model, summary, "coordinates.npy", **more
        )
        return report.pca(page_content)
    model = GaussianMixture(k, covariance_type=kind, reg_covar=1e-3, random_state=0).fit(X)
    fit = {"bic": -2.0, "aic": -1.0, "iterations": 3}
    summary["result"] |= {"components": k, "log_likelihood": -1.0, "bic": -2.0, "aic": -1.0}
    summary["result"]["fits"] = [{**fit, "components": k - 1}, {**fit, "components": k}]
    page_content = report.Content("T", "d.npy", source(X), model, summary, "labels.npy", **more)
    return report.gmm(page_content, model.predict(X))


@pytest.mark.parametrize("command", ["pca", "gmm"])
@pytest.mark.parametrize("images", [None, (2, 3)])
def test_other_pages_are_whole_and_alone(command, images):
    page = other(command, image_shape=images)
    tags = parsed(page)
    assert not [tag for tag, _ in tags if tag in ("script", "link", "iframe")]
    names = Counter(a["id"] for _, a in tags if "id" in a)
    assert all(number == 1 for number in names.values())
    assert "#0f1e" not in page
    assert not re.search(r"url\(|@import|https?://", page)
    assert all(a["alt"] for tag, a in tags if tag == "img")
    assert bool(images) == ("data:image/png" in page)
    drawings = [a for tag, a in tags if tag == "svg"]
    assert len(drawings) == {"pca": 3, "gmm": 4 if images else 5}[command]
    assert all(a["role"] == "img" and a["aria-label"] for a in drawings)
    if command == "gmm":
        assert "1 more fit was not finished" in page


def test_large_reports_of_others_are_small():
    assert len(other("pca", 9000, 300, 300).encode()) < 400_000
    assert len(other("gmm", 9000, 3, 400, "diag").encode()) < 500_000


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


def test_profiles_carry_the_names_of_the_columns():
    names = ["alcohol", "<b>&", "$x^$", "a\x00\nb", "é" * 40, "plain"]
    means = np.random.default_rng(0).normal(size=(3, 6))
    chart = curves.profiles(means, [0, 1, 2], [0, 1, 2], names)
    parsed(chart)
    for name in ("alcohol", "&lt;b&gt;&amp;", "$x^$", "a\ufffd\ufffdb", "é" * 17 + "…", "plain"):
        assert f">{name}</text>" in chart
    means = np.zeros((2, 300))
    means[0, 40:64] = np.arange(1, 25)
    chart = curves.profiles(means, [0, 1], [0, 1], [f"c{j}" for j in range(300)])
    shown = re.findall(">(c[0-9]+)</text>", chart)
    assert shown == [f"c{j}" for j in range(40, 64)]
    assert "Means in the 24 of 300 columns in which they differ most" in chart


def test_profiles_of_a_named_mixture():
    named = dict(content(9, 2, 2).summary["data"], column_names=list("uvwxyz"))
    page = other("gmm", data=named)
    for name in "uvwxyz":
        assert f">{name}</text>" in page
    assert ">u</text>" not in other("gmm")


@pytest.mark.parametrize("shares", [[1.0], [0.0, 0.0], [0.5, 0.3, 0.2], [1e-3] * 1000])
def test_spectra_of_every_kind(shares):
    for chart in (curves.scree(np.array(shares)), curves.cumulative(np.array(shares))):
        parsed(chart)
        assert "nan" not in chart


@pytest.mark.parametrize("numbers", [[1, 2], list(range(1, 90))])
def test_every_fit_has_its_note(numbers):
    bic, aic = -(np.arange(len(numbers)) ** 1.5), 3.0 * np.arange(len(numbers))
    chart = curves.criteria(numbers, {"BIC": bic, "AIC": aic}, len(numbers) - 1)
    parsed(chart)
    few = len(numbers) <= frame.MOST_DOTS
    assert len(re.findall("<title>[0-9]+ components?: ", chart)) == (2 * len(numbers) if few else 0)
    assert f"BIC is least at {numbers[-1]}" in chart
    parsed(curves.likelihood(bic))


def test_text_is_escaped_and_cut(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes(b"\n".join(b"<b>\xff%d</b> " % i + b"long " * 60 for i in range(500)))
    page = report.kmeans(content(lines=Lines(path)))
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert "…" in page
    parsed(page)


@pytest.mark.parametrize("end", ["", "\n"])
def test_lines(tmp_path, end):
    (tmp_path / "t.txt").write_text("one\ntwo\nthree" + end)
    lines = Lines(tmp_path / "t.txt")
    assert lines.count == 3
    assert lines.take([2, 0]) == {0: "one", 2: "three"}


def test_large_report_is_small():
    """10,000 clusters: everything is sampled or binned."""
    case = content(40_000, 3, 10_000)
    page = report.kmeans(case)
    assert len(page.encode()) < 500_000
    assert "Of 10,000 clusters the 16 largest" in page


def test_central_rows_are_the_nearest():
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


def test_central_rows_of_a_sample(monkeypatch):
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


def test_neighbours_differ_in_colour():
    centers = np.random.default_rng(0).random((200, 2))
    chosen = plane.colours(centers)
    assert set(chosen.tolist()) == set(range(10))
    distances = ((centers[:, None] - centers) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (chosen != chosen[distances.argmin(axis=1)]).all()
    assert plane.colours(np.zeros((300, 2))).shape == (300,)


def decoded(uri):
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGBA"))


@pytest.mark.parametrize("channels", [None, 1, 3, 4])
def test_png(channels):
    shape = (2, 3) if channels is None else (2, 3, channels)
    rows = np.random.default_rng(0).integers(0, 256, (2, int(np.prod(shape)))).astype(np.float32)
    pixels = decoded(pictures.strip(rows, shape, 0.0, 255.0, 3))
    assert pixels.shape == (2, 13, 4)
    assert (pixels[:, 3:5] == 0).all()
    assert (pixels[:, 8:] == 0).all()
    expected = rows.reshape(2, 2, 3, -1)
    colour = expected[..., :3] if (channels or 1) > 1 else np.repeat(expected, 3, axis=3)
    np.testing.assert_array_equal(pixels[:, :3, :3], colour[0])
    np.testing.assert_array_equal(pixels[:, 5:8, :3], colour[1])
    opacity = expected[1, ..., 3] if channels == 4 else 255
    np.testing.assert_array_equal(pixels[:, 5:8, 3], np.broadcast_to(opacity, (2, 3)))


@pytest.mark.parametrize(
    ("shape", "side"), [((64, 64), (64, 64)), ((65, 65), (64, 64)), ((300, 7), (64, 1))]
)
def test_large_pictures_are_shrunk(shape, side):
    rows = np.full((2, shape[0] * shape[1]), 1.0, dtype=np.float32)
    pixels = decoded(pictures.strip(rows, shape, 0.0, 2.0, 2))
    assert pixels.shape == (side[0], 2 * side[1] + pictures.GAP, 4)
    assert (pixels[:, : side[1]] == [128, 128, 128, 255]).all()


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (numbers.count, 60000, "60,000"),
        (lambda value: numbers.counted(value, "row"), 1, "1 row"),
        (lambda value: numbers.counted(value, "row"), 1000, "1,000 rows"),
        (numbers.short, 950, "950"),
        (numbers.short, 12345, "12.3k"),
        (numbers.short, 999_999, "1M"),
        (numbers.tick, 0.05, "0.05"),
        (numbers.tick, 2000, "2,000"),
        (numbers.tick, 12500, "12.5k"),
        (numbers.tick, 34610.5, "34.6105k"),
        (numbers.tick, 2e-5, "2e-5"),
        (numbers.tick, 1.2e11, "1.2e11"),
        (numbers.real, 34609.8765, "34,610"),
        (numbers.real, 1.0914e11, "1.0914e11"),
        (numbers.real, 0.0123456, "0.012346"),
        (numbers.real, 0.0, "0"),
        (numbers.percent, 0.0, "0 %"),
        (numbers.percent, 1.0, "100 %"),
        (numbers.percent, 0.9999999, "> 99.99 %"),
        (numbers.percent, 1e-9, "< 0.01 %"),
        (numbers.percent, 0.1234, "12.3 %"),
        (numbers.seconds, 0.0001, "< 1 ms"),
        (numbers.seconds, 0.3456, "0.35 s"),
        (numbers.seconds, 9.96, "10 s"),
        (numbers.seconds, 59.7, "1 min 00 s"),
        (numbers.seconds, 7500, "2 h 05 min"),
        (numbers.size, 512, "512 B"),
        (numbers.size, 1.5e6, "1.5 MB"),
    ],
)
def test_numbers(function, value, text):
    assert function(value) == text


@pytest.mark.parametrize(
    "values", [[0, 0], [5], [1, 0.5, 1e-7], [1e-5, 2e-5], [34_612, 34_611, 34_610], [9e11, 1e11]]
)
def test_ticks_are_few_and_differ(values):
    chart = charts.inertia(np.array(values, dtype=np.float64))
    parsed(chart)
    ticks = re.findall(r'text-anchor="end">([^<]*)<', chart)
    assert 2 <= len(ticks) <= 7
    assert len(set(ticks)) == len(ticks)


@pytest.mark.parametrize("values", [[60_000, 226], [7, 6], [900, 1], [10**9, 1], [3, 0]])
def test_logarithmic_ticks_are_few(values):
    chart = charts.changes(np.array(values), 10**9)
    parsed(chart)
    ticks = re.findall(r'text-anchor="end">([^<]*)<', chart)
    assert 1 <= len(ticks) <= 7


def test_notes_and_names_are_escaped():
    def paint(axes):
        dots = axes.scatter([0, 1], [0, 1], color=figure.ACCENT)
        figure.mark(dots, "dots", ['<a> & "b"', "c]"])

    drawing = figure.svg('<"name">', (100, 50), (9, 9, 9, 9), paint)
    tags = parsed(drawing)
    assert tags[0][1]["aria-label"] == '<"name">'
    assert '<title>&lt;a&gt; &amp; "b"</title>' in drawing
    assert "<title>c]</title>" in drawing
    assert drawing == figure.svg('<"name">', (100, 50), (9, 9, 9, 9), paint)


QUIET = """
import sys, warnings
warnings.simplefilter("error")
import numpy as np
from unsup_fast.report import charts
assert "matplotlib" not in sys.modules
assert charts.inertia(np.array([3.0, 2.0])).count("<svg") == 1
assert "matplotlib.pyplot" not in sys.modules
import matplotlib
assert matplotlib.rcParams["svg.fonttype"] == "path"
"""


def test_matplotlib_is_late_and_quiet_without_a_cache(tmp_path):
    (tmp_path / "file").write_text("not a directory")
    (tmp_path / "matplotlibrc").write_text("no.such.key: 1\nsvg.fonttype: path\naxes.grid: no\n")
    settings = {"MPLCONFIGDIR": str(tmp_path / "file"), "MATPLOTLIBRC": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", QUIET],
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout + ran.stderr == ""


@pytest.mark.parametrize("n_clusters", [3, 40, 100])
def test_every_shape_has_its_note(n_clusters):
    page = report.kmeans(content(700, 4, n_clusters))
    iterations = re.search(r"Inertia over (\d+) iterations", page)[1]
    titles = re.findall("<title>(iteration|cluster|centroid|.* clusters of)", page)
    assert titles.count("iteration") >= 2 * int(iterations) - 1
    assert titles.count("cluster") == (n_clusters if n_clusters <= charts.MOST_BARS else 0)
    assert titles.count("centroid") == (n_clusters if n_clusters > plane.MOST_NUMBERED else 0)


@pytest.mark.parametrize(
    "sizes", [[5], [3, 3, 3], [0, 9], list(range(1, 100)), [1] * 99, [1, 10**6] * 50]
)
def test_sizes_of_every_kind(sizes):
    chart = charts.sizes(np.array(sizes), [0] * len(sizes))
    parsed(chart)
    assert "nan" not in chart
