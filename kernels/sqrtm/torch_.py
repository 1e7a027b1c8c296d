"""`sqrtm` of tensors: operators that torch can compile and differentiate.

On the CPU values are those of native.py; gradients and whatever is on a GPU are computed here. The
gradients come from Q of W = F1 F2^T = Q (W^T W)^(1/2): d Tr / dF1 = Q F2, and for S1 = F1^T F1 that
is F1^+ (Q W^T) F1^+T / 2.
"""

from typing import Any

import torch
from torch import Tensor

from unsup_fast.kernels._dispatch import automatic
from unsup_fast.kernels._operators import operator
from unsup_fast.kernels.precision import full_precision
from unsup_fast.kernels.sqrtm import LAPACK, native, polar

NAME = "sqrtm"
DEFAULT = automatic(LAPACK)  # on the CPU; torch.compile cannot look for a module


@operator(f"{NAME}_trace", differentiable=True)
def trace(
    S1: Tensor, S2: Tensor, tol: float, n_threads: int | None, backend: str
) -> tuple[Tensor, Tensor]:
    """Return Tr (S1 S2)^(1/2) and its error, 0-dimensional tensors."""
    if backend != "polar":
        return _values(
            S1, native.trace(S1.detach().numpy(), S2.detach().numpy(), n_threads, backend)
        )
    with full_precision():
        (one, _, e), (two, _, f) = _factor("S1", S1), _factor("S2", S2)
        value, error = polar.trace(one @ two.T, tol)
    return _values(S1, (value * 2.0 ** (e + f), error * 2.0 ** (e + f)))


@operator(f"{NAME}_slopes")
def slopes(S1: Tensor, S2: Tensor, tol: float, backend: str) -> tuple[Tensor, Tensor]:
    """Return the derivatives [D, D] of the trace by S1 and S2."""
    with full_precision():
        (one, upper1, e), (two, upper2, f) = _factor("S1", S1), _factor("S2", S2)
        W = one @ two.T  # [D, D]
        Q = _polar_factor(W, tol, backend)
        by_1 = _pulled(one, Q @ W.T, upper1) * 2.0 ** (f - e - 1)
        by_2 = _pulled(two, Q.T @ W, upper2) * 2.0 ** (e - f - 1)
    return by_1, by_2


@operator(f"{NAME}_trace_factors", differentiable=True)
def trace_factors(
    A: Tensor, B: Tensor, tol: float, n_threads: int | None, backend: str
) -> tuple[Tensor, Tensor]:
    """Return Tr (A^T A B^T B)^(1/2) and its error, 0-dimensional tensors."""
    if backend != "polar":
        result = native.trace_factors(A.detach().numpy(), B.detach().numpy(), n_threads, backend)
        return _values(A, result)
    with full_precision():
        (a, e), (b, f) = _scaled("A", A), _scaled("B", B)
        value, error = polar.trace(_few(a) @ _few(b).T, tol)
    return _values(A, (value * 2.0 ** (e + f), error * 2.0 ** (e + f)))


@operator(f"{NAME}_slopes_factors")
def slopes_factors(A: Tensor, B: Tensor, tol: float, backend: str) -> tuple[Tensor, Tensor]:
    """Return the derivatives of the trace by A [N, D] and B [M, D]: Q B and Q^T A."""
    with full_precision():
        (a, e), (b, f) = _scaled("A", A), _scaled("B", B)
        Q = _polar_factor(a @ b.T, tol, backend)  # [N, M]
        return (Q @ b) * 2.0**f, (Q.T @ a) * 2.0**e


def root(S1: Tensor, S2: Tensor | None, n_threads: int | None, backend: str) -> Tensor:
    """Return S1^(1/2), or (S1 S2)^(1/2), [D, D]."""
    square_root: Tensor
    if S2 is None:
        square_root = root_of_one(S1, n_threads, backend)
    else:
        square_root = root_of_product(S1, S2, n_threads, backend)
    return square_root


@operator(f"{NAME}_root", differentiable=True)
def root_of_one(S: Tensor, n_threads: int | None, backend: str) -> Tensor:
    """Return S^(1/2) [D, D]."""
    if backend != "polar":
        result = native.root(S.detach().numpy(), None, n_threads, backend)
        return torch.from_numpy(result).to(S.dtype)
    with full_precision():
        one, _, e = _factor("S1", S)
        half = polar.factor(one, torch.finfo(S.dtype).eps).T @ one  # H of F = Q H
        return (half + half.T) * 2.0 ** (e - 1)


@operator(f"{NAME}_root_slope")
def root_slope(S: Tensor, grad: Tensor) -> Tensor:
    """Return the gradient of S, X [D, D]: S^(1/2) X + X S^(1/2) = (grad + grad^T) / 2."""
    a, e = _prepared("S1", S)
    values, vectors = torch.linalg.eigh(a)
    roots = values.clamp_min(0).sqrt()
    within = vectors.T @ ((grad + grad.T) / 2) @ vectors  # [D, D]
    sums = roots[:, None] + roots
    within = torch.where(sums > 0, within / sums.clamp_min(torch.finfo(S.dtype).tiny), 0)
    gradient: Tensor = (vectors @ within @ vectors.T) * 2.0**-e
    return gradient


@operator(f"{NAME}_root_of_product")
def root_of_product(S1: Tensor, S2: Tensor, n_threads: int | None, backend: str) -> Tensor:
    """Return (S1 S2)^(1/2) [D, D] = F1^T Q F2."""
    if backend != "polar":
        result = native.root(S1.detach().numpy(), S2.detach().numpy(), n_threads, backend)
        return torch.from_numpy(result).to(S1.dtype)
    with full_precision():
        (one, _, e), (two, _, f) = _factor("S1", S1), _factor("S2", S2)
        Q = polar.factor(one @ two.T, torch.finfo(S1.dtype).eps)
        return (one.T @ Q @ two) * 2.0 ** (e + f)


def _register() -> None:
    """Register the shapes and the gradients with torch."""

    def scalars(A: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
        return A.new_empty(()), A.new_empty(())

    def pair(A: Tensor, B: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
        return torch.empty_like(A), torch.empty_like(B)

    def same(S: Tensor, *_: Any) -> Tensor:
        return torch.empty_like(S)

    for op, shapes in (
        (trace, scalars),
        (trace_factors, scalars),
        (slopes, pair),
        (slopes_factors, pair),
        (root_of_one, same),
        (root_slope, same),
        (root_of_product, same),
    ):
        op.register_fake(shapes)

    def keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(*inputs[:2])
        ctx.rest = inputs[2], inputs[4]

    def back(of: Any) -> Any:
        def backward(ctx: Any, grad: Any, _: Any) -> tuple[Any, ...]:
            by_1, by_2 = of(*ctx.saved_tensors, *ctx.rest)
            return grad * by_1, grad * by_2, None, None, None

        return backward

    trace.register_autograd(back(slopes), setup_context=keep)
    trace_factors.register_autograd(back(slopes_factors), setup_context=keep)

    def keep_root(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.save_for_backward(inputs[0])

    def back_root(ctx: Any, grad: Any) -> tuple[Any, None, None]:
        return root_slope(*ctx.saved_tensors, grad), None, None

    root_of_one.register_autograd(back_root, setup_context=keep_root)


_register()


def _values(like: Tensor, result: tuple[Any, Any]) -> tuple[Tensor, Tensor]:
    value, error = (torch.as_tensor(x, dtype=like.dtype, device=like.device) for x in result)
    return value, error


def _prepared(name: str, S: Tensor) -> tuple[Tensor, int]:
    """Return S as a symmetric tensor near one, and e with S = 4^e a."""
    largest, skew = torch.stack([S.abs().amax(), (S - S.T).abs().amax()]).tolist()
    exponent = native.half_exponent(name, largest, skew)
    return (S + S.T) * 2.0 ** (-2 * exponent - 1), exponent


def _scaled(name: str, A: Tensor) -> tuple[Tensor, int]:
    """Return A near one, and e with A = 2^e a."""
    largest = A.abs().amax().item() if A.numel() else 0.0
    exponent = native.exponent(name, largest)
    return A * 2.0**-exponent, exponent


def _factor(name: str, S: Tensor) -> tuple[Tensor, bool, int]:
    """Return F [D, D] with S = 4^e F^T F, whether it is upper triangular, and e.

    It is a Cholesky factor, or where S is singular, eigenvectors as rows times the roots of their
    eigenvalues.
    """
    a, e = _prepared(name, S)
    lower, info = torch.linalg.cholesky_ex(a)
    pivots = lower.diagonal() ** 2
    least, most = torch.stack([pivots.min(), pivots.max()]).tolist()
    eps = torch.finfo(S.dtype).eps
    if info.item() == 0 and least > len(S) * eps * most:
        return lower.T, True, e
    values, vectors = torch.linalg.eigh(a)
    native.check_semidefinite(name, values[0].item(), values[-1].item())
    values = torch.where(values > len(S) * eps / 2 * values[-1], values, 0)
    return (vectors * values.sqrt()).T, False, e


def _pulled(F: Tensor, H: Tensor, upper: bool) -> Tensor:
    """Return F^+ H F^+T [D, D], symmetric, for F triangular or with orthogonal rows."""
    H = (H + H.T) / 2
    if upper:
        half = torch.linalg.solve_triangular(F, H, upper=True)  # [D, D]
        pulled = torch.linalg.solve_triangular(F, half.T.contiguous(), upper=True)
    else:
        lengths = (F * F).sum(dim=1)  # [D]
        inverse = torch.where(lengths > 0, 1 / lengths, 0)[:, None] * F  # F^+T
        pulled = inverse.T @ H @ inverse
    symmetric: Tensor = (pulled + pulled.T) / 2
    return symmetric


def _polar_factor(W: Tensor, tol: float, backend: str) -> Tensor:
    if backend == "polar":
        return polar.factor(W, tol)
    left, values, right = torch.linalg.svd(W, full_matrices=False)
    significant = values > max(W.shape) * torch.finfo(W.dtype).eps * values[:1]
    factor: Tensor = (left * significant) @ right
    return factor


def _few(a: Tensor) -> Tensor:
    """Return rows with the same a^T a, no more than columns."""
    return a if a.shape[0] <= a.shape[1] else torch.linalg.qr(a, mode="r").R
