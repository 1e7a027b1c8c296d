"""The portable `em`, compiled by Numba.

Formulas, types, scaling and error bounds are those of csrc/em/em.hpp. Rows stand in the lanes of
vectors for the densities, a tile of them at a time (`numba_densities`); for the moments, the rows
of a block that a component has a share of are gathered (`numba_moments`). Products are summed in
X's type over at most 256 rows, then in float64, block by block in order.
"""

import numpy as np

from unsup_fast.kernels import _chunks
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.em import numba_densities, numba_moments
from unsup_fast.kernels.em.numba_model import Model, Moments, finish, model_of

BLOCK = 1024  # rows whose moments are computed together
WORK = 1 << 28  # multiply-adds of one call, which Ctrl-C waits for


def em(
    X: Array,
    log_weights: Array | None,
    means: Array,
    factors: Array | None,
    covariance_type: str,
    sample_weight: Array | None,
    from_resp: bool,
    resp_sums: Array | None,
    sums: Array | None,
    second: Array | None,
    log_prob: Array | None,
    resp: Array | None,
    labels: Array | None,
    n_threads: int,
) -> float:
    """Fill the arrays that are not None; return the log likelihood.

    With `from_resp`, resp or labels are inputs that say what r_ik is.
    """
    n, (k, d) = len(X), means.shape
    model = model_of(X, log_weights, means, factors, covariance_type)
    dtype = X.dtype
    weight = np.empty(0, dtype) if sample_weight is None else sample_weight
    log_prob_out = np.empty(0, dtype) if log_prob is None else log_prob
    resp_out = np.empty((0, k), dtype) if resp is None else resp
    labels_out = np.empty(0, np.int32) if labels is None else labels
    wanted = resp_sums is not None
    total = _zeros(model, covariance_type, wanted)
    log_likelihood = 0.0

    def merge(part: tuple[float, Moments]) -> None:
        nonlocal log_likelihood
        log_likelihood += part[0]
        for to, value in zip(total, part[1], strict=True):
            to += value

    in_order = _chunks.InOrder(merge)
    width = d * d if covariance_type == "full" else d  # multiply-adds of a row and component
    step = BLOCK * min(16, max(2, (1 << 24) // (BLOCK * k * width)))

    def work(chunk: int) -> None:
        part = _zeros(model, covariance_type, wanted)
        likelihood = 0.0
        end = min(n, (chunk + 1) * step)
        for i in range(chunk * step, end, BLOCK):
            past = min(end, i + BLOCK)
            shares = np.empty((k, _up(past - i, numba_densities.LEAST)), dtype)  # [K, B]
            if from_resp:
                numba_moments.input_shares(
                    resp_out, labels_out, weight, resp is not None, i, past, shares
                )
            else:
                _densities(X, model, covariance_type, i, past, shares)
                likelihood += numba_densities.share(
                    shares, model.least, model.largest, weight, i, past, wanted, log_prob_out,
                    resp_out, labels_out,
                )  # fmt: skip
            if wanted:
                _moments(X, model, covariance_type, i, past, shares, part)
        in_order.put(chunk, (likelihood, part))

    _chunks.run(work, -(-n // step), n_threads)
    if resp_sums is not None and sums is not None and second is not None:
        finish(model, means, covariance_type, total, resp_sums, sums, second)
    return np.nan if from_resp else log_likelihood


def _zeros(model: Model, covariance_type: str, wanted: bool) -> Moments:
    k, d = model.high.shape
    if not wanted:
        return Moments(np.zeros(0), np.zeros((0, d)), np.zeros((0, d, d)))
    shapes = {"full": (k, d, d), "tied": (1, d, d)}
    return Moments(
        resp_sums=np.zeros(k),
        sums=np.zeros((k, d)),
        second=np.zeros(shapes.get(covariance_type, (k, d, 1))),
    )


def _densities(
    X: Array, model: Model, covariance_type: str, begin: int, end: int, shares: Array
) -> None:
    """Fill shares [K, B] with log p_ik of the rows, less the largest constant."""
    k, depth = len(model.high), model.factors.shape[-1]
    if covariance_type != "full":
        tied = covariance_type == "tied"
        numba_densities.diagonal(
            X, model.scale, model.origin, model.factors, model.start, tied, model.near,
            model.diagonals, model.rest, model.constant, begin, end, shares,
        )  # fmt: skip
        return
    step = max(1, WORK // (BLOCK * depth * depth))
    for first in range(0, k, step):
        numba_densities.full(
            X, model.scale, model.high, model.factors, model.start, model.constant, begin, end,
            first, min(k, first + step), shares,
        )  # fmt: skip


def _moments(
    X: Array,
    model: Model,
    covariance_type: str,
    begin: int,
    end: int,
    shares: Array,
    part: Moments,
) -> None:
    """Add the moments of rows about the rounded means to those of a chunk."""
    k, d = model.high.shape
    if covariance_type == "full":
        step = max(1, WORK // (BLOCK * d * d))
        for first in range(0, k, step):
            numba_moments.full(
                X, model.scale, model.high, begin, end, first, min(k, first + step), shares, *part
            )
        return
    squares = covariance_type != "tied"
    numba_moments.diagonal(X, model.scale, model.high, begin, end, shares, squares, *part)
    if not squares:
        numba_moments.tied(X, model.scale, model.origin, begin, end, shares, part.second)


def _up(value: int, to: int) -> int:
    return -(-value // to) * to
