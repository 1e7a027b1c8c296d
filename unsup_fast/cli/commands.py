"""Commands of typer, made from typed settings."""

import inspect
from dataclasses import MISSING, fields
from typing import Annotated, Any, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperGroup

from unsup_fast.cli.settings import CommandSettings, Option, Panel, declarations

OTHER = "Other"
PANELS = (*get_args(Panel), OTHER)


def add(app: typer.Typer, name: str, settings: type[CommandSettings]) -> None:
    """Add the command that some settings describe to an app."""

    def command(context: typer.Context, **values: Any) -> int:
        words: list[str] = context.obj
        passed = {name: value for name, value in values.items() if value is not None}
        checked = {name: declared[name][1].value(value) for name, value in passed.items()}
        chosen = settings(arguments=tuple(words), **checked)
        chosen.check()
        return chosen.run()

    defaults = {field.name: field.default for field in fields(settings)}
    own = inspect.get_annotations(settings)  # these come first in the help
    declared = dict(sorted(declarations(settings).items(), key=lambda item: item[0] not in own))
    parameters = [_parameter("context", typer.Context)]
    parameters += [
        _parameter(field, *_typer(kind, option), defaults[field])
        for field, (kind, option) in declared.items()
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    epilog = "\n".join(settings.examples)
    app.command(name, help=settings.__doc__, epilog=epilog, cls=_Command)(command)


def _parameter(
    name: str, kind: Any, option: Any = None, default: Any = MISSING
) -> inspect.Parameter:
    annotation = kind if option is None else Annotated[kind, option]
    if default is MISSING:
        default = inspect.Parameter.empty
    elif isinstance(default, tuple):  # that of the settings; typer would pass it as text
        default = None
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


def _typer(kind: Any, option: Option) -> tuple[Any, Any]:
    """Return the type that typer parses an option to, and its own declaration of it."""
    if option.parse is not None:
        kind = str | None if type(None) in get_args(kind) else str
    elif get_origin(kind) is tuple:
        kind = list[str] | None
    if option.is_argument:
        return kind, typer.Argument(
            metavar=option.metavar, help=option.help, rich_help_panel=option.panel
        )

    values = option.choices or option.suggested

    def complete(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return kind, typer.Option(
        *(word for word in option.names.split() if word.startswith("-")),
        metavar=option.metavar,
        help=option.help,
        rich_help_panel=option.panel,
        autocompletion=complete if values else None,
    )


class _Command(TyperCommand):
    """A command whose help has its options under headings, and examples at its end."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        panels: dict[str, list[tuple[str, str]]] = {}
        arguments_first = sorted(
            self.get_params(ctx), key=lambda parameter: parameter.param_type_name == "option"
        )
        for parameter in arguments_first:
            line = parameter.get_help_record(ctx)
            if line is not None:
                panel = getattr(parameter, "rich_help_panel", None) or OTHER
                panels.setdefault(panel, []).append(line)
        for panel in sorted(panels, key=PANELS.index):
            with formatter.section(panel):
                formatter.write_dl(panels[panel])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        if self.epilog:
            with formatter.section("Examples"):
                for line in self.epilog.splitlines():
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class CommandGroup(TyperGroup):
    """A group of commands whose own switches are off by default.

    Without a default, typer would import pydantic to find that they are not set.
    """

    def get_params(self, ctx: Any) -> Any:
        """Return the switches of the group."""
        parameters = super().get_params(ctx)
        for parameter in parameters:
            if parameter.default is None and getattr(parameter, "is_flag", False):
                parameter.default = False
        return parameters


class DefaultGroup(TyperGroup):
    """A group whose command `draw` runs if options come first."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return the arguments that are left, after those of the group itself."""
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = ["draw", *args]
        return super().parse_args(ctx, args)
