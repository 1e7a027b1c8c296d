"""`unsup-fast transform`: the coordinates of new rows by a saved model."""

from unsup_fast.cli import matrices, models, terminal
from unsup_fast.cli.data import for_model
from unsup_fast.cli.transform.settings import TransformSettings
from unsup_fast.report.numbers import count, counted


def run(settings: TransformSettings) -> int:
    """Run the command and return its exit status.

    Raises
    ------
    UserError, DataError
        If an option or an input is unusable.
    """
    out, read = settings.out, models.inputs(settings.model, settings.data)
    matrices.check_outputs([out], settings.overwrite, read)
    model = models.load(settings.model)
    source = for_model(model, settings)
    names = list(model.set_params(n_threads=settings.threads).get_feature_names_out())
    blocks = matrices.computed(source, model.transform, len(names))
    with matrices.zero_rows(settings.data, source):
        matrices.write(out, blocks, source.n_rows_of_data, names)
    if not settings.quiet:
        console = terminal.console()
        for note in source.notes:
            console.print(terminal.plain(note, "dim"))
        console.print(
            terminal.plain(
                f"{counted(source.n_rows, 'row')} of {settings.data.name} written to {out}, "
                f"{count(len(names))} of {count(source.n_columns)} columns"
            )
        )
    return 0
