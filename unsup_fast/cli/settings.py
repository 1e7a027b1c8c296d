"""Commands from typed settings: an option is declared once, as a field of a frozen dataclass.

A command is a subclass of `CommandSettings`. A field that is annotated with an `Option` is an
option of the command, or an argument if its name has no dashes. Where the help shows it, how its
value is checked and completed by the shell, what `summary.json` records and what a resumed run
compares all follow from that one declaration::

    @dataclass(frozen=True, kw_only=True)
    class PcaSettings(DataSettings, RunSettings):
        '''Find the principal axes of DATA.

        The docstring is the help of the command.
        '''

        whiten: Annotated[bool, Option("--whiten", "Model", "Divide ...")] = False
        solver: Annotated[str, Option("--solver", "Model", "...", choices=SOLVERS)] = "auto"
        images: Annotated[
            tuple[int, ...] | None, Option("--images HxW", "Output", "...", parse=image_shape)
        ] = None

        examples: ClassVar[tuple[str, ...]] = ("unsup-fast pca rows.npy -n 50 -o axes",)

        def check(self) -> None:  # options that do not fit each other; raises UserError
            ...

        runner = "unsup_fast.cli.pca.run:run"  # imported when it runs: --help stays fast

`cli/commands.py` makes it a command: `add(app, "pca", PcaSettings)`. Modules of settings import
nothing heavy, NumPy included. Options that several commands have stand in `cli/options.py`, as
annotated types and as dataclasses to derive from.
"""

import math
import operator
import re
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin

from unsup_fast.cli.errors import UserError

Panel = Literal[
    "Data",
    "Model",
    "Network",
    "Training",
    "Sampling",
    "Features",
    "Scores",
    "Output",
    "Performance",
    "Progress",
]
Role = Literal["course", "extent", "other"]
# Of the options under a heading; those of the others decide the course of a run.
ROLES: dict[str, Role] = {
    "Features": "other",
    "Output": "other",
    "Performance": "extent",
    "Progress": "other",
}
MOST = 2**31 - 1  # iterations, rows or pictures that an option may name
SHOWN = 80  # characters of a value in an error message


@dataclass(frozen=True, kw_only=True)
class CommandSettings:
    """The options of a command, as parsed and checked."""

    arguments: tuple[str, ...] = ()
    """The words of the command line, for hints on how to repeat it."""

    examples: ClassVar[tuple[str, ...]] = ()
    """Command lines that end the help."""

    runner: ClassVar[str]
    """The function that runs the command, as "module:function"; imported when it runs."""

    def check(self) -> None:
        """Raise UserError for options that do not fit each other or the files that they name."""

    def run(self) -> int:
        """Run the command and return its exit status."""
        module, _, function = self.runner.partition(":")
        status: int = getattr(import_module(module), function)(self)
        return status

    def recorded(self) -> dict[str, Any]:
        """Return what `summary.json` says of the options, by the names of the fields."""
        return {
            name: _plain(getattr(self, name))
            for name, option in options(type(self)).items()
            if option.resolved_role != "other"
        }

    def course(self) -> dict[str, Any]:
        """Return what decides the course of a run, by the names of the options."""
        return {
            option.name: _plain(getattr(self, name))
            for name, option in options(type(self)).items()
            if option.resolved_role == "course"
        }


@dataclass(frozen=True)
class Option:
    """An option or argument of a command: the metadata of a field of its settings.

    Attributes
    ----------
    names : str
        Names, and the placeholder of the value, as "-k --clusters N"; error messages use
        the first. "--yes/--no" is a switch. A name without dashes is an argument.
    panel : str
        Heading of the help under which the option stands.
    help : str
    choices : tuple of str
        The values that are allowed.
    suggested : tuple of str
        Values that the shell completes where others are allowed, too.
    least, most, above, below : float or None
        Limits of a number. It is finite in any case, and an int is at most 2^31 - 1.
    parse : callable or None
        From the first name and the text of the option to its value, for what is not plainly a
        str, number, bool or Path; raises UserError.
    role : {"course", "extent", "other"} or None
        "course" decides the course of a run: it is recorded in `summary.json`, and must be the
        same when the run is resumed. "extent" says how far or how fast: it is recorded. "other"
        says what is read, written or shown. None: by the panel, and "other" for arguments.
    """

    names: str
    panel: Panel
    help: str
    _: KW_ONLY
    choices: tuple[str, ...] = ()
    suggested: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    parse: Callable[[str, str], Any] | None = None
    role: Role | None = None

    @property
    def name(self) -> str:
        """The name in error messages."""
        return self.names.split()[0].split("/")[0]

    @property
    def is_argument(self) -> bool:
        """Whether it has no dashes."""
        return not self.names.startswith("-")

    @property
    def metavar(self) -> str | None:
        """The placeholder of the value in the help."""
        values = [word for word in self.names.split() if not word.startswith("-")]
        return "".join(values) or "|".join(self.choices) or None

    @property
    def resolved_role(self) -> Role:
        """The role that it has or that its panel gives it."""
        if self.role is not None:
            return self.role
        return "other" if self.is_argument else ROLES.get(self.panel, "course")

    def value(self, parsed: Any) -> Any:
        """Return the value of the field, from what typer parsed.

        Raises
        ------
        UserError
            If it is not allowed.
        """
        if isinstance(parsed, bool):
            return parsed
        if self.parse is not None:
            return self.parse(self.name, parsed)
        if self.choices:
            return one_of(self.name, parsed, self.choices)
        if isinstance(parsed, int | float):
            self._check_limits(parsed)
        return tuple(parsed) if isinstance(parsed, list) else parsed

    def _check_limits(self, number: float) -> None:
        most = MOST if self.most is None and isinstance(number, int) else self.most
        limits = (
            ("of at least", self.least, operator.ge),
            ("above", self.above, operator.gt),
            ("of at most", most, operator.le),
            ("below", self.below, operator.lt),
        )
        broken = [
            f"{words} {limit:.15g}"
            for words, limit, holds in limits
            if limit is not None and not holds(number, limit)
        ]
        if not -math.inf < number < math.inf:  # math.isfinite takes no int as long as this may be
            broken = ["that is finite"]
        if broken:
            text = shown(str(number))
            raise UserError(f"{self.name} {text}: write a number {' and '.join(broken)}")


def one_of(option: str, value: str, allowed: tuple[str, ...]) -> str:
    """Return the value of an option if it is allowed."""
    if value not in allowed:
        raise UserError(f"{option} {shown(value)}: is not one of {', '.join(allowed)}")
    return value


def in_options(text: str, settings: type[CommandSettings]) -> str:
    """Return a message of the library with arguments, such as batch_size, called as options."""
    for field, option in options(settings).items():
        if not field.isalpha():  # other names may be plain words
            text = re.sub(rf"(?<![\w/.-]){field}(?![\w/-])", option.name, text)
    return text


def shown(text: str) -> str:
    """Return the text of a value, or its beginning if it is long."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 20]}..."


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, range | tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


def declarations(settings: type[CommandSettings]) -> dict[str, tuple[Any, Option]]:
    """Return the type and the option of each field that is an option."""
    declared = {}
    for field in fields(settings):
        if get_origin(field.type) is Annotated:
            kind, option = get_args(field.type)
            declared[field.name] = kind, option
    return declared


def options(settings: type[CommandSettings]) -> dict[str, Option]:
    """Return the options of a command by the names of the fields."""
    return {name: option for name, (_, option) in declarations(settings).items()}
