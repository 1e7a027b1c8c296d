"""Features and class probabilities of pictures from the network that defines FID, KID and IS.

The metrics take any function of pictures as an extractor; published scores use this one.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from unsup_fast._types import Array
from unsup_fast.metrics import _resizing, _weights
from unsup_fast.metrics._network import N_CLASSES, N_FEATURES, SIDE, Network, fold

Pictures: TypeAlias = Array | Tensor | Sequence[Array] | Sequence[Tensor]

OUTPUTS = ("features", "logits", "logits_unbiased", "probabilities")
BATCH = 32  # pictures that go through the network together
BEYOND = 1e-3  # how far floats may be outside [0, 1]


class Inception:
    """Extractor of features, logits or probabilities from pictures.

    Parameters
    ----------
    weights : path, optional
        `pt_inception-2015-12-05-6726825d.pth`. None takes what the environment variable
        UNSUP_FAST_INCEPTION names, or what is in torch's cache.
    output : {"features", "logits", "logits_unbiased", "probabilities"}, default="features"
        2,048 features, or 1,008 logits. "logits_unbiased" leave out the bias, and "probabilities"
        are the softmax of these, as the authors of the Inception Score have it.
    resize : {"tensorflow", "clean", "pytorch-fid"}, default="tensorflow"
        How pictures are resized to 299 x 299: as in the original, clean-fid or pytorch-fid.
    device : str or torch.device, default="cpu"
    dtype : torch.dtype, default=torch.float32
        Type of the network. torch.bfloat16 is about twice as fast where the processor has it, with
        features off by about 1 %.
    batch_size : int, default=32
        Pictures in one batch of the network.
    sha256 : str or None, default="6726825d"
        How the hash of the file must begin; None takes weights of your own.
    download : bool, default=False
        Whether to fetch the file into torch's cache if it is missing.

    Attributes
    ----------
    path : Path
        The file of the weights.
    sha256 : str
        The whole hash of that file.
    network : torch.nn.Module
        The network, with normalisations folded into the convolutions. No parameter requires a
        gradient.

    Raises
    ------
    FileNotFoundError
        If there are no weights; the message says where to put them.
    ValueError
        If it is another file, or an option is unknown.

    Notes
    -----
    Network: Szegedy et al., CVPR 2016. FID: Heusel et al., NeurIPS 2017. IS: Salimans et al.,
    NeurIPS 2016. TF32 is off in the convolutions.
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] | None = None,
        *,
        output: str = "features",
        resize: str = "tensorflow",
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        batch_size: int = BATCH,
        sha256: str | None = _weights.SHA256,
        download: bool = False,
    ) -> None:
        if output not in OUTPUTS:
            raise ValueError(f"output={output!r} is unknown; pass one of {', '.join(OUTPUTS)}")
        if resize not in _resizing.RESIZERS:
            known = ", ".join(_resizing.RESIZERS)
            raise ValueError(f"resize={resize!r} is unknown; pass one of {known}")
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"batch_size={batch_size!r} is no number of pictures; pass 1 or more")
        self.output, self.resize, self.batch_size = output, resize, batch_size
        self.device, self.dtype = torch.device(device), dtype
        self.path = _weights.obtain(weights, download=download, sha256=sha256)
        self.network, self.sha256 = load(self.path, sha256)
        self.network = self.network.to(self.device, dtype)

    def __call__(self, images: Pictures) -> Tensor:
        """Return the output for each picture, a tensor on the device.

        Parameters
        ----------
        images : array or tensor of shape (N, H, W, 3), (N, 3, H, W) or (N, H, W), or a sequence
            Bytes, or floats in [0, 1]. One channel is repeated as three. In a sequence pictures
            [H, W, 3], [3, H, W] or [H, W] may differ in size.

        Returns
        -------
        tensor of shape (N, 2048) or (N, 1008)
            float32. `backward()` works through it where `images` requires a gradient.

        Raises
        ------
        ValueError
            If they are not pictures, or floats beyond [0, 1].
        """
        with exact():
            outputs = [self._output(part) for part in self._parts(images)]
        if not outputs:
            return torch.empty(0, N_FEATURES if self.output == "features" else N_CLASSES)
        return torch.cat(outputs)

    def _parts(self, images: Pictures) -> Iterator[Tensor]:
        """Yield batches [n, 3, 299, 299] as the network takes them."""
        resize = _resizing.RESIZERS[self.resize]
        for start in range(0, len(images), self.batch_size):
            ready = [
                resize(values(part).to(self.device), SIDE)
                for part in _alike(images[start : start + self.batch_size])
            ]
            part = torch.cat(ready).to(self.dtype).expand(-1, 3, -1, -1)
            yield part.contiguous(memory_format=torch.channels_last)

    def _output(self, x: Tensor) -> Tensor:
        x = self.network(x)  # [n, 2048]
        if self.output == "logits":
            x = self.network.fc(x)  # [n, 1008]
        elif self.output != "features":
            x = x @ self.network.fc.weight.T  # [n, 1008]
        return x.float().softmax(dim=1) if self.output == "probabilities" else x.float()


def load(path: Path, sha256: str | None = _weights.SHA256) -> tuple[Network, str]:
    """Return the network with the weights of a file, folded, for inference; and the file's hash."""
    with torch.device("meta"):
        network = Network()
    expected = network.state_dict()
    shapes = {n: tuple(v.shape) for n, v in expected.items() if not _weights.counts_batches(n)}
    state, digest = _weights.read(path, shapes, sha256)
    network.load_state_dict(
        {name: state.get(name, torch.tensor(0)).float() for name in expected}, assign=True
    )
    network = fold(network.eval()).requires_grad_(False)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # in torch's docs
    return network, digest


def values(images: Tensor) -> Tensor:
    """Return pictures as [N, 1, H, W] or [N, 3, H, W], float32 of 0 to 255.

    Raises
    ------
    ValueError
        If they are not of shape [N, H, W], [N, H, W, C] or [N, C, H, W] with C of 1 or 3, neither
        bytes nor floats, or floats beyond [0, 1].
    """
    shape = tuple(images.shape)
    if images.ndim == 3:
        images = images[:, None]  # [N, 1, H, W]
    elif images.ndim == 4 and shape[3] in (1, 3) and not _channels_first(images):
        images = images.permute(0, 3, 1, 2)  # [N, C, H, W]
    if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
        raise ValueError(
            f"images have shape {shape}; pass [N, H, W, 3], [N, 3, H, W] or [N, H, W], without "
            "transparency"
        )
    if images.dtype == torch.uint8:
        return images.float()
    if not images.is_floating_point():
        raise ValueError(f"images are of type {images.dtype}; pass bytes or floats in [0, 1]")
    low, high = (float(bound) for bound in images.detach().aminmax())
    if not (low >= -BEYOND and high <= 1 + BEYOND):  # NaN too
        raise ValueError(
            f"images have values from {low:g} to {high:g}; pass bytes, or floats in [0, 1] as "
            "(X + 1) / 2 is for X in [-1, 1]"
        )
    return images.float() * 255


def _channels_first(images: Tensor) -> bool:
    """Return whether an ambiguous shape is [N, C, H, W]: it is for floats, not for bytes."""
    return bool(images.shape[1] in (1, 3) and images.is_floating_point())


def _alike(images: Pictures) -> list[Tensor]:
    """Return some images as tensors of images of one size each."""
    if not isinstance(images, list | tuple):
        return [_tensor(images)]
    if len({tuple(image.shape) for image in images}) > 1:
        return [_tensor(image)[None] for image in images]
    return [torch.stack([_tensor(image) for image in images])]


def _tensor(images: Pictures) -> Tensor:
    if isinstance(images, torch.Tensor):
        return images
    array = np.asarray(images)
    if array.dtype == object or array.dtype.kind not in "uif":
        raise ValueError(f"images are of type {array.dtype}; pass bytes or floats in [0, 1]")
    return torch.from_numpy(np.array(array, order="C"))  # a copy: the memory may be a map's


@contextmanager
def exact() -> Iterator[None]:
    """Compute products of float32 in float32, whatever the rest of the program has set."""
    conv: Any = torch.backends.cudnn.conv  # type: ignore[attr-defined]  # a property of the module
    products = torch.get_float32_matmul_precision()
    before = conv.fp32_precision
    torch.set_float32_matmul_precision("highest")
    conv.fp32_precision = "ieee"
    try:
        yield
    finally:
        conv.fp32_precision = before
        torch.set_float32_matmul_precision(products)
