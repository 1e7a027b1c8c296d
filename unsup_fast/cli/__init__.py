"""The command line, `unsup-fast`."""

import sys
from collections.abc import Sequence

__all__ = ["main", "run"]


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status.

    0 is success, 1 a check that failed, 2 bad input (one line on stderr says what and where), 130
    Ctrl-C, 143 SIGTERM.
    """
    from unsup_fast.cli.errors import forgiving

    with forgiving():
        return _run(arguments)


def _run(arguments: Sequence[str]) -> int:
    from unsup_fast import _extras
    from unsup_fast.cli.errors import explain

    try:
        for package in ("typer", "rich", "filelock"):
            _extras.check(package, "cli", "the command line")
        from unsup_fast.cli.app import app

        # Not standalone: typer would turn errors into boxes of several lines.
        words = list(arguments) or ["--help"]
        status = app(words, prog_name="unsup-fast", standalone_mode=False, obj=words)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        print(message, file=sys.stderr)
        return 2
    return status if isinstance(status, int) else 0
