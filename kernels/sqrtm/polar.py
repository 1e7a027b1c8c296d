"""The polar factor and the nuclear norm of a matrix by matrix products alone.

W = Q H with H = (W^T W)^(1/2). From X = W / s, with s >= |W|_2, each step takes every singular
value x of X to a x + b x^3 + c x^5, by three products; schedule.py has the polynomials. All x above
`low` end at 1. The others need not: with U for the Q that is reached, f <= 1 for its singular
values and w for those of W,

    Tr U^T W = sum f_i w_i <= Tr H <= Tr U^T W + sum (1 - f_i^2) w_i,

and the last sum is at most sqrt(R) |W - U U^T W|, the Frobenius norm, for R = min(N, M): this is
the error that is reported. `low` is such that the values left behind make up no more than `tol` of
the trace, of which |W|^2 / s is a lower bound.
"""

import math

import torch
from torch import Tensor

from unsup_fast.kernels.sqrtm.schedule import schedule


def factor(W: Tensor, tol: float) -> Tensor:
    """Return U [N, M], the polar factor of W to `tol`; zero for zero."""
    if W.shape[0] < W.shape[1]:
        return factor(W.T, tol).T
    size = torch.linalg.vector_norm(W).item()
    if size == 0:
        return torch.zeros_like(W)
    X: Tensor = W / size
    gram = X.T @ X  # [M, M]
    top = math.sqrt(torch.linalg.vector_norm(gram).item())
    low = tol / (W.shape[1] * top**2)
    first = True
    for a, b, c in schedule(math.ceil(-math.log2(low)), 4 * torch.finfo(W.dtype).eps):
        if first:
            X, gram, first = X / top, gram / top**2, False
        else:
            gram = X.T @ X
        X = torch.addmm(X, X, torch.addmm(gram, gram, gram, beta=b, alpha=c), beta=a)
    return X


def trace(W: Tensor, tol: float) -> tuple[Tensor, Tensor]:
    """Return the sum of the singular values of W from below, and what it may lack; float64."""
    if min(W.shape) == 0:
        zero = torch.zeros((), dtype=torch.float64, device=W.device)
        return zero, zero.clone()
    U = factor(W, tol)
    value = (U * W).sum(dtype=torch.float64)
    rest = W - U @ (U.T @ W) if W.shape[0] >= W.shape[1] else W - (W @ U.T) @ U
    error = math.sqrt(min(W.shape)) * torch.linalg.vector_norm(rest, dtype=torch.float64)
    return value, error + 8 * torch.finfo(W.dtype).eps * value
