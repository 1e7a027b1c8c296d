"""Import contracts cover every module, and light modules load nothing heavy."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import unsup_fast.kernels

CONFIG = Path(__file__).parents[1] / "pyproject.toml"
PACKAGE = Path(unsup_fast.__file__).parent
KERNELS = Path(unsup_fast.kernels.__file__).parent


def contracts(kind):
    tomllib = pytest.importorskip("tomllib")
    options = tomllib.loads(CONFIG.read_text())["tool"]["importlinter"]
    return [contract for contract in options["contracts"] if contract["type"] == kind]


def test_every_module_at_the_top_has_a_layer():
    (contract,) = contracts("layers")
    assert contract["containers"] == ["unsup_fast"]
    assert contract["exhaustive"]
    tails = [name for layer in contract["layers"] for name in layer.split(" | ")]
    names = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    names |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")} | {"kernels"}
    assert {name for name in tails if not name.startswith("(")} == names


def test_new_modules_are_checked(tmp_path):
    pytest.importorskip("importlinter")
    package = tmp_path / "unsup_fast"
    for source, copy in ((PACKAGE, package), (KERNELS, package / "kernels")):
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    (package / "newcomer.py").write_text("")
    (package / "blocks" / "newcomer.py").write_text(
        "import matplotlib, rich\nfrom unsup_fast import metrics\n"
        "from unsup_fast.kernels.moments import ref\n"
    )
    (package / "models" / "newcomer.py").write_text("from unsup_fast.models import diffusion\n")
    linter = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", linter, "--config", str(CONFIG), "--no-cache"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    output = " ".join(ran.stdout.split())
    for line in (
        "imports run down BROKEN",
        "families of models do not import each other BROKEN",
        "references are for tests, benchmarks and the dispatch BROKEN",
        "typer and rich are the command line's BROKEN",
        "optional packages are imported by _extras BROKEN",
        "not listed as layers: - unsup_fast.newcomer",
        "unsup_fast.blocks is not allowed to import unsup_fast.metrics",
    ):
        assert line in output
    assert ran.returncode == 1


def test_metrics_load_no_torch():
    code = "import sys, unsup_fast.metrics; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_light_rooms_load_nothing_heavy():
    rooms = ("_types", "blocks", "information", "pictures", "storage.tensors")
    code = "import sys\n" + "".join(f"import unsup_fast.{room}\n" for room in rooms)
    code += (
        "print({'torch', 'sklearn', 'matplotlib', 'pyarrow', 'PIL', 'diffusers'} & {*sys.modules})"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"
