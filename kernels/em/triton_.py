"""`em` on a GPU: what runs when. Nothing waits for the device.

A chunk of rows at a time, log densities are written to a work space that stays in the cache
(`triton_densities`), become shares of the components there, and weigh the rows in the moments
(`triton_moments`). The work space does not grow with the number of rows.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from unsup_fast.kernels import _check
from unsup_fast.kernels.em.result import EStep, shape_of
from unsup_fast.kernels.em.triton_densities import densities_full, densities_plain, project
from unsup_fast.kernels.em.triton_moments import shares
from unsup_fast.kernels.em.triton_sums import Sums
from unsup_fast.kernels.em.triton_tiles import Frame, frame_about, in_one, precision, tiles
from unsup_fast.kernels.powers import power_of_two

WORK = 1 << 23  # numbers in the work space,
ROWS = 1024  # unless that many rows need more
SHARES = (64, 16)  # rows and components that a program of `shares` takes at a time


class Model(NamedTuple):
    """A mixture in the layout of the kernels."""

    frame: Frame
    turned: tuple[Frame, Frame] | None  # "tied" only: of s', and of U'^T (mu' - s')
    factors: Tensor  # type of X: U'
    offsets: Tensor  # [K], type of X: constant terms less the largest
    constant: Tensor  # [1] float64: the largest
    least: Tensor  # [K], type of X: responsibilities below add nothing


class Asked(NamedTuple):
    """Arrays with a row for each row of X, or None."""

    log_prob: Tensor | None
    resp: Tensor | None
    labels: Tensor | None


def em(
    X: Tensor,
    log_weights: Tensor,
    means: Tensor,
    factors: Tensor,
    covariance_type: str,
    sample_weight: Tensor | None,
    moments: bool,
    return_log_prob: bool,
    return_resp: bool,
    return_labels: bool,
) -> EStep:
    """Make one pass over rows on the device."""
    k = _check_rows(X, means, sample_weight)
    shape = shape_of(covariance_type, k, X.shape[1])
    _check.tensor("log_weights", log_weights, (k,), torch.float64, X.device)
    _check.tensor("factors", factors, shape, torch.float64, X.device)
    n, device = len(X), X.device
    with _on(device):
        model = _model(X, log_weights, means, factors, covariance_type)
        asked = Asked(
            torch.empty(n, dtype=X.dtype, device=device) if return_log_prob else None,
            torch.empty((n, k), dtype=X.dtype, device=device) if return_resp else None,
            torch.empty(n, dtype=torch.int32, device=device) if return_labels else None,
        )
        keep = moments or return_resp
        chunk, work = _work(X, k)
        norms = torch.empty((2, chunk), dtype=X.dtype, device=device)
        totals = torch.empty(chunk, dtype=torch.float64, device=device)
        likelihood = torch.zeros(triton.cdiv(chunk, 16), dtype=torch.float64, device=device)
        sums = Sums(X, model.frame, covariance_type, chunk) if moments else None
        for first in range(0, n, chunk):
            count = min(chunk, n - first)
            _densities(
                X,
                model,
                covariance_type,
                sample_weight,
                work if keep else None,
                norms,
                asked,
                likelihood,
                first,
                count,
            )
            if keep:
                resp = asked.resp
                _shares(work, norms, model.least, sample_weight, resp, None, totals, first, count)
            if sums is not None:
                sums.add(X, work, totals, first, count)
        resp_sums, sums_, second = sums.values() if sums is not None else (None,) * 3
        values = (likelihood.sum(), _weight(X, sample_weight), resp_sums, sums_, second)
        return EStep(*values, *asked)


def gmm_moments(
    X: Tensor,
    means: Tensor,
    covariance_type: str,
    resp: Tensor | None,
    labels: Tensor | None,
    sample_weight: Tensor | None,
) -> EStep:
    """Add up the moments of `em` for known responsibilities."""
    k = _check_rows(X, means, sample_weight)
    shape_of(covariance_type, k, X.shape[1])
    if resp is not None:
        _check.tensor("resp", resp, (len(X), k), X.dtype, X.device)
    else:
        _check.tensor("labels", labels, (len(X),), torch.int32, X.device)
    with _on(X.device):
        chunk, work = _work(X, k)
        totals = torch.empty(chunk, dtype=torch.float64, device=X.device)
        sums = Sums(X, frame_about(means, _unit(X, means)), covariance_type, chunk)
        for first in range(0, len(X), chunk):
            count = min(chunk, len(X) - first)
            _shares(work, None, None, sample_weight, resp, labels, totals, first, count)
            sums.add(X, work, totals, first, count)
        nothing = torch.full((), torch.nan, dtype=torch.float64, device=X.device)
        return EStep(nothing, _weight(X, sample_weight), *sums.values(), None, None, None)


def _on(device: torch.device) -> AbstractContextManager[Any]:
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _check_rows(X: Tensor, means: Tensor, sample_weight: Tensor | None) -> int:
    """Return how many means there are, or raise if an argument does not fit."""
    _check.rows_on_device(X)
    d = X.shape[1]
    if not _check.is_tensor(means) or means.ndim != 2 or len(means) == 0:
        raise ValueError(f"means must be a float64 tensor of shape (K, {d}) with K >= 1")
    _check.tensor("means", means, (len(means), d), torch.float64, X.device)
    if sample_weight is not None:
        _check.tensor("sample_weight", sample_weight, (len(X),), X.dtype, X.device)
    return len(means)


def _weight(X: Tensor, sample_weight: Tensor | None) -> Tensor:
    if sample_weight is None:
        return torch.full((), len(X), dtype=torch.float64, device=X.device)
    return sample_weight.sum(dtype=torch.float64)


def _power(exponent: Tensor, X: Tensor) -> Tensor:
    """Return 2^exponent [1] in X's type, near enough to one that its inverse is a number."""
    limit = 100 if X.dtype == torch.float32 else 900
    return power_of_two(exponent.nan_to_num().clamp(-limit, limit), X.dtype)


def _unit(X: Tensor, means: Tensor) -> Tensor:
    """Return a power of two [1] that brings what is left of the rows near one or below."""
    if len(X) == 0:
        return torch.ones(1, dtype=X.dtype, device=X.device)
    low, high = torch.aminmax(X, dim=0)  # [D]
    low, high = low.double() - means.amax(dim=0), high.double() - means.amin(dim=0)
    largest = torch.maximum(low.abs().amax(), high.abs().amax())
    return _power(-torch.frexp(largest).exponent.reshape(1), X)


def _model(
    X: Tensor, log_weights: Tensor, means: Tensor, factors: Tensor, covariance_type: str
) -> Model:
    d = X.shape[1]
    matrices = covariance_type in ("full", "tied")
    diagonal = torch.diagonal(factors, dim1=-2, dim2=-1) if matrices else factors
    scale = _power(torch.log2(diagonal).mean().round().reshape(1), X)
    logs = torch.log(diagonal / scale.double())
    log_det = logs * d if covariance_type == "spherical" else logs.sum(dim=-1)  # [K], tied: []
    constants = log_weights + log_det
    top = constants.amax().reshape(1)
    top = torch.where(torch.isfinite(top), top, 0.0)
    constant = top + d * (torch.log(scale.double()) - math.log(2 * math.pi) / 2)
    least = torch.exp(log_weights) * (torch.finfo(X.dtype).eps / 128)
    frame, rounded = frame_about(means, scale), (factors / scale.double()).to(X.dtype)
    turned = None
    if covariance_type == "tied":
        middle = frame_about(means.mean(dim=0, keepdim=True), scale)
        gaps = frame.centers() - middle.centers()  # [K, D]
        gaps = gaps @ rounded.double().triu()
        turned = middle, frame_about(gaps, torch.ones_like(scale))
    offsets = (constants - top).to(X.dtype)
    return Model(frame, turned, rounded, offsets, constant, least.to(X.dtype))


def _work(X: Tensor, k: int) -> tuple[int, Tensor]:
    """Return how many rows a chunk has, and room for K numbers for each of them, [K, chunk]."""
    n, d = X.shape
    chunk = max(1, min(n, max(ROWS, WORK // (k + d) // 64 * 64)))
    return chunk, torch.empty((k, chunk), dtype=X.dtype, device=X.device)


def _densities(
    X: Tensor,
    model: Model,
    covariance_type: str,
    sample_weight: Tensor | None,
    work: Tensor | None,
    norms: Tensor,
    asked: Asked,
    likelihood: Tensor,
    first: int,
    count: int,
) -> None:
    d = X.shape[1]
    k, chunk = len(model.offsets), norms.shape[1]
    flags = {
        "WEIGHTED": sample_weight is not None,
        "KEEP": work is not None,
        "LOG_PROB": asked.log_prob is not None,
        "LABELS": asked.labels is not None,
        "enable_fp_fusion": True,
    }
    tile = tiles("densities_full", d, X.element_size())
    products = {
        "PRECISION": precision(X.element_size()),
        "BN": tile.rows,
        "BD": tile.columns,
        "BI": tile.summed,
        "num_warps": tile.warps,
        "num_stages": 2,
    }
    if covariance_type == "full":
        densities_full[(triton.cdiv(count, tile.rows),)](
            x_ptr=X,
            scale_ptr=model.frame.scale,
            high_ptr=model.frame.high,
            low_ptr=model.frame.low,
            factors_ptr=model.factors,
            offsets_ptr=model.offsets,
            constant_ptr=model.constant,
            weight_ptr=sample_weight,
            work_ptr=work,
            norms_ptr=norms,
            log_prob_ptr=asked.log_prob,
            labels_ptr=asked.labels,
            likelihood_ptr=likelihood,
            first=first,
            count=count,
            chunk=chunk,
            k=k,
            d=d,
            ONE=in_one(tile.columns, d),
            **products,
            **flags,
        )
        return
    rows, start, frame, factors = X, first, model.frame, model.factors
    if model.turned is not None:
        rows = torch.empty((count, d), dtype=X.dtype, device=X.device)
        grid = (triton.cdiv(count, tile.rows), triton.cdiv(d, tile.columns))
        middle, frame = model.turned
        project[grid](
            x_ptr=X,
            scale_ptr=middle.scale,
            high_ptr=middle.high,
            low_ptr=middle.low,
            factors_ptr=model.factors,
            y_ptr=rows,
            first=first,
            count=count,
            d=d,
            **products,
        )
        start, factors = 0, torch.ones_like(model.offsets)
    tile = tiles("densities_plain", d, X.element_size())
    densities_plain[(triton.cdiv(count, tile.rows),)](
        x_ptr=rows,
        scale_ptr=frame.scale,
        high_ptr=frame.high,
        low_ptr=frame.low,
        factors_ptr=factors,
        offsets_ptr=model.offsets,
        constant_ptr=model.constant,
        weight_ptr=sample_weight,
        work_ptr=work,
        norms_ptr=norms,
        log_prob_ptr=asked.log_prob,
        labels_ptr=asked.labels,
        likelihood_ptr=likelihood,
        from_=start,
        first=first,
        count=count,
        chunk=chunk,
        k=k,
        d=d,
        DIAG=covariance_type == "diag",
        BN=tile.rows,
        BK=tile.components,
        BD=tile.columns,
        num_warps=tile.warps,
        **flags,
    )


def _shares(
    work: Tensor,
    norms: Tensor | None,
    least: Tensor | None,
    sample_weight: Tensor | None,
    resp: Tensor | None,
    labels: Tensor | None,
    totals: Tensor,
    first: int,
    count: int,
) -> None:
    """Fill the work space with shares: of log densities where there are norms."""
    k, chunk = work.shape
    source = "labels" if resp is None else "resp"
    shares[(triton.cdiv(count, SHARES[0]),)](
        work_ptr=work,
        norms_ptr=norms,
        least_ptr=least,
        weight_ptr=sample_weight,
        resp_ptr=resp,
        labels_ptr=labels,
        totals_ptr=totals,
        first=first,
        count=count,
        chunk=chunk,
        k=k,
        SOURCE=source if norms is None else "log",
        WEIGHTED=sample_weight is not None,
        RESP=resp is not None,
        TOTALS=totals is not None,
        BN=SHARES[0],
        BK=SHARES[1],
        num_warps=4,
        enable_fp_fusion=True,
    )
