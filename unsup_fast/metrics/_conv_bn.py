"""Convolutions with batch normalisation, of networks that were trained elsewhere."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from unsup_fast.metrics import _weights

EPS = 0.001  # of TensorFlow's batch normalisation

NetworkT = TypeVar("NetworkT", bound=nn.Module)


class ConvBN(nn.Module):
    """Convolution and batch normalisation; `fold` merges them for inference."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.bn: nn.Module = nn.BatchNorm2d(conv.out_channels, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised output for x [N, inside, H, W]."""
        output: Tensor = self.bn(self.conv(x))
        return output


def fold(network: NetworkT) -> NetworkT:
    """Multiply the normalisations into the convolutions, in float64, and return the network.

    For inference: y = g (w * x - m) / sqrt(v + eps) + b is one convolution with a bias.
    """
    for unit in [module for module in network.modules() if isinstance(module, ConvBN)]:
        bn, conv = unit.bn, unit.conv
        assert isinstance(bn, nn.BatchNorm2d)
        assert bn.running_mean is not None
        assert bn.running_var is not None
        scale = bn.weight.double() / (bn.running_var.double() + bn.eps).sqrt()  # [outside]
        bias = bn.bias.double() - bn.running_mean.double() * scale
        dtype = conv.weight.dtype
        with torch.no_grad():
            conv.weight.copy_(conv.weight.double() * scale[:, None, None, None])
        conv.bias = nn.Parameter(bias.detach().to(dtype))
        unit.bn = nn.Identity()
    return network


def load(
    build: Callable[[], NetworkT],
    path: Path,
    source: _weights.Source,
    name_in_file: Callable[[str], str] = str,
) -> tuple[NetworkT, str]:
    """Return a network with the weights of a file, folded, for inference; and the file's hash.

    Parameters
    ----------
    build : callable
        Returns the network.
    path : Path
    source : Source
        What the file must be.
    name_in_file : callable
        Returns the name in the file of a tensor of the network.
    """
    with torch.device("meta"):
        network = build()
    expected = {
        name: tuple(value.shape)
        for name, value in network.state_dict().items()
        if not _weights.counts_batches(name)
    }
    shapes = {name_in_file(name): shape for name, shape in expected.items()}
    tensors, digest = _weights.read(path, shapes, source)
    state = {name: tensors[name_in_file(name)].float() for name in expected}
    for name in network.state_dict().keys() - state.keys():
        state[name] = torch.tensor(0.0)
    network.load_state_dict(state, assign=True)
    network = fold(network.eval()).requires_grad_(False)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # in torch's docs
    return network, digest
