"""What a user may pass as rows."""

from typing import TYPE_CHECKING, Any, TypeAlias

from unsup_fast._types import ArrayLike
from unsup_fast.blocks import Source

if TYPE_CHECKING:
    import pyarrow as pa
    import scipy.sparse as sp
    from pyarrow.dataset import Dataset

    RowsLike: TypeAlias = (
        ArrayLike | Source | sp.sparray | sp.spmatrix | pa.Table | pa.RecordBatch | Dataset
    )
    """Rows of any kind: array-like, tensor, source of blocks, sparse matrix or pyarrow's."""
else:
    RowsLike = Any

__all__ = ["RowsLike"]
