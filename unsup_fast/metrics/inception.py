"""Features and class probabilities of pictures from the network that defines FID, KID and IS.

The metrics take any function of pictures as an extractor; published scores use this one.
"""

import os
from pathlib import Path

import torch
from torch import Tensor

from unsup_fast.metrics import _conv_bn, _resizing, _weights
from unsup_fast.metrics._network import N_CLASSES, N_FEATURES, SIDE, Network
from unsup_fast.metrics._pictures import BATCH, Pictures, batches, check_batch_size, exact

OUTPUTS = ("features", "logits", "logits_unbiased", "probabilities")


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
        self.output, self.resize = output, resize
        self.batch_size = check_batch_size(batch_size)
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
            outputs = [
                self._output(part)
                for part in batches(images, self.batch_size, self._resized, self.device, self.dtype)
            ]
        if not outputs:
            return torch.empty(0, N_FEATURES if self.output == "features" else N_CLASSES)
        return torch.cat(outputs)

    def _resized(self, x: Tensor) -> Tensor:
        return _resizing.RESIZERS[self.resize](x, SIDE)

    def _output(self, x: Tensor) -> Tensor:
        x = self.network(x)  # [n, 2048]
        if self.output == "logits":
            x = self.network.fc(x)  # [n, 1008]
        elif self.output != "features":
            x = x @ self.network.fc.weight.T  # [n, 1008]
        return x.float().softmax(dim=1) if self.output == "probabilities" else x.float()


def load(path: Path, sha256: str | None = _weights.SHA256) -> tuple[Network, str]:
    """Return the network with the weights of a file, folded, for inference; and the file's hash."""
    return _conv_bn.load(Network, path, _weights.INCEPTION._replace(sha256=sha256))
