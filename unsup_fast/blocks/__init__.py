"""Data of any size and kind as a sequence of row blocks."""

from unsup_fast.blocks._arrays import unmasked
from unsup_fast.blocks._feed import DataError
from unsup_fast.blocks._files import kind_of
from unsup_fast.blocks._open import source
from unsup_fast.blocks._source import Source
from unsup_fast.blocks._sparse import check_sparse
from unsup_fast.blocks._weights import check_weights, read_vector, weights_from

__all__ = [
    "DataError",
    "Source",
    "check_sparse",
    "check_weights",
    "kind_of",
    "read_vector",
    "source",
    "unmasked",
    "weights_from",
]
