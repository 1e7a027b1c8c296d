"""PCA of tensors on a device: rows, D x D and N x N stay there; axes go to the host and back."""

from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state

from unsup_fast._rows import arrays, scaling, tensors
from unsup_fast._rows.tensors import BLOCK, blocks, dtype_of, to_user
from unsup_fast.decomposition import _base, _dimension, _save
from unsup_fast.decomposition._attributes import deviations_of, mean_of
from unsup_fast.decomposition._solvers import (
    Axes,
    rounding_of_mean,
    rounding_of_products,
    rounding_of_svd,
)
from unsup_fast.kernels.covariance import Covariance, merge, too_far, unit_of
from unsup_fast.kernels.origin import origin
from unsup_fast.kernels.powers import power_of_two
from unsup_fast.kernels.precision import full_precision


def _rows(X: Any, gpu: Any, estimator: Any, *, reset: bool) -> Any:
    """Validate rows as `_input.rows` does; return a tensor on the device."""
    rows = tensors.rows(X, gpu, estimator, reset=reset)
    if reset:
        estimator.__dict__.pop("scale_", None)  # of an earlier fit
        if getattr(estimator, "standardize", False):
            estimator.scale_ = tensors.deviations(rows)
    return scaling.applied(estimator, rows)


def _summed(X: Any) -> tuple[Any, Any, float]:
    """Return mean [D] and scatter [D, D] of the rows, float64 on the device, and its unit."""
    shift, n_columns = origin(X), X.shape[1]
    scale = _scale(X, shift)
    sums = torch.zeros(n_columns, dtype=torch.float64, device=X.device)
    products = sums.new_zeros((n_columns, n_columns))
    size = max(1, min(4096, BLOCK // n_columns))  # so few that float32 can add them up
    with full_precision():
        for start in range(0, len(X), size):
            block = (X[start : start + size] - shift) * scale
            sums += block.sum(dim=0, dtype=torch.float64)
            products += block.T @ block
    products -= sums[:, None] * sums / len(X)
    units = 1 / scale.double()  # [D] powers of two
    unit = unit_of(float((units * (products.diagonal() > 0)).max()), np.float64)
    products *= (units / unit)[:, None]
    products *= units / unit
    products = (products + products.T) / 2
    if not torch.isfinite(products).all():
        raise too_far(dtype_of(X))
    return shift.double() + units * (sums / len(X)), products, unit


def scattered(X: Any, before: Covariance) -> Covariance:
    """Return mean and scatter of the rows on the host, merged with those `before`."""
    mean, products, unit = _summed(X)
    return merge(before, Covariance(len(X), mean.cpu().numpy(), products.cpu().numpy(), None, unit))


def _scale(X: Any, shift: Any) -> Any:
    """Return powers of two [D] that bring the columns near one, so that squares stay in range."""
    max_abs_deviation = torch.maximum((X.amax(dim=0) - shift).abs(), (X.amin(dim=0) - shift).abs())
    most = int(np.log2(torch.finfo(X.dtype).max)) - 1
    exponent = torch.frexp(max_abs_deviation.clamp_max(torch.finfo(X.dtype).max)).exponent
    return power_of_two(-exponent.clamp(-most, most), X.dtype)


def attributes_of(estimator: Any, X: Any, gpu: Any) -> dict[str, Any]:
    """Fit `PCA` to a tensor; return its attributes."""
    rows = _rows(X, gpu, estimator, reset=True)
    solver = estimator._solver(tuple(rows.shape), False)
    if solver == "arpack":
        raise ValueError(
            "svd_solver='arpack' is for the CPU; pass svd_solver='covariance_eigh', 'full' or "
            "'randomized'"
        )
    estimator._fit_svd_solver = solver
    wanted = estimator._wanted(*rows.shape)
    if solver == "full":
        axes = _of_svd(rows)
    elif solver == "randomized":
        axes = _of_random(estimator, rows, wanted)
    elif len(rows) >= rows.shape[1]:
        axes = _of_covariance(rows)
    else:
        axes = _of_gram(rows)
    k = _dimension.kept(wanted, axes.variances, axes.total, axes.n_rows)
    attributes = _base.attributes(axes, k, dtype_of(rows))
    if arrays.is_tensor(X):
        attributes = {
            name: torch.as_tensor(value, device=X.device)
            if np.ndim(value) and name not in _save.ON_HOST
            else value
            for name, value in attributes.items()
        }
    return {**attributes, "n_samples_": axes.n_rows}


def _mean(X: Any) -> Any:
    """Return the mean [D] in float64, from sums about the middle."""
    shift = origin(X).double()
    sums = torch.zeros_like(shift)
    for _, block in blocks(X, X.shape[1]):
        sums += (block - shift).sum(dim=0)
    return shift + sums / len(X)


def _eigen(matrix: Any) -> tuple[Any, Any]:
    """Return the eigenvalues of a symmetric matrix, descending, and its eigenvectors as rows."""
    values, vectors = torch.linalg.eigh(matrix)
    return values.flip(0), vectors.T.flip(0)


def _centred(X: Any, dtype: Any) -> tuple[Any, Any, float]:
    """Return centred rows divided by a unit that suits `dtype`, their mean, and the unit."""
    mean = _mean(X)
    rows = X - mean  # [N, D] float64
    low, high = torch.aminmax(rows)
    largest = float(torch.maximum(-low, high))
    if not largest <= torch.finfo(X.dtype).max:
        raise too_far(dtype_of(X))
    unit = unit_of(largest, dtype)
    if unit != 1:
        rows /= unit
    return rows.to(X.dtype), mean, unit


def _of_covariance(X: Any) -> Axes:
    mean, products, unit = _summed(X)
    values, vectors = _eigen(products)
    degrees = max(len(X) - 1, 1)
    on_host, variances = mean.cpu().numpy(), np.maximum((values / degrees).cpu().numpy(), 0)
    eps = torch.finfo(X.dtype).eps
    return Axes(
        n_rows=len(X),
        mean=on_host,
        variances=variances,
        total=float(products.trace()) / degrees,
        leading=lambda k: vectors[:k].cpu().numpy(),
        rounding=rounding_of_products(variances[0], len(on_host), eps)
        + rounding_of_mean(on_host, unit),
        unit=unit,
    )


def _of_random(estimator: Any, X: Any, k: int) -> Axes:
    """Return k axes by a randomized SVD: the draws and steps of scikit-learn's on the CPU.

    Halko, Martinsson & Tropp, "Finding structure with randomness", SIAM Review 53 (2011).
    """
    rows, mean, unit = _centred(X, dtype_of(X))
    wide = len(X) < X.shape[1]
    M = rows.T if wide else rows
    drawn = check_random_state(estimator.random_state).normal(
        size=(M.shape[1], k + estimator.n_oversamples)
    )
    n_iter = estimator.iterated_power
    if n_iter == "auto":
        n_iter = 7 if k < 0.1 * min(X.shape) else 4
    normalizer = estimator.power_iteration_normalizer
    if normalizer == "auto":
        normalizer = "none" if n_iter <= 2 else "LU"
    with full_precision():
        Q = torch.from_numpy(drawn).to(X.device, X.dtype)
        for _ in range(n_iter):
            Q = _normalized(M @ Q, normalizer)
            Q = _normalized(M.T @ Q, normalizer)
        Q = torch.linalg.qr(M @ Q).Q
        left, singular, right = torch.linalg.svd(Q.T @ M, full_matrices=False)
        axes = (Q @ left).T[:k] if wide else right[:k]
        # The variances of the coordinates themselves; see _solvers._ritz.
        _, singular, turn = torch.linalg.svd(torch.linalg.qr(rows @ axes.T).R)
        axes = turn @ axes
    total = sum(float((block.double() ** 2).sum()) for _, block in blocks(rows, X.shape[1]))
    return _of_singular_values(X, mean, singular, total / (len(X) - 1), axes, unit)


def _of_singular_values(
    X: Any, mean: Any, singular: Any, total: float | None, axes: Any, unit: float
) -> Axes:
    """Return axes [k, D] by an SVD of centred rows; without a total variance, all of them."""
    variances = singular.double().cpu().numpy() ** 2 / (len(X) - 1)
    on_host, vectors, eps = mean.cpu().numpy(), axes.cpu().numpy(), torch.finfo(X.dtype).eps
    return Axes(
        n_rows=len(X),
        mean=on_host,
        variances=variances,
        total=float(variances.sum()) if total is None else total,
        leading=lambda k: vectors[:k],
        rounding=rounding_of_svd(variances[0], min(X.shape), eps) + rounding_of_mean(on_host, unit),
        unit=unit,
    )


def _normalized(Y: Any, how: str) -> Any:
    """Return a basis of what the columns of Y span; how well conditioned is for `how` to say."""
    if how == "LU":
        P, L, _ = torch.linalg.lu(Y)
        return P @ L
    return torch.linalg.qr(Y).Q if how == "QR" else Y


def _of_svd(X: Any) -> Axes:
    rows, mean, unit = _centred(X, dtype_of(X))
    _, singular, axes = torch.linalg.svd(rows, full_matrices=False)
    return _of_singular_values(X, mean, singular, None, axes, unit)


def _of_gram(X: Any) -> Axes:
    mean = _mean(X)
    low, high = X.amin(dim=0) - mean, X.amax(dim=0) - mean  # [D]
    largest = float(torch.maximum(-low, high).max())
    if not largest <= torch.finfo(X.dtype).max:
        raise too_far(dtype_of(X))
    unit = unit_of(largest, np.float64)
    products = torch.zeros((len(X), len(X)), dtype=torch.float64, device=X.device)
    size = max(1, BLOCK // len(X))
    parts = [slice(start, start + size) for start in range(0, X.shape[1], size)]
    for part in parts:
        columns = (X[:, part] - mean[part]) / unit  # [N, size] float64
        products += columns @ columns.T
    values, vectors = _eigen(products)

    def leading(k: int) -> Any:
        weights = vectors[:k].T  # [N, k]
        axes = torch.cat([((X[:, part] - mean[part]) / unit).T @ weights for part in parts])
        q, r = torch.linalg.qr(axes)  # [D, k]
        return torch.where(r.diagonal() < 0, -q, q).T.cpu().numpy()

    degrees = len(X) - 1
    on_host, variances = mean.cpu().numpy(), np.maximum((values / degrees).cpu().numpy(), 0)
    return Axes(
        n_rows=len(X),
        mean=on_host,
        variances=variances,
        total=float(products.trace()) / degrees,
        leading=leading,
        rounding=rounding_of_products(variances[0], len(X), np.finfo(np.float64).eps)
        + rounding_of_mean(on_host, unit),
        unit=unit,
    )


def _fitted(estimator: Any, X: Any) -> tuple[Any, Any, Any]:
    """Return axes [K, D], deviations [K] and mean [D], all float64, where X is."""
    axes = torch.as_tensor(estimator.components_)
    n_axes, n_columns = axes.shape
    deviations = deviations_of(estimator, n_axes) if estimator.whiten else np.ones(n_axes)
    values = (axes, deviations, mean_of(estimator, n_columns))
    axes, deviations, mean = (torch.as_tensor(value).to(X.device).double() for value in values)
    return axes, deviations, mean


def _wide(estimator: Any, X: Any) -> Any:
    """Return the wider of the types of X and the axes."""
    axes = torch.as_tensor(estimator.components_).dtype
    return torch.promote_types(X.dtype, axes)


def transform(estimator: Any, X: Any, gpu: Any) -> Any:
    """Return the coordinates of rows along the axes."""
    rows = _rows(X, gpu, estimator, reset=False)
    axes, _, mean = _fitted(estimator, rows)
    wide = _wide(estimator, rows)
    before, after = estimator._divisors(torch.empty(0, dtype=wide).numpy().dtype, len(axes))
    axes = axes / torch.from_numpy(before).to(rows.device)[:, None]
    weights, shift = axes.to(wide), mean.to(wide)
    offset = ((shift.double() - mean) @ axes.T).to(wide)  # what rounding the mean left
    out = rows.new_empty((len(rows), len(axes)), dtype=wide)
    with full_precision():
        for start, block in blocks(rows, rows.shape[1]):
            out[start : start + len(block)] = (block - shift) @ weights.T + offset
    if after is not None:
        out.div_(torch.from_numpy(after).to(rows.device))
    return to_user(out, X)


def inverse_transform(estimator: Any, X: Any) -> Any:
    """Return the rows that have these coordinates."""
    coordinates = X.detach() if arrays.is_tensor(X) else torch.as_tensor(np.asarray(X))
    axes, deviations, mean = _fitted(estimator, coordinates)
    if coordinates.ndim != 2 or coordinates.shape[1] != len(axes):
        raise ValueError(
            f"X has shape {tuple(coordinates.shape)}; inverse_transform needs (N, {len(axes)})"
        )
    wide = _wide(estimator, coordinates)
    if estimator.whiten:
        axes = axes * deviations[:, None]
    with full_precision():
        return to_user(coordinates.to(wide) @ axes.to(wide) + mean.to(wide), X)


def score_samples(estimator: Any, X: Any, gpu: Any) -> Any:
    """Return the log-likelihood of each row."""
    rows = _rows(X, gpu, estimator, reset=False)
    _, _, mean = _fitted(estimator, rows)
    precision = torch.as_tensor(_base.precision_of(estimator), device=rows.device)
    constant = rows.shape[1] * np.log(2 * np.pi) - float(torch.linalg.slogdet(precision)[1])
    out = rows.new_empty(len(rows), dtype=torch.float64)
    for start, block in blocks(rows, rows.shape[1]):
        centred = block - mean  # [B, D] float64
        squares = (centred * (centred @ precision)).sum(dim=1)
        out[start : start + len(block)] = -0.5 * (squares + constant)
    return to_user(out, X)
