"""Mean and scatter of the rows of a tensor: what `kernels.covariance` computes of arrays.

Products of columns, scaled by powers of two to near one, are taken about the origin in the type of
the rows, few enough at a time for float32 to add them up, and the sums are float64.
"""

import numpy as np
import torch
from torch import Tensor

from unsup_fast._rows.tensors import BLOCK, dtype_of
from unsup_fast.kernels.covariance import Covariance, too_far, unit_of
from unsup_fast.kernels.origin import origin
from unsup_fast.kernels.powers import power_of_two
from unsup_fast.kernels.precision import full_precision

ROWS = 4096  # of a block: so few that float32 can add them up


def covariance(X: Tensor) -> Covariance:
    """Return mean and scatter of the rows, on the host.

    Parameters
    ----------
    X : tensor of shape (N, D), N >= 1, float32 or float64, finite

    Raises
    ------
    RangeError
        If a difference of two of its values overflows its type.
    """
    shift, n_columns = origin(X), X.shape[1]
    scale = _scale(X, shift)
    sums = torch.zeros(n_columns, dtype=torch.float64, device=X.device)
    products = sums.new_zeros((n_columns, n_columns))
    size = max(1, min(ROWS, BLOCK // n_columns))
    with full_precision():
        for start in range(0, len(X), size):
            block = (X[start : start + size] - shift) * scale  # [B, D]
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
    mean = shift.double() + units * (sums / len(X))
    return Covariance(
        n_rows=len(X),
        mean=mean.cpu().numpy(),
        scatter=products.cpu().numpy(),
        first_nonfinite=None,
        unit=unit,
    )


def _scale(X: Tensor, shift: Tensor) -> Tensor:
    """Return powers of two [D] that bring the columns near one, so that squares stay in range."""
    max_abs_deviation = torch.maximum((X.amax(dim=0) - shift).abs(), (X.amin(dim=0) - shift).abs())
    most = int(np.log2(torch.finfo(X.dtype).max)) - 1
    exponent = torch.frexp(max_abs_deviation.clamp_max(torch.finfo(X.dtype).max)).exponent
    scale: Tensor = power_of_two(-exponent.clamp(-most, most), X.dtype)
    return scale
