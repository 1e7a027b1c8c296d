"""The documentation: it builds without warnings, links lead somewhere, and examples run."""

import importlib
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
PUBLIC = (
    "blocks",
    "cluster",
    "decomposition",
    "distributed",
    "information",
    "metrics",
    "mixture",
    "models.diffusion",
    "models.gan",
    "models.training",
    "models.vae",
    "pictures",
    "schedulers",
    "solvers",
    *(f"kernels.{path.parent.name}" for path in sorted(ROOT.glob("kernels/*/__init__.py"))),
)
# Pages whose Python runs as it stands, from the first block to the last.
RUNNABLE = ("index", "getting-started", "guides/kmeans", "guides/embeddings", "guides/mixtures")
RUNNABLE += ("guides/pca", "guides/samplers", "guides/dedup")
WRITTEN = {"benchmarks/results"}  # a folder that only exists once benchmarks have run


class Page(HTMLParser):
    """Collects the anchors of a page, where its links lead, and what it loads."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loaded = set(), [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors |= {values[key] for key in ("id", "name") if values.get(key)}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag in ("img", "script", "link"):
            self.loaded += [values[key] for key in ("src", "href") if values.get(key)]


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Build the site with no network, and return its folder."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, **nowhere, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert not re.search(r"^(WARNING|ERROR)", done.stderr, re.M), done.stderr
    return folder


@pytest.fixture(scope="session")
def pages(site):
    return {path.resolve(): Page(path) for path in site.rglob("*.html")}


def test_links_lead_somewhere(site, pages):
    missing = []
    for path, page in pages.items():
        base = path.parent
        for link in {*page.links, *page.loaded}:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            target = (base / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchors = pages[target].anchors if target in pages else None
            lost = parts.fragment and (anchors is None or unquote(parts.fragment) not in anchors)
            if not target.exists() or lost:
                missing.append(f"{path.relative_to(site)}: {link}")
    assert not missing


def test_pages_load_nothing_from_elsewhere(pages):
    loaded = {link for page in pages.values() for link in page.loaded}
    assert not [link for link in loaded if urlsplit(link).netloc]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_in_the_reference(name, pages):
    module = importlib.import_module(f"unsup_fast.{name}")
    anchors = {anchor for page in pages.values() for anchor in page.anchors}
    files = {path.name for path in pages}
    missing = []
    for each in module.__all__:
        full = f"unsup_fast.{name}.{each}"
        value = getattr(module, each)
        if isinstance(value, ModuleType):  # it has a page of its own, or its package has one
            own = value.__name__.removeprefix("unsup_fast.").replace(".", "-")
            shown = {f"{own}.html", f"{own.rpartition('-')[0]}.html"} & files
        else:
            shown = {full, f"{full}.{each}"} & anchors
        if not shown:
            missing.append(full)
    assert not missing


def test_names_of_the_package_are_in_the_reference(site):
    import unsup_fast

    overview = (site / "reference" / "index.html").read_text(encoding="utf-8")
    missing = [name for name in unsup_fast.__all__ if f"unsup_fast.{name}" not in overview]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_and_modules_exist(page):
    text = page.read_text(encoding="utf-8")
    roots = "unsup_fast|kernels|csrc|benchmarks|tests|examples|docs"
    paths = set(re.findall(rf"`((?:{roots})/[\w./*-]*)(?=[` ])", text)) - WRITTEN
    missing = [path for path in paths if not any(ROOT.glob(path.rstrip("/")))]
    names = set(re.findall(r"`((?:unsup_fast|kernels)(?:\.\w+)+)", text))
    missing += [name for name in names if not exists(name)]
    assert not missing


def exists(name):
    """Return whether a dotted name can be imported."""
    parts = (name if name.startswith("unsup_fast") else f"unsup_fast.{name}").split(".")
    for length in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        try:
            for part in parts[length:]:
                value = getattr(value, part)
        except AttributeError:
            return False
        return True
    return False


@pytest.mark.parametrize("name", RUNNABLE)
def test_examples_run(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert blocks
    names = {}
    for block in blocks:
        exec(block, names)
    printed = capsys.readouterr().out
    for value in re.findall(r"print\(.*#\s*(\S+)$", "\n".join(blocks), re.M):
        assert value in printed  # what a comment says is printed
