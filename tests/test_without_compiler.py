"""An install without a compiler: the build warns, and estimators run all the same."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytest.importorskip("Cython", reason="the build needs it; pip install '.[dev]'")
pytest.importorskip("pybind11", reason="the build needs it; pip install '.[dev]'")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Return a copy of what the package is built from, without anything compiled."""
    tree = tmp_path_factory.mktemp("source")
    compiled = shutil.ignore_patterns("*.so", "__pycache__")
    for folder in ("csrc", "kernels", "unsup_fast"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=compiled)
    for file in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, tree)
    return tree


def build(tree, compiler, *words, **variables):
    """Run a command of the build with a compiler, which may not exist."""
    environment = {**os.environ, "CC": compiler, "CXX": compiler, **variables}
    return subprocess.run(
        [sys.executable, *words],
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def installed(tree):
    """Return what a build without a compiler says, and the folder it was installed in."""
    offline = ("--no-build-isolation", "--no-deps", "--no-index")
    built = build(
        tree,
        str(tree / "no-such-compiler"),
        *("-m", "pip", "install", "--verbose", *offline, "--target", "site", "."),
        UNSUP_FAST_REQUIRE_NATIVE="0",
    )
    assert built.returncode == 0, built.stdout
    return built.stdout, tree / "site"


def run(site, code, **variables):
    """Run Python code on the install, without the editable one that a .pth file names (-S)."""
    packages = [folder for folder in sys.path if folder.endswith("-packages")]
    paths = os.pathsep.join([str(site), *packages])
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": paths, **variables}
    return subprocess.run(
        [sys.executable, "-S", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        cwd=site,
    )


ESTIMATORS = """
import warnings
import numpy as np
from sklearn.metrics import adjusted_rand_score
import unsup_fast
from unsup_fast.cluster import KMeans
from unsup_fast.decomposition import PCA
from unsup_fast.mixture import GaussianMixture

random = np.random.default_rng(0)
truth = random.integers(0, 4, 2000)
X = (random.normal(size=(4, 8)) * 10)[truth] + random.normal(size=(2000, 8))
X = X.astype(np.float32)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    labels = [KMeans(4, random_state=0, n_threads=n).fit(X).labels_ for n in (1, 2)]
    mixed = GaussianMixture(4, random_state=0).fit_predict(X)
    pca = PCA(2).fit(X)
said = [str(one.message) for one in caught if "compiled part" in str(one.message)]
assert len(said) == 1, caught
assert "No module named 'unsup_fast.kernels._native'" in said[0], said
assert "C++17 compiler" in said[0], said
assert np.array_equal(*labels)
assert adjusted_rand_score(truth, labels[0]) == 1.0
assert adjusted_rand_score(truth, mixed) == 1.0
values = np.linalg.svd(X - X.mean(axis=0), compute_uv=False)[:2]
np.testing.assert_allclose(pca.singular_values_, values, rtol=1e-5)
print(unsup_fast.__file__)
"""


def test_a_build_without_a_compiler_warns(installed):
    said, site = installed
    assert "WITHOUT its compiled modules" in said
    assert "no-such-compiler" in said
    assert not list(site.rglob("*.so"))


def test_estimators_run_without_compiled_modules(installed):
    site = installed[1]
    ran = run(site, ESTIMATORS)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == str(site / "unsup_fast" / "__init__.py")


@pytest.mark.parametrize("variable", ["native", "numbers"])
def test_a_request_that_cannot_be_met_is_an_error(installed, variable):
    code = (
        "import numpy as np; from unsup_fast.kernels.affine import affine;"
        "affine(*np.ones((2, 1, 1)))"
    )
    ran = run(installed[1], code, UNSUP_FAST_BACKEND=variable)
    assert ran.returncode == 1
    said = ran.stderr.splitlines()[-1]
    if variable == "native":
        assert "could not be loaded" in said
        assert "C++17 compiler" in said
    else:
        assert "UNSUP_FAST_BACKEND='numbers' is not available" in said


def test_info_says_which_backend_runs(installed):
    ran = run(installed[1], "from unsup_fast.cli import info; print(info.show())")
    assert ran.returncode == 0, ran.stderr
    assert "numba (the compiled part could not be loaded" in ran.stdout


def test_an_error_of_the_compiler_is_said(tree):
    compiler = tree / "failing"
    compiler.write_text("#!/bin/sh\necho 'op.cpp:3:1: error: this is ours' >&2\nexit 1\n")
    compiler.chmod(0o755)
    built = build(tree, str(compiler), "setup.py", "build_ext", UNSUP_FAST_REQUIRE_NATIVE="0")
    assert built.returncode == 0, built.stdout
    warning = built.stdout.partition("WITHOUT its compiled modules")[2]
    assert "error: this is ours" in warning
    built = build(tree, str(compiler), "setup.py", "build_ext", UNSUP_FAST_REQUIRE_NATIVE="1")
    assert built.returncode != 0
