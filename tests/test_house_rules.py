"""The checks of `make lint` count what they say, and fail above a budget."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "checks" / "house_rules.py"

CODE = '''
"""A row was found, and its labels are kept."""

def f(self, x: Any, y: int, *rest: Any, z: Any | None = None, **more: float) -> Any:
    foundation = 1  # no word of the list

async def g(a: "Any", b=1, /, *, c: list[Any]): ...
'''


@pytest.fixture
def rules():
    if not SCRIPT.exists():
        pytest.skip("a source distribution has no checks")
    spec = importlib.util.spec_from_file_location("house_rules", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "unsup_fast").mkdir()
    (tmp_path / "unsup_fast" / "a.py").write_text(CODE)
    (tmp_path / "csrc").mkdir()
    (tmp_path / "csrc" / "long.hpp").write_text("// way\n" * 501)
    (tmp_path / "csrc" / "short.hpp").write_text("\n" * 500)
    (tmp_path / "README.md").write_text("Results are the same to the bit.\n")
    return tmp_path


def test_figures(rules, tree):
    assert rules.words(tree) == {"found": 1, "kept": 1, "way": 501, "to the bit": 1}
    assert rules.parameters(tree) == {True: 3, False: 5}
    assert rules.long_files(tree) == [(501, "csrc/long.hpp")]


def test_a_budget_that_is_exceeded_fails(rules, tree, monkeypatch, capsys):
    monkeypatch.setattr(rules, "MOST_WORDS", 504)
    monkeypatch.setattr(rules, "MOST_ANY", 3 / 8)
    monkeypatch.setattr(rules, "MOST_LONG_FILES", 1)
    assert rules.main(tree) == 0
    for name, value in (("MOST_WORDS", 503), ("MOST_ANY", 0.37), ("MOST_LONG_FILES", 0)):
        with monkeypatch.context() as patch:
            patch.setattr(rules, name, value)
            assert rules.main(tree) == 1
        assert "exceeded" in capsys.readouterr().out
