"""Errors about rows that callers catch by type."""


class ZeroRowError(ValueError):
    """A row has no direction."""

    def __init__(self, row: int, name: str) -> None:
        super().__init__(
            f"row {row} of {name} is zero and has no direction; metric='cosine' needs rows with a "
            "value other than 0: leave such rows out, or pass metric='euclidean'"
        )
        self.row, self.name = row, name
