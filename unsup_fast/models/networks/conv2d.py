"""`conv2d`: a convolution whose gradients of any order are convolutions of oneDNN or cuDNN.

torch differentiates a convolution's gradient by a convolution with a kernel of the picture's size,
which took 40 % of a step with R1 here. The three maps below are closed under differentiation: with
y = x * w, dx = g (*)^T w and dw = x (*) g,

    y:  linear in x and w;  its gradients are dx and dw
    dx: linear in g and w;  its gradients are y(h, w) and dw(h, g) for a cotangent h
    dw: linear in x and g;  its gradients are dx(g, h) and y(x, h)
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function


class _Settings(NamedTuple):
    stride: int
    padding: int
    groups: int


class _Asked(threading.local):
    only_inputs = False


_asked = _Asked()


@contextmanager
def gradients_of_inputs_only() -> Iterator[None]:
    """Compute no gradients of weights of `conv2d`, as where only samples are differentiated.

    torch does not tell a Python function which of its gradients are asked for. Gradients on a GPU
    are computed in a thread of their own, which does not see this: there it saves nothing.
    """
    before, _asked.only_inputs = _asked.only_inputs, True
    try:
        yield
    finally:
        _asked.only_inputs = before


def conv2d(
    x: Tensor, weight: Tensor, *, stride: int = 1, padding: int = 0, groups: int = 1
) -> Tensor:
    """Return x [B, C, H, W] convolved with weight [D, C / groups, k, k]: [B, D, H', W']."""
    device = x.device.type
    if device != "meta" and torch.is_autocast_enabled(device):  # "meta": without memory
        dtype = torch.get_autocast_dtype(device)
        x, weight = x.to(dtype), weight.to(dtype)
    return _convolution(x, weight, _Settings(stride, padding, groups))


class Conv2d(nn.Module):
    """A layer of `conv2d` without bias, whose weights are drawn from N(0, std^2).

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    kernel : int
    std : float
    stride, padding : int
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        std: float,
        *,
        stride: int = 1,
        padding: int = 0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(std * torch.randn(outputs, inputs, kernel, kernel))
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, outputs, H', W'] for x [B, inputs, H, W]."""
        return conv2d(x, self.weight, stride=self.stride, padding=self.padding)


def channels_last(x: Tensor) -> Tensor:
    """Return pictures x [B, C, H, W] in channels-last layout.

    Of one channel, torch's `contiguous` leaves strides by which `conv2d` takes the other layout.
    """
    if x.shape[1] > 1:
        return x.contiguous(memory_format=torch.channels_last)
    height, width = x.shape[2:]
    return x.contiguous().as_strided(x.shape, (height * width, 1, width, 1))


def _backward(
    g: Tensor, x: Tensor, weight: Tensor, settings: _Settings, *, of_input: bool
) -> Tensor:
    """Return the gradient of the input or of the weight."""
    stride, padding, groups = settings
    dtype = g.dtype
    if of_input and groups > 1 and stride > 1 and dtype == torch.bfloat16 and g.is_cpu:
        # oneDNN has a reference loop for this, which takes 15 times as long as float32 and back.
        g, x, weight = g.float(), x.float(), weight.float()
    gradients = torch.ops.aten.convolution_backward(
        g,
        x,
        weight,
        None,
        [stride] * 2,
        [padding] * 2,
        [1, 1],
        False,
        [0, 0],
        groups,
        [of_input, not of_input, False],
    )
    return cast(Tensor, gradients[0 if of_input else 1]).to(dtype)


class _Convolution(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, settings: _Settings) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.settings = settings
        stride, padding, groups = settings
        return F.conv2d(x, weight, stride=stride, padding=padding, groups=groups)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, _ = ctx.needs_input_grad
        return (
            _input(g, weight, x, ctx.settings) if of_x else None,
            _weight(x, g, weight, ctx.settings) if of_weight and not _asked.only_inputs else None,
            None,
        )


class _Input(Function):
    @staticmethod
    def forward(ctx: Any, g: Tensor, weight: Tensor, x: Tensor, settings: _Settings) -> Tensor:
        """Return dx; of x only the shape counts."""
        ctx.save_for_backward(g, weight)
        ctx.settings = settings
        return _backward(g, x, weight, settings, of_input=True)

    @staticmethod
    def backward(ctx: Any, h: Tensor) -> tuple[Tensor | None, ...]:
        g, weight = ctx.saved_tensors
        of_g, of_weight, _, _ = ctx.needs_input_grad
        return (
            _convolution(h, weight, ctx.settings) if of_g else None,
            _weight(h, g, weight, ctx.settings) if of_weight and not _asked.only_inputs else None,
            None,
            None,
        )


class _Weight(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, g: Tensor, weight: Tensor, settings: _Settings) -> Tensor:
        """Return dw; of the weight only the shape counts."""
        ctx.save_for_backward(x, g)
        ctx.settings = settings
        return _backward(g, x, weight, settings, of_input=False)

    @staticmethod
    def backward(ctx: Any, h: Tensor) -> tuple[Tensor | None, ...]:
        x, g = ctx.saved_tensors
        of_x, of_g, _, _ = ctx.needs_input_grad
        return (
            _input(g, h, x, ctx.settings) if of_x else None,
            _convolution(x, h, ctx.settings) if of_g else None,
            None,
            None,
        )


_convolution: Callable[..., Tensor] = _Convolution.apply
_input: Callable[..., Tensor] = _Input.apply
_weight: Callable[..., Tensor] = _Weight.apply
