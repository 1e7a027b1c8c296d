"""Reference for `noise`: the formulas in float64, rounded once."""

from torch import Tensor


def noise(
    x0: Tensor, signal: Tensor, sigma: Tensor, eps: Tensor, target: str | None
) -> tuple[Tensor, Tensor | None]:
    """Return x_t and the target or None, [B, ...] each; signal and sigma are float64 [B]."""
    dtype = x0.dtype
    each = (-1, *[1] * (x0.ndim - 1))
    signal, sigma = signal.view(each), sigma.view(each)
    x0, eps = x0.double(), eps.double()
    x_t = signal * x0 + sigma * eps
    if target is None:
        return x_t.to(dtype), None
    targets = {
        "epsilon": eps,
        "v_prediction": signal * eps - sigma * x0,
        "flow_prediction": eps - x0,
    }
    return x_t.to(dtype), targets[target].to(dtype)
