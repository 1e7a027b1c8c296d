"""`python -m unsup_fast`: the command line, of which `info` needs the core install only."""

import sys


def main() -> int:
    """Run the command line, and return its exit status."""
    if sys.argv[1:] == ["info"]:
        from unsup_fast.cli.info import show

        print(show())
        return 0
    from unsup_fast.cli import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
