"""Whole pages: complete, alone, small, and escaped."""

import re
from collections import Counter

import numpy as np
import pytest

from unsup_fast import report
from unsup_fast.report import central, charts, plane
from unsup_fast.report.lines import Lines

pytest.importorskip("matplotlib")


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 2), (30, 3, 30), (500, 6, 5), (900, 4, 120)])
def test_page_is_whole_and_alone(shape, content, parsed):
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


def test_pictures_have_words_for_those_who_do_not_see_them(content, parsed):
    tags = parsed(report.kmeans(content(image_shape=(2, 3))))
    images = [a for tag, a in tags if tag == "img"]
    assert len(images) == 10
    assert all(a["alt"] for a in images)
    charts_ = [a for tag, a in tags if tag == "svg"]
    assert len(charts_) == 4
    assert all(a["role"] == "img" and a["aria-label"] for a in charts_)


def test_cosine(content, parsed):
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


@pytest.mark.parametrize("command", ["pca", "gmm"])
@pytest.mark.parametrize("images", [None, (2, 3)])
def test_other_pages_are_whole_and_alone(command, images, parsed, other):
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


def test_large_reports_of_others_are_small(other):
    assert len(other("pca", 9000, 300, 300).encode()) < 400_000
    assert len(other("gmm", 9000, 3, 400, "diag").encode()) < 500_000


def test_profiles_of_a_named_mixture(content, other):
    named = dict(content(9, 2, 2).summary["data"], column_names=list("uvwxyz"))
    page = other("gmm", data=named)
    for name in "uvwxyz":
        assert f">{name}</text>" in page
    assert ">u</text>" not in other("gmm")


def test_text_is_escaped_and_cut(tmp_path, content, parsed):
    path = tmp_path / "lines.txt"
    path.write_bytes(b"\n".join(b"<b>\xff%d</b> " % i + b"long " * 60 for i in range(500)))
    page = report.kmeans(content(lines=Lines(path)))
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert "…" in page
    parsed(page)


def test_large_report_is_small(content):
    """10,000 clusters: everything is sampled or binned."""
    case = content(40_000, 3, 10_000)
    page = report.kmeans(case)
    assert len(page.encode()) < 500_000
    assert "Of 10,000 clusters the 16 largest" in page


@pytest.mark.parametrize("n_clusters", [3, 40, 100])
def test_every_shape_has_its_note(n_clusters, content):
    page = report.kmeans(content(700, 4, n_clusters))
    iterations = re.search(r"Inertia over (\d+) iterations", page)[1]
    titles = re.findall("<title>(iteration|cluster|centroid|.* clusters of)", page)
    assert titles.count("iteration") >= 2 * int(iterations) - 1
    assert titles.count("cluster") == (n_clusters if n_clusters <= charts.MOST_BARS else 0)
    assert titles.count("centroid") == (n_clusters if n_clusters > plane.MOST_NUMBERED else 0)
