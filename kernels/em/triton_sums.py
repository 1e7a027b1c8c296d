"""Sums of moments on a GPU: their layout, and which programs add to them."""

from typing import Any

import torch
import triton
from torch import Tensor

from unsup_fast.kernels.em.triton_moments import moments_full, moments_plain
from unsup_fast.kernels.em.triton_tiles import Frame, frame_about, precision, tiles

PROGRAMS = 1024  # that sums are divided among

Slots = tuple[Tensor, Tensor, Tensor | None]


class Sums:
    """Sums of the programs, [S, ...] in float64, S a number that depends on N, D and K alone.

    Parameters
    ----------
    X : tensor of shape (N, D)
    frame : Frame
    covariance_type : str
    chunk : int
        Rows that the shares are known for at a time.
    """

    def __init__(self, X: Tensor, frame: Frame, covariance_type: str, chunk: int) -> None:
        k, d = frame.high.shape
        self.frame = frame
        self.covariance_type = covariance_type
        self.main = _slots(X, k, d, covariance_type, chunk, X.element_size())
        if covariance_type == "tied":
            means = frame.centers() / frame.scale.double()
            self.middle = frame_about(means.mean(dim=0, keepdim=True), frame.scale)
            self.pairs = _slots(X, 1, d, "full", chunk, 8)

    def add(self, X: Tensor, work: Tensor, totals: Tensor, first: int, count: int) -> None:
        """Add rows first, ..., first + count - 1, whose shares are in the work space."""
        if self.covariance_type == "full":
            _add_pairs(X, self.frame, work, self.main, first, count)
            return
        _add_columns(X, self.frame, work, self.main, first, count)
        if self.covariance_type == "tied":
            _add_pairs(X, self.middle, totals[None], self.pairs, first, count)

    def values(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return resp_sums, sums and second of `EStep`."""
        scale = self.frame.scale.double()
        resp_sums, sums = self.main[0].sum(dim=0), self.main[1].sum(dim=0)  # [K], [K, D]
        if self.covariance_type == "tied":
            m = self.frame.centers() - self.middle.centers()  # [K, D]
            cross = sums.T @ m
            moved = cross + cross.T + (m * resp_sums[:, None]).T @ m
            second = _mirrored(_present(self.pairs[2]).sum(dim=0)[0] - moved)  # [D, D]
        else:
            second = _present(self.main[2]).sum(dim=0)
            if self.covariance_type == "full":
                second = _mirrored(second)
            elif self.covariance_type == "spherical":
                second = second.sum(dim=1)
        return resp_sums, sums / scale, second / scale / scale


def _present(second: Tensor | None) -> Tensor:
    assert second is not None
    return second


def _slots(X: Tensor, k: int, d: int, covariance_type: str, chunk: int, itemsize: int) -> Slots:
    """Return zeros for the sums of each of S programs: resp_sums, sums and second."""
    full = covariance_type == "full"
    tile = tiles("moments_full" if full else "moments_plain", d, itemsize)
    columns = triton.cdiv(d, tile.columns)
    each = columns * (columns + 1) // 2 if full else columns
    owners = triton.cdiv(k, tile.components) * each
    split = max(1, min(PROGRAMS // owners, triton.cdiv(chunk, tile.rows)))
    where: dict[str, Any] = {"dtype": torch.float64, "device": X.device}
    second = None
    if covariance_type != "tied":
        second = torch.zeros((split, k, d, d) if full else (split, k, d), **where)
    return torch.zeros((split, k), **where), torch.zeros((split, k, d), **where), second


def _mirrored(second: Tensor) -> Tensor:
    """Return matrices [..., D, D] with what is above the diagonal copied below it."""
    return second.triu() + second.triu(1).mT


def _add_pairs(X: Tensor, frame: Frame, work: Tensor, slots: Slots, first: int, count: int) -> None:
    d = X.shape[1]
    tile = tiles("moments_full", d, work.element_size())
    split, k = slots[0].shape
    moments_full[(k * triton.cdiv(d, tile.columns) ** 2, split)](
        x_ptr=X,
        scale_ptr=frame.scale,
        high_ptr=frame.high,
        low_ptr=frame.low,
        shares_ptr=work,
        resp_sums_ptr=slots[0],
        sums_ptr=slots[1],
        second_ptr=slots[2],
        first=first,
        count=count,
        chunk=work.shape[1],
        k=k,
        d=d,
        PRECISION=precision(work.element_size()),
        BN=tile.rows,
        BD=tile.columns,
        num_warps=tile.warps,
        num_stages=2,
        enable_fp_fusion=True,
    )


def _add_columns(
    X: Tensor, frame: Frame, work: Tensor, slots: Slots, first: int, count: int
) -> None:
    d = X.shape[1]
    tile = tiles("moments_plain", d, X.element_size())
    split, k = slots[0].shape
    moments_plain[(triton.cdiv(k, tile.components) * triton.cdiv(d, tile.columns), split)](
        x_ptr=X,
        scale_ptr=frame.scale,
        high_ptr=frame.high,
        low_ptr=frame.low,
        shares_ptr=work,
        resp_sums_ptr=slots[0],
        sums_ptr=slots[1],
        second_ptr=slots[2],
        first=first,
        count=count,
        chunk=work.shape[1],
        k=k,
        d=d,
        SECOND=slots[2] is not None,
        BN=tile.rows,
        BK=tile.components,
        BD=tile.columns,
        num_warps=tile.warps,
        enable_fp_fusion=True,
    )
