"""Contents of pages, and a parser that checks them, for the tests of this folder."""

from html.parser import HTMLParser

import numpy as np
import pytest

from unsup_fast import report
from unsup_fast.blocks import source
from unsup_fast.cluster import KMeans
from unsup_fast.decomposition import PCA
from unsup_fast.mixture import GaussianMixture

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


def make_content(n_rows=500, n_columns=6, n_clusters=5, metric="euclidean", **more):
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


def parse(page):
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    return parser.tags


def make_other(command, n_rows=400, n_columns=6, k=4, kind="full", data=None, **more):
    """Return the page of a PCA or a mixture."""
    X = np.random.default_rng(0).random((n_rows, n_columns), dtype=np.float32)
    summary = dict(make_content(9, 2, 2).summary)
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


@pytest.fixture
def content():
    """Return a function that returns the content of a page of k-means."""
    return make_content


@pytest.fixture
def other():
    """Return a function that returns the page of a PCA or a mixture."""
    return make_other


@pytest.fixture
def parsed():
    """Return a function that returns the tags of a page whose tags are closed."""
    return parse
