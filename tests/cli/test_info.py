"""Information, version, help, and what happens without the packages of the command line."""

import subprocess
import sys

import pytest

from unsup_fast.cli import info

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
