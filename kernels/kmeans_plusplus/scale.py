"""The scale at which squared distances neither vanish nor overflow."""

import numpy as np
import numpy.typing as npt


def pow2_scale(spread: float, dtype: npt.DTypeLike) -> float:
    """Return the power of two that brings differences of at most `spread` near one."""
    limits = np.finfo(dtype)
    exponent = np.frexp(spread)[1] if np.isfinite(spread) else limits.maxexp
    return 2.0 ** -int(np.clip(exponent, 4 - limits.maxexp, limits.maxexp - 2))
