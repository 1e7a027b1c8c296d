"""The precision that a network computes in."""

from contextlib import AbstractContextManager
from typing import Any

import torch

PRECISIONS = ("auto", "float32", "bfloat16")


def chosen(precision: str, device: torch.device | str) -> torch.dtype:
    """Return the torch type for matrix products.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16"}
        auto is bfloat16 on devices that multiply faster in it than in float32.
    device : torch.device

    Returns
    -------
    torch.dtype

    Raises
    ------
    ValueError
        If the precision is unknown.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r} is unknown; pass one of {list(PRECISIONS)}")
    if precision == "auto":
        return torch.bfloat16 if _has_bfloat16(torch.device(device)) else torch.float32
    return getattr(torch, precision)


def autocast(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[Any]:
    """Return a context in which networks compute in `dtype`; for float32 it does nothing."""
    context: AbstractContextManager[Any] = torch.autocast(
        torch.device(device).type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16
    )
    return context


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16") or able.get("bf16"))
