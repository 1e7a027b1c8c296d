"""Information, version, help, and what happens without the packages of the command line."""

import subprocess
import sys

import pytest

from unsup_fast.cli import info
from unsup_fast.kernels import _native

WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)
sys.meta_path.insert(0, Missing())
sys.argv = ["unsup-fast", *{words!r}]
import runpy
runpy.run_module("unsup_fast", run_name="__main__")
"""


def without(hidden, *words):
    """Run `python -m unsup_fast` where some packages cannot be imported."""
    program = WITHOUT.format(hidden=hidden, words=words)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)


def test_info(cli):
    ran = cli("info")
    assert ran.status == 0
    for word in (
        "unsup_fast",
        "SIMD level",
        "to be faster",
        "rivals",
        "threads",
        "OMP_NUM_THREADS",
        "torch",
        "triton",
        "GPU",
    ):
        assert word in ran.out


def test_info_names_what_is_missing(monkeypatch):
    def missing(name):
        raise info.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(info.metadata, "version", missing)
    assert info.version("torch") == "not installed"


@pytest.mark.parametrize(
    ("levels", "products", "expected"),
    [
        (["base", "v3", "v4"], 4, ""),
        (["base", "v3", "v4"], 2, f"sums of four products of bytes need {info.VNNI}"),
        (["base", "v3"], 4, "v4 needs AVX-512 F, BW, CD, DQ and VL"),
        (
            ["base"],
            4,
            "v3 needs AVX2, FMA, BMI2 and F16C; v4 needs AVX-512 F, BW, CD, DQ and VL",
        ),
    ],
)
def test_info_says_what_a_faster_level_needs(monkeypatch, levels, products, expected):
    monkeypatch.setattr(info.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(_native, "simd_levels", lambda: levels)
    monkeypatch.setattr(_native, "simd", lambda: levels[-1])
    monkeypatch.setattr(_native, "byte_products", lambda: products)
    assert info.faster() == expected
    assert info.facts()["to be faster"] == (expected or "nothing is missing")


def test_info_says_that_the_environment_holds_it_back(monkeypatch):
    monkeypatch.setattr(_native, "simd_levels", lambda: ["base", "v3", "v4"])
    monkeypatch.setattr(_native, "simd", lambda: "base")
    monkeypatch.setattr(_native, "byte_products", lambda: 4)
    assert info.faster() == "v4 needs UNSUP_FAST_SIMD to be unset"


def test_info_has_the_versions_of_rivals(monkeypatch):
    versions = {"scikit-learn": "1.9.1", "faiss-cpu": "1.15.1"}

    def version(name):
        if name not in versions:
            raise info.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(info.metadata, "version", version)
    assert info.rivals() == (
        "scikit-learn 1.9.1, faiss-cpu 1.15.1; not installed: scikit-learn-intelex, superkmeans, "
        "flash-kmeans, flashlib, torch, diffusers"
    )
    versions.clear()
    assert info.rivals().startswith("not installed: scikit-learn, ")
    versions.update(dict.fromkeys(info.RIVALS, "1"))
    assert "not installed" not in info.rivals()


def test_info_needs_the_core_install_only():
    hidden = ["typer", "rich", "filelock", "pyarrow", "torch", "triton", "matplotlib"]
    ran = without(hidden, "info")
    assert ran.returncode == 0, ran.stderr
    assert "SIMD level" in ran.stdout
    assert "torch is not installed" in ran.stdout


@pytest.mark.parametrize("package", ["typer", "rich", "filelock"])
def test_missing_package_names_the_command(package):
    ran = without([package], "--version")
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1
    assert repr(package) in ran.stderr
    assert "pip install 'unsup-fast[cli]'" in ran.stderr


@pytest.mark.parametrize("package", ["matplotlib", "PIL"])
def test_missing_package_of_the_report_is_an_error_before_the_fit(package, data, tmp_path):
    ran = without([package], "kmeans", str(data), "-k", "2", "-o", str(tmp_path / "out"))
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1
    assert repr(package) in ran.stderr
    assert "pip install 'unsup-fast[cli]'" in ran.stderr
    assert not (tmp_path / "out").exists()


def test_version(cli):
    ran = cli("--version")
    assert ran.status == 0
    assert ran.out == f"unsup-fast {info.version('unsup-fast')}\n"


@pytest.mark.parametrize(
    "words", [(), ("--help",), ("kmeans", "--help"), ("predict", "-h"), ("demo", "-h")]
)
def test_help(cli, words):
    ran = cli(*words)
    assert ran.status == 0
    assert "Usage:" in ran.out


def test_unknown_command(cli):
    ran = cli("cluster")
    assert ran.status == 2
    assert ran.err.count("\n") == 1
    assert "cluster" in ran.err


def test_a_fault_of_ours_is_not_hidden(cli, data, monkeypatch):
    from unsup_fast.cli.kmeans import run as kmeans

    def broken(*words):
        raise RuntimeError("a bug")

    monkeypatch.setattr(kmeans, "prepare", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        cli("kmeans", data, "-k", 2, "-o", "out")
