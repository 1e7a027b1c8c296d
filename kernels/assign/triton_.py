"""`assign` on a GPU: what runs when. Nothing waits for the device.

A pass packs the rows into bfloat16, labels them by packed scores, labels the doubtful ones
again in two higher precisions (`triton_scores`), and then moves rows between the sums of the
clusters (`triton_sums`). Passes over the same rows keep packed rows and sums in an `AssignCache`.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from unsup_fast.kernels import _check
from unsup_fast.kernels.assign import Assigned
from unsup_fast.kernels.assign.triton_scores import nearest, nearest_packed, pack, prepare
from unsup_fast.kernels.assign.triton_sums import Totals, power_above, total

PRECISIONS = ("float32", "tf32", "bf16")
LARGE = 160 << 10  # bytes of shared memory of an A100, or more
CHUNK = 1 << 28  # elements packed at a time where packed rows are not cached


class Tiles(NamedTuple):
    """Tile sizes of a program."""

    rows: int
    centroids: int
    columns: int
    warps: int
    stages: int


class Packed(NamedTuple):
    """Rows less the shift, times the scale, in bfloat16."""

    high: Tensor  # [N, WIDTH] bfloat16, or scratch for a chunk of rows
    lengths: Tensor  # [2, N] float32: |x'|, |x' - h|
    whole: bool  # whether `high` holds all rows


class AssignCache:
    """State that passes over the same rows share: a scale, packed rows, and sums.

    Parameters
    ----------
    X : tensor of shape (N, D)
    centers : tensor of shape (K, D)
        The first centroids; only their number and magnitude count.
    sample_weight : tensor of shape (N,) or None
    shift : tensor of shape (D,) or None
    pack_rows : bool
        Whether to keep the packed rows, which take half as much memory as X in float32.
    """

    def __init__(
        self,
        X: Tensor,
        centers: Tensor,
        sample_weight: Tensor | None,
        shift: Tensor | None,
        pack_rows: bool,
    ) -> None:
        with _on(X.device):
            self.totals = Totals(X, len(centers), sample_weight, shift)
            largest = torch.maximum(self.totals.largest.amax(), _moved(centers, shift).abs().amax())
            self.scale = power_above(largest.to(X.dtype)[None], 0)
            self.packed = _packed(X, shift, self.scale) if pack_rows else None


def assign(
    X: Tensor,
    centers: Tensor,
    sample_weight: Tensor | None,
    shift: Tensor | None,
    labels: Tensor | None,
    update: bool,
    measure: bool,
    return_distances: bool,
    labels_current: bool,
    precision: str,
    cache: AssignCache | None,
) -> Assigned:
    """Make one pass over rows on the device; `measure` asks for the inertia."""
    labels = _checked(X, centers, sample_weight, shift, labels, labels_current, precision)
    result: Any = labels  # the record holds tensors in place of arrays
    n, d = X.shape
    totals = None
    with _on(X.device):
        if update:
            totals = cache.totals if cache else Totals(X, len(centers), sample_weight, shift)
        if cache is None:
            scale, packed = power_above(_moved(centers, shift).abs().amax()[None], 0), None
        else:
            scale, packed = cache.scale, cache.packed
        c = _prepared(centers, shift, scale)
        labels_new = labels
        if not labels_current:
            labels_new = torch.empty(n, dtype=torch.int32, device=X.device)
            _label_all(X, shift, scale, packed, c, labels_new, precision)
        block = block_rows(d, X.element_size())
        programs = triton.cdiv(n, block)
        n_changed = torch.zeros(1, dtype=torch.int64, device=X.device)
        inertia = torch.zeros(programs, dtype=torch.float64, device=X.device)
        measured: Any = None
        if return_distances:
            measured = torch.empty(n, dtype=X.dtype, device=X.device)
        if programs:
            total[(programs,)](
                x_ptr=X,
                shift_ptr=shift,
                scale_ptr=scale,
                rows_ptr=c.rows,
                weight_ptr=sample_weight,
                nearest_ptr=labels_new,
                labels_ptr=labels,
                quanta_ptr=None if totals is None else totals.quanta,
                weight_quanta_ptr=None if totals is None else totals.weight_quanta,
                sums_ptr=None if totals is None else totals.sums,
                weights_ptr=None if totals is None else totals.weights,
                distances_ptr=measured,
                inertia_ptr=inertia,
                n_changed_ptr=n_changed,
                n=n,
                k=len(centers),
                d=d,
                fresh=0 if totals is None else int(totals.fresh),
                SHIFTED=shift is not None,
                WEIGHTED=sample_weight is not None,
                UPDATE=totals is not None,
                MEASURE=measure,
                DISTANCES=return_distances,
                LIMBS=1 if totals is None else len(totals.sums),
                BN=block,
                BD=columns_at_once(d),
                num_warps=8,
                enable_fp_fusion=False,
            )
        whole = inertia.sum() if measure else inertia.new_full((), torch.nan)
        sums: Any = None
        weights: Any = None
        if totals is not None:
            totals.fresh = False
            sums, weights = totals.values()
    return Assigned(
        labels=result,
        sums=sums,
        weights=weights,
        inertia=whole,
        n_changed=n_changed[0],
        distances=measured,
    )


def _checked(
    X: Tensor,
    centers: Tensor,
    sample_weight: Tensor | None,
    shift: Tensor | None,
    labels: Tensor | None,
    labels_current: bool,
    precision: str,
) -> Tensor:
    """Return `labels`, or new ones of -1, or raise if an argument does not fit."""
    _check.rows_on_device(X)
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r} is not one of {PRECISIONS}")
    n, d = X.shape
    if not _check.is_tensor(centers) or centers.ndim != 2 or len(centers) == 0:
        raise ValueError(f"centers must be a tensor of shape (K, {d}) with K >= 1")
    for name, value, shape in (
        ("centers", centers, (len(centers), d)),
        ("sample_weight", sample_weight, (n,)),
        ("shift", shift, (d,)),
    ):
        if value is not None:
            _check.tensor(name, value, shape, X.dtype, X.device)
    if labels is not None:
        _check.tensor("labels", labels, (n,), torch.int32, X.device)
        return labels
    if labels_current:
        raise ValueError("labels_current=True needs labels; pass those of the last pass")
    return torch.full((n,), -1, dtype=torch.int32, device=X.device)


class Centroids(NamedTuple):
    """Centroids as `prepare` writes them."""

    rows: Tensor
    high: Tensor
    low: Tensor
    half: Tensor
    limits: Tensor


def _on(device: torch.device) -> AbstractContextManager[Any]:
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def columns_at_once(d: int, most: int = 64) -> int:
    """Return how many of D columns a program takes at a time."""
    return int(min(most, max(16, triton.next_power_of_2(d))))


def width(d: int) -> int:
    """Return D rounded up so that rows of bfloat16 are aligned, as the tensor cores like them."""
    return (d + 15) // 16 * 16


def block_rows(d: int, itemsize: int) -> int:
    """Return how many rows a program of `total` or `pack` takes, so that registers suffice."""
    return 8192 // itemsize // columns_at_once(d)


def _moved(centers: Tensor, shift: Tensor | None) -> Tensor:
    return centers if shift is None else centers - shift


def tiles_packed(d: int, shared: int) -> Tiles:
    """Return the tiles of `nearest_packed` for D columns and `shared` bytes of shared memory."""
    if d > 256:
        return Tiles(128, 128, 64, 8, 3)
    columns = columns_at_once(d, 256)
    wide = shared > LARGE
    return Tiles(128, 128 if wide or columns < 256 else 64, columns, 8, 3 if columns < 256 else 2)


def tiles(mode: str, d: int, itemsize: int) -> Tiles:
    """Return the tiles of `nearest` for D columns in a type of `itemsize` bytes."""
    if mode == "exact":
        return Tiles(32, 64, 16, 4, 2) if itemsize == 4 else Tiles(16, 32, 16, 4, 2)
    return Tiles(64, 32, columns_at_once(d, 32), 4, 2)


def _prepared(centers: Tensor, shift: Tensor | None, scale: Tensor) -> Centroids:
    k, d = centers.shape
    part: dict[str, Any] = {"dtype": torch.bfloat16, "device": centers.device}
    c = Centroids(
        torch.empty_like(centers),
        torch.empty((k, width(d)), **part),
        torch.empty((k, width(d)), **part),
        centers.new_empty(k),
        torch.zeros(3, dtype=torch.int32, device=centers.device),
    )
    prepare[(triton.cdiv(k, 16),)](
        centers_ptr=centers,
        shift_ptr=shift,
        scale_ptr=scale,
        rows_ptr=c.rows,
        high_ptr=c.high,
        low_ptr=c.low,
        half_ptr=c.half,
        limits_ptr=c.limits,
        k=k,
        d=d,
        width=width(d),
        SHIFTED=shift is not None,
        BK=16,
        BD=columns_at_once(d),
        num_warps=4,
        enable_fp_fusion=False,
    )
    return c


def _pack(
    X: Tensor, shift: Tensor | None, scale: Tensor, packed: Packed, first: int, last: int
) -> None:
    n, d = X.shape
    block = block_rows(d, 4)
    pack[(triton.cdiv(last - first, block),)](
        x_ptr=X,
        shift_ptr=shift,
        scale_ptr=scale,
        high_ptr=packed.high,
        lengths_ptr=packed.lengths,
        first=first,
        last=last,
        n=n,
        d=d,
        width=width(d),
        SHIFTED=shift is not None,
        BN=block,
        BD=columns_at_once(d),
        num_warps=4,
        enable_fp_fusion=False,
    )


def _packed(X: Tensor, shift: Tensor | None, scale: Tensor) -> Packed:
    packed = Packed(
        torch.empty((len(X), width(X.shape[1])), dtype=torch.bfloat16, device=X.device),
        torch.empty((2, len(X)), dtype=torch.float32, device=X.device),
        True,
    )
    if len(X):
        _pack(X, shift, scale, packed, 0, len(X))
    return packed


def _list(X: Tensor) -> tuple[Tensor, Tensor]:
    """Return room for a list [N] of rows, and its length [1], zero."""
    index = torch.int32 if len(X) < 2**31 else torch.int64
    return (
        torch.empty(len(X), dtype=index, device=X.device),
        torch.zeros(1, dtype=torch.int64, device=X.device),
    )


def _label_all(
    X: Tensor,
    shift: Tensor | None,
    scale: Tensor,
    packed: Packed | None,
    c: Centroids,
    labels: Tensor,
    precision: str,
) -> None:
    """Label all rows, as precisely as asked for."""
    if precision == "tf32":
        _label(X, shift, scale, None, c, labels, "tf32", None)
        return
    doubtful = _label_packed(X, shift, scale, packed, c, labels, precision == "float32")
    if doubtful is not None:
        lengths, listed = doubtful
        still = _label(X, shift, scale, lengths, c, labels, "bf16x3", listed)
        _label(X, shift, scale, lengths, c, labels, "exact", still)


def _label_packed(
    X: Tensor,
    shift: Tensor | None,
    scale: Tensor,
    packed: Packed | None,
    c: Centroids,
    labels: Tensor,
    certify: bool,
) -> tuple[Tensor, tuple[Tensor, Tensor]] | None:
    """Label all rows from bfloat16; return lengths and the doubtful rows if `certify`."""
    n, d = X.shape
    chunk = n
    if packed is None:
        chunk = min(n, max(1, CHUNK // d))
        packed = Packed(
            torch.empty((chunk, width(d)), dtype=torch.bfloat16, device=X.device),
            torch.empty((2, n), dtype=torch.float32, device=X.device),
            False,
        )
    doubtful = _list(X) if certify else None
    tile = tiles_packed(d, _shared(X.device))
    for first in range(0, n, max(1, chunk)):
        last = min(n, first + chunk)
        if not packed.whole:
            _pack(X, shift, scale, packed, first, last)
        nearest_packed[(triton.cdiv(last - first, tile.rows),)](
            high_ptr=packed.high,
            lengths_ptr=packed.lengths,
            c_high_ptr=c.high,
            half_ptr=c.half,
            limits_ptr=c.limits,
            labels_ptr=labels,
            doubtful_ptr=None if doubtful is None else doubtful[0],
            n_doubtful_ptr=None if doubtful is None else doubtful[1],
            first=first,
            last=last,
            n=n,
            k=len(c.rows),
            width=width(d),
            CERTIFY=certify,
            ONE=tile.columns >= width(d),
            BN=tile.rows,
            BK=tile.centroids,
            BD=tile.columns,
            num_warps=tile.warps,
            num_stages=tile.stages,
            enable_fp_fusion=True,
        )
    return None if doubtful is None else (packed.lengths, doubtful)


def _label(
    X: Tensor,
    shift: Tensor | None,
    scale: Tensor,
    lengths: Tensor | None,
    c: Centroids,
    labels: Tensor,
    mode: str,
    listed: tuple[Tensor, Tensor] | None,
) -> tuple[Tensor, Tensor] | None:
    """Label all rows, or the listed ones; return the rows that are doubtful after "bf16x3"."""
    n, d = X.shape
    tile = tiles(mode, d, X.element_size())
    doubtful = _list(X) if mode == "bf16x3" else None
    if n:
        nearest[(_programs(X.device, triton.cdiv(n, tile.rows)),)](
            x_ptr=X,
            shift_ptr=shift,
            scale_ptr=scale,
            lengths_ptr=lengths,
            rows_ptr=c.rows,
            high_ptr=c.high,
            low_ptr=c.low,
            half_ptr=c.half,
            limits_ptr=c.limits,
            list_ptr=None if listed is None else listed[0],
            list_length_ptr=None if listed is None else listed[1],
            labels_ptr=labels,
            doubtful_ptr=None if doubtful is None else doubtful[0],
            n_doubtful_ptr=None if doubtful is None else doubtful[1],
            n=n,
            k=len(c.rows),
            d=d,
            width=width(d),
            MODE=mode,
            SHIFTED=shift is not None,
            LISTED=listed is not None,
            BN=tile.rows,
            BK=tile.centroids,
            BD=tile.columns,
            num_warps=tile.warps,
            num_stages=tile.stages,
            enable_fp_fusion=True,
        )
    return doubtful


def _programs(device: torch.device, wanted: int) -> int:
    """Return how many programs share `wanted` blocks, each taking one after another."""
    if device.type != "cuda":
        return min(wanted, 2)
    properties = torch.cuda.get_device_properties(device)
    return min(wanted, 4 * int(properties.multi_processor_count))


def _shared(device: torch.device) -> int:
    if device.type != "cuda":
        return LARGE
    properties: Any = torch.cuda.get_device_properties(device)  # torch's stub lacks the field
    return int(properties.shared_memory_per_block_optin)
