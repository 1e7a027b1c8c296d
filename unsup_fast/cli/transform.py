"""`unsup-fast transform`: the coordinates of new rows by a saved model."""

from pathlib import Path

from unsup_fast.cli import matrices, models, terminal
from unsup_fast.cli.data import for_model
from unsup_fast.report.numbers import count, counted


def run(
    model_path: Path,
    data: Path,
    out: Path,
    *,
    columns: str | None,
    key: str | None,
    chunk_size: int | None,
    header: bool | None,
    separator: str | None,
    missing: str,
    threads: int | None,
    quiet: bool,
    overwrite: bool,
) -> int:
    """Run the command and return its exit status.

    Raises
    ------
    UserError, DataError
        If an option or an input is unusable.
    """
    matrices.check_outputs([out], overwrite, models.inputs(model_path, data))
    model = models.load(model_path)
    source = for_model(model, data, columns, key, chunk_size, header, separator, missing)
    names = list(model.set_params(n_threads=threads).get_feature_names_out())
    blocks = matrices.computed(source, model.transform, len(names))
    with matrices.zero_rows(data, source):
        matrices.write(out, blocks, source.n_rows_of_data, names)
    if not quiet:
        console = terminal.console()
        for note in source.notes:
            console.print(terminal.plain(note, "dim"))
        console.print(
            terminal.plain(
                f"{counted(source.n_rows, 'row')} of {data.name} written to {out}, "
                f"{count(len(names))} of {count(source.n_columns)} columns"
            )
        )
    return 0
