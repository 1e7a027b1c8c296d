"""`spectrally_normalize`: layers whose largest singular value is 1 (Miyato et al. 2018).

A weight W is used as W / sigma with sigma = u^T W v (eq. 8 there). The singular vectors u and v are
buffers, which each forward pass of training moves by one step of the power method and which rest in
evaluation mode. Averages of weights have other vectors than the weights themselves:
`solve_singular_vectors` sets them exactly.

Neither is computed under autocast, where torch's own spectral norm multiplies two types on a GPU,
which is an error.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from unsup_fast.models.networks.conv2d import Conv2d
from unsup_fast.models.networks.equalized import EqualizedConv2d, EqualizedLinear
from unsup_fast.models.networks.full_precision import full_precision

EPS = 1e-12
PLANES = "append"  # the name of a table of classes as channels of pictures
FIRST_STEPS = 15  # of the power method, for a new layer


class SpectralNorm(nn.Module):
    """The parametrisation W / sigma of a weight [outputs, ...], whose rows are flattened.

    Parameters
    ----------
    weight : tensor of shape (outputs, ...)
        With at least two axes.
    """

    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        matrix = weight.detach().flatten(1)  # [outputs, inputs]
        self.register_buffer("_u", F.normalize(torch.randn_like(matrix[:, 0]), dim=0, eps=EPS))
        self.register_buffer("_v", F.normalize(torch.randn_like(matrix[0]), dim=0, eps=EPS))
        for _ in range(FIRST_STEPS):
            self._step(matrix)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight divided by its largest singular value."""
        with full_precision(weight):
            matrix = weight.flatten(1)  # [outputs, inputs]
            if self.training:
                self._step(matrix)
            u, v = self._u.clone(), self._v.clone()  # the next pass changes them in place
            return weight / (u @ (matrix @ v))

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return what is stored for a weight that is assigned: the weight itself."""
        return weight

    @torch.no_grad()
    def solve(self, weight: Tensor) -> None:
        """Set the vectors to the singular vectors of a weight's largest singular value."""
        matrix = weight.detach().flatten(1).double()  # [outputs, inputs]
        wide = matrix.shape[0] <= matrix.shape[1]
        gram = matrix @ matrix.T if wide else matrix.T @ matrix
        top = torch.linalg.eigh(gram).eigenvectors[:, -1]  # [outputs] or [inputs]
        other = F.normalize((matrix.T if wide else matrix) @ top, dim=0, eps=EPS)
        self._u.copy_(top if wide else other)
        self._v.copy_(other if wide else top)

    @torch.no_grad()
    def _step(self, matrix: Tensor) -> None:
        """Move the vectors by a step of the power method."""
        self._u.copy_(F.normalize(matrix @ self._v, dim=0, eps=EPS))
        self._v.copy_(F.normalize(matrix.T @ self._u, dim=0, eps=EPS))


def spectrally_normalize(network: nn.Module) -> None:
    """Divide each layer's weights by their largest singular value, from now on.

    For the layers of our networks: `Conv2d`, matrices and embeddings, but for those of classes that
    are one more channel of pictures: an input needs no bound, and would hardly be seen with one.

    Raises
    ------
    ValueError
        If the network has equalised layers, which scale their weights themselves.
    """
    if any(isinstance(module, EqualizedConv2d | EqualizedLinear) for module in network.modules()):
        raise ValueError(
            "spectral_norm=True is for networks without equalised layers, whose weights have a "
            'scale of their own; pass spectral_norm=False, or another network such as "dcgan"'
        )
    for name, module in list(network.named_modules()):
        if name.rpartition(".")[2] == PLANES:
            continue
        if isinstance(module, Conv2d | nn.Linear | nn.Embedding):
            weight = module.weight
            if not weight.is_meta and not bool(weight.any()):  # zero has no direction to normalise
                nn.init.orthogonal_(weight)
            parametrize.register_parametrization(module, "weight", SpectralNorm(weight))


def solve_singular_vectors(network: nn.Module) -> None:
    """Set the singular vectors of all spectral norms exactly, so that each layer's norm is 1.

    They are functions of the weights alone: two calls give the same bits.
    """
    for module in network.modules():
        if isinstance(module, parametrize.ParametrizationList):
            for norm in module:
                if isinstance(norm, SpectralNorm):
                    norm.solve(module.original)
