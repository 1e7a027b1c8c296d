"""Rows as `prune` scores them: in the leading directions of a basis, or as bytes.

With an orthonormal basis Q of R directions, z = Q^T x' and the tail t = |x' - Q z|, distances
between the rows y = (z, t) are at most those between the rows x'. So, but for what rounding adds,
are those between rows y = (unit * codes, t), with codes that are whole numbers up to 127. How far
a row y may be from the truth is known (`slack`).
"""

from dataclasses import replace

import numpy as np

from unsup_fast.kernels._types import Array
from unsup_fast.kernels.prune import native
from unsup_fast.kernels.prune.records import Basis, ScoredRows

SAMPLE = 2048  # rows that choose the basis
MOST = 191  # directions of a basis
MOST_CODED = 32768  # columns whose products of codes fit in 32 bits, as in csrc/prune
FINE = 64  # columns of fine codes are filled up to a multiple of this
PART = 1 << 16  # rows whose projections are in memory together


def frame(X: Array, shift: Array) -> Basis:
    """Return the basis that has no directions, for codes of all columns."""
    return replace(_frame(_sample(X, shift), shift), coded=True)


def _sample(X: Array, shift: Array) -> Array:
    """Return evenly spaced rows less the shift."""
    rows: Array = X[:: max(1, len(X) // SAMPLE)][:SAMPLE] - shift  # [M, D]
    return rows


def _frame(rows: Array, shift: Array) -> Basis:
    largest = float(np.abs(rows).max(initial=0))
    exponent = max(int(np.frexp(largest)[1]), int(np.finfo(rows.dtype).minexp))
    scale = 2.0**-exponent if largest > 0 else 1.0
    directions = np.empty((0, rows.shape[1]), dtype=rows.dtype)
    return Basis(directions=directions, defect=0.0, shift=shift, scale=scale)


def basis(X: Array, shift: Array) -> Basis:
    """Find leading principal directions of evenly spaced rows, by subspace iteration.

    Halko, Martinsson & Tropp, "Finding structure with randomness", SIAM Review 53 (2011),
    algorithm 4.4. Any orthonormal basis is valid; a better one only prunes more.
    """
    rows = _sample(X, shift)  # [M, D]
    n_columns = X.shape[1]
    plain = _frame(rows, shift)
    rows *= X.dtype.type(plain.scale)
    count = min(MOST, n_columns, len(rows))
    start = np.random.default_rng(0).standard_normal((n_columns, count))
    subspace = start.astype(X.dtype)  # [D, R]
    for _ in range(2):
        subspace = np.linalg.qr(rows.T @ (rows @ subspace))[0]
    # Turn the subspace so that its leading directions come first.
    inside = rows @ subspace  # [M, R]
    turn = np.linalg.eigh(inside.T @ inside)[1][:, ::-1]
    directions = np.ascontiguousarray((subspace @ turn).T, dtype=X.dtype)
    exact = directions.astype(np.float64)
    defect = float(np.linalg.norm(exact @ exact.T - np.eye(count)))
    return replace(plain, directions=directions, defect=defect)


def project_rows(X: Array, basis: Basis, n_threads: int) -> tuple[Array, Array, Array]:
    """Return projected rows [N, R + 1], their squared lengths and their slack.

    The computed z is off by at most e = (sqrt(R) (D + 2) u + defect) |x| (Higham 2002, 3.5, and
    the distance of Q to an orthonormal basis); the squared tail |x|^2 - |z|^2 then by
    d = e (2 |x| + e) + (D + 2) u |x|^2, and the tail by min(sqrt(d), d / tail). What underflows
    is below 1e-18 a column.
    """
    count, n_columns = basis.directions.shape
    roundoff = np.finfo(X.dtype).eps / 2
    y, total = native.project(X, basis.directions, basis.shift, basis.scale, n_threads)
    square = total.astype(np.float64)  # [N] |x|^2
    z = y[:, :count]
    inner = np.einsum("ij,ij->i", z, z, dtype=np.float64)  # [N] |z|^2
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        length = 1.01 * np.sqrt(square)
        error = (1.01 * np.sqrt(count) * (n_columns + 2) * roundoff + basis.defect) * length
        unsure = error * (2 * length + error) + (n_columns + 2) * roundoff * length**2
        tail = np.sqrt(np.maximum(square - inner, 0))
        tail_error = np.minimum(np.sqrt(unsure), np.where(tail > 0, unsure / tail, np.inf))
    y[:, count] = tail
    slack = 1.01 * (error + tail_error + roundoff * length) + 1e-18 * np.sqrt(n_columns)
    return y, inner + y[:, count].astype(np.float64) ** 2, slack


def encode_rows(X: Array, basis: Basis, n_threads: int) -> ScoredRows:
    """Return the rows of X as bytes, in the directions of a basis or in all columns.

    Rows are encoded in parts, so that their projections take little memory.
    """
    if len(basis.directions) == 0:
        return native.encode(X, basis.shift, basis.scale, tail=False, n_threads=n_threads)
    parts = [_encoded(X[i : i + PART], basis, n_threads) for i in range(0, max(len(X), 1), PART)]
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("codes", "unit", "sums", "tail", "squares", "slack")
    }
    fine = None
    if X.shape[1] <= MOST_CODED:
        fine = native.encode(
            X, basis.shift, basis.scale, tail=False, multiple=FINE, n_threads=n_threads
        )
    return ScoredRows(largest=parts[0].largest, fine=fine, **joined)


def _encoded(X: Array, basis: Basis, n_threads: int) -> ScoredRows:
    y, _, slack = project_rows(X, basis, n_threads)
    origin = np.zeros(y.shape[1], dtype=X.dtype)
    rows = native.encode(y, origin, 1.0, tail=True, n_threads=n_threads)
    return replace(rows, slack=(rows.slack + slack) * (1 + 1e-6))
