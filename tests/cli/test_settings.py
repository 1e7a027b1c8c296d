"""Commands from typed settings: values, records, help and completion."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
import typer

from unsup_fast.cli import run as command_line
from unsup_fast.cli.commands import CommandGroup, add
from unsup_fast.cli.diffusion.settings import SAMPLERS
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.settings import CommandSettings, Option, options


def parse_pair(option, text):
    one, comma, other = text.partition(",")
    if not comma:
        raise UserError(f"{option} {text}: write A,B")
    return one, other


@dataclass(frozen=True, kw_only=True)
class KnotSettings(CommandSettings):
    """Tie knots in ROPE."""

    rope: Annotated[Path, Option("ROPE", "Data", "A rope.")]
    turns: Annotated[int, Option("-t --turns N", "Model", "Turns.", least=1, most=9)] = 2
    slack: Annotated[float | None, Option("--slack X", "Model", "Slack.", above=0, below=1)] = None
    kind: Annotated[
        str, Option("--kind", "Model", "Which.", choices=("bowline", "bend", "hitch"))
    ] = "bend"
    ends: Annotated[
        tuple[str, str] | None, Option("--ends A,B", "Data", "Both ends.", parse=parse_pair)
    ] = None
    hands: Annotated[int | None, Option("--hands N", "Performance", "Hands.")] = None
    names: Annotated[tuple[str, ...], Option("--name N", "Data", "A name.")] = ()
    wet: Annotated[bool, Option("--wet/--dry", "Output", "Water.")] = True

    examples: ClassVar[tuple[str, ...]] = ("tie rope.txt -t 3",)
    tied: ClassVar[list["KnotSettings"]] = []

    def check(self):
        if self.kind == "hitch" and self.ends:
            raise UserError("--ends: a hitch has one end; leave it out")

    def run(self):
        self.tied.append(self)
        return 0


@pytest.fixture
def tie():
    """Return a function that runs the command, and returns its settings."""
    app = typer.Typer(cls=CommandGroup, rich_markup_mode=None)
    app.callback()(lambda: None)
    add(app, "tie", KnotSettings)

    def call(*words):
        assert app(["tie", *words], standalone_mode=False, obj=["tie", *words]) == 0
        return KnotSettings.tied.pop()

    return call


def test_defaults_and_values(tie):
    plain = tie("r.txt")
    assert plain == KnotSettings(rope=Path("r.txt"), arguments=("tie", "r.txt"))
    words = ("r", "-t9", "--slack", "0.5", "--kind", "bowline", "--ends", "x,y", "--hands", "2")
    words += ("--name", "a", "--name", "b", "--dry")
    assert tie(*words) == KnotSettings(
        arguments=("tie", *words),
        rope=Path("r"),
        turns=9,
        slack=0.5,
        kind="bowline",
        ends=("x", "y"),
        hands=2,
        names=("a", "b"),
        wet=False,
    )


BAD = {
    "low": (["-t", "0"], "-t 0: write a number of at least 1$"),
    "high": (["--turns", "10"], "-t 10: write a number of at most 9$"),
    "longer than a float": (["-t", "9" * 400], "-t 9{60}...: write a number of at most 9$"),
    "too high by default": (["--hands", "2147483648"], "--hands 2147483648: write a number of at"),
    "not above": (["--slack", "0"], "--slack 0.0: write a number above 0$"),
    "not below": (["--slack", "1"], "--slack 1.0: write a number below 1$"),
    "not a number": (
        ["--slack", "nan"],
        "--slack nan: write a number that is finite$",
    ),
    "choice": (["--kind", "knot"], "--kind knot: is not one of bowline, bend, hitch"),
    "parse": (["--ends", "x"], "--ends x: write A,B"),
    "together": (["--kind", "hitch", "--ends", "x,y"], "a hitch has one end"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_values_are_refused(tie, name):
    words, said = BAD[name]
    with pytest.raises(UserError, match=said):
        tie("r.txt", *words)


def test_what_is_recorded_and_what_a_resumed_run_compares():
    settings = KnotSettings(rope=Path("r"), ends=("x", "y"), hands=2)
    course = {"turns": 2, "slack": None, "kind": "bend", "ends": ["x", "y"], "names": []}
    assert settings.recorded() == {**course, "hands": 2}
    assert list(settings.course()) == ["-t", "--slack", "--kind", "--ends", "--name"]
    assert list(settings.course().values()) == list(course.values())


def test_help_has_headings_and_ends_with_examples(tie, capsys):
    with pytest.raises(IndexError):  # the help is printed, and nothing is tied
        tie("--help")
    lines = capsys.readouterr().out.splitlines()
    headings = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Data:", "Model:", "Output:", "Performance:", "Other:", "Examples:"]
    assert lines[-1] == "  tie rope.txt -t 3"
    data = lines.index("Data:")
    assert lines[data + 1].split()[0] == "ROPE"
    assert lines[data + 2].split()[:2] == ["--ends", "A,B"]


HEAVY = ("numpy", "scipy", "sklearn", "torch", "pandas", "pyarrow", "matplotlib", "rich")
COMMANDS = (
    [],
    ["kmeans"],
    ["pca"],
    ["gmm"],
    ["predict"],
    ["transform"],
    ["fid"],
    ["inception-score"],
    ["kid"],
    ["prdc"],
    ["demo"],
    ["info"],
    ["diffusion"],
    ["diffusion", "train"],
    ["diffusion", "distill"],
    ["diffusion", "sample"],
    ["diffusion", "eval"],
    ["vae"],
    ["vae", "train"],
    ["vae", "sample"],
    ["vae", "reconstruct"],
    ["vae", "traverse"],
    ["vae", "encode"],
    ["vae", "eval"],
    ["gan"],
    ["gan", "train"],
    ["gan", "sample"],
    ["gan", "interpolate"],
    ["gan", "eval"],
)


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom unsup_fast.cli import run\n"
        f"for words in {COMMANDS!r}:\n"
        "    assert run([*words, '--help']) == 0\n"
        f"    assert not set({HEAVY!r}) & set(sys.modules), words\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.fixture
def completed(capsys, monkeypatch):
    """Return a function from a shell and a line without its last word to what may follow."""

    def call(shell, *words):
        monkeypatch.setenv("_UNSUP_FAST_COMPLETE", f"complete_{shell}")
        monkeypatch.setenv("COMP_WORDS", " ".join(words))
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", " ".join(words))
        monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
        with pytest.raises(SystemExit) as ended:
            command_line([])
        assert ended.value.code == 0
        return capsys.readouterr().out

    return call


COMPLETED = {
    "commands": (["k"], {"kmeans", "kid"}),
    "options": (["kmeans", "--al"], {"--algorithm"}),
    "choices": (["kmeans", "--algorithm", ""], {"auto", "lloyd", "elkan"}),
    "begun choice": (["gmm", "rows.npy", "--covariance", "d"], {"diag"}),
    "suggestions": (["kmeans", "--init", "k-means"], {"k-means++", "k-means||"}),
    "files": (["kmeans", ""], set()),  # left to the shell
}


@pytest.mark.parametrize("name", COMPLETED)
def test_completion_in_bash(completed, name):
    words, expected = COMPLETED[name]
    assert set(completed("bash", "unsup-fast", *words).split()) == expected


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_in_other_shells(completed, shell):
    text = completed(shell, "unsup-fast", "kmeans", "--metric", "c")
    assert "cosine" in text
    assert "euclidean" not in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell, capsys, monkeypatch):
    monkeypatch.setenv("_UNSUP_FAST_COMPLETE", f"source_{shell}")
    with pytest.raises(SystemExit):
        command_line([])
    script = capsys.readouterr().out
    assert "unsup-fast" in script
    assert f"_UNSUP_FAST_COMPLETE=complete_{shell}" in script


def every_settings(cls=CommandSettings):
    for inner in cls.__subclasses__():
        yield inner
        yield from every_settings(inner)


def test_no_option_of_a_command_has_the_name_of_another():
    import unsup_fast.cli.app  # noqa: F401  defines all settings

    for settings in every_settings():
        words = [word for option in options(settings).values() for word in option.names.split()]
        names = [word for word in words if word.startswith("-")]
        assert len(names) == len(set(names)), settings


def test_samplers_are_those_of_the_models():
    config = pytest.importorskip("unsup_fast.models.diffusion.config")
    assert sorted(SAMPLERS) == sorted(config.SAMPLERS)
