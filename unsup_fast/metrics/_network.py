"""The Inception network of 2015 that FID and the Inception Score are defined by.

Szegedy, Vanhoucke, Ioffe, Shlens & Wojna, "Rethinking the Inception Architecture for Computer
Vision", CVPR 2016, as in TensorFlow's graph of 2015-12-05. It departs from later versions in three
respects: average pooling divides by the pixels that are inside the picture, the pool of the last
block takes the maximum, and there are 1,008 classes. Parameters bear the names of
`pt_inception-2015-12-05-6726825d.pth`.
"""

from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unsup_fast.metrics._conv_bn import ConvBN

Size: TypeAlias = int | tuple[int, int]
Shape: TypeAlias = dict[str, Any]

N_FEATURES = 2048
N_CLASSES = 1008
SIDE = 299  # of the pictures that it was trained on
LEAST_SIDE = 75  # below, nothing is left of a picture


class Unit(ConvBN):
    """Convolution, batch normalisation and ReLU."""

    def __init__(self, inside: int, outside: int, kernel: Size, stride: int = 1, padding: Size = 0):
        super().__init__(nn.Conv2d(inside, outside, kernel, stride, padding, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Return the unit's output for x [N, inside, H, W]."""
        return F.relu_(super().forward(x))


class BlockA(nn.Module):
    """Parallel convolutions of 1 x 1, 5 x 5 and twice 3 x 3, and a pool: figure 5 of the paper."""

    def __init__(self, inside: int, pooled: int):
        super().__init__()
        self.branch1x1 = Unit(inside, 64, 1)
        self.branch5x5_1 = Unit(inside, 48, 1)
        self.branch5x5_2 = Unit(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = Unit(inside, 64, 1)
        self.branch3x3dbl_2 = Unit(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Unit(96, 96, 3, padding=1)
        self.branch_pool = Unit(inside, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, 224 + pooled, H, W]."""
        return join(
            self.branch1x1(x),
            self.branch5x5_2(self.branch5x5_1(x)),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
            self.branch_pool(mean_pool(x)),
        )


class BlockB(nn.Module):
    """From 35 x 35 to 17 x 17 pixels: figure 10."""

    def __init__(self, inside: int):
        super().__init__()
        self.branch3x3 = Unit(inside, 384, 3, stride=2)
        self.branch3x3dbl_1 = Unit(inside, 64, 1)
        self.branch3x3dbl_2 = Unit(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Unit(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, 480 + inside, H', W']."""
        return join(
            self.branch3x3(x),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
            halved(x),
        )


class BlockC(nn.Module):
    """7 x 7 in factors of 1 x 7 and 7 x 1: figure 6."""

    def __init__(self, inside: int, narrow: int):
        super().__init__()
        wide: Shape = {"kernel": (1, 7), "padding": (0, 3)}
        tall: Shape = {"kernel": (7, 1), "padding": (3, 0)}
        self.branch1x1 = Unit(inside, 192, 1)
        self.branch7x7_1 = Unit(inside, narrow, 1)
        self.branch7x7_2 = Unit(narrow, narrow, **wide)
        self.branch7x7_3 = Unit(narrow, 192, **tall)
        self.branch7x7dbl_1 = Unit(inside, narrow, 1)
        self.branch7x7dbl_2 = Unit(narrow, narrow, **tall)
        self.branch7x7dbl_3 = Unit(narrow, narrow, **wide)
        self.branch7x7dbl_4 = Unit(narrow, narrow, **tall)
        self.branch7x7dbl_5 = Unit(narrow, 192, **wide)
        self.branch_pool = Unit(inside, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, 768, H, W]."""
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        return join(
            self.branch1x1(x),
            self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x))),
            self.branch7x7dbl_5(self.branch7x7dbl_4(double)),
            self.branch_pool(mean_pool(x)),
        )


class BlockD(nn.Module):
    """From 17 x 17 to 8 x 8 pixels."""

    def __init__(self, inside: int):
        super().__init__()
        self.branch3x3_1 = Unit(inside, 192, 1)
        self.branch3x3_2 = Unit(192, 320, 3, stride=2)
        self.branch7x7x3_1 = Unit(inside, 192, 1)
        self.branch7x7x3_2 = Unit(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = Unit(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = Unit(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, 512 + inside, H', W']."""
        wide = self.branch7x7x3_2(self.branch7x7x3_1(x))
        return join(
            self.branch3x3_2(self.branch3x3_1(x)),
            self.branch7x7x3_4(self.branch7x7x3_3(wide)),
            halved(x),
        )


class BlockE(nn.Module):
    """3 x 3 split into parallel 1 x 3 and 3 x 1: figure 7. The pool is the mean or the maximum."""

    def __init__(self, inside: int, *, maximum: bool):
        super().__init__()
        wide: Shape = {"kernel": (1, 3), "padding": (0, 1)}
        tall: Shape = {"kernel": (3, 1), "padding": (1, 0)}
        self.branch1x1 = Unit(inside, 320, 1)
        self.branch3x3_1 = Unit(inside, 384, 1)
        self.branch3x3_2a = Unit(384, 384, **wide)
        self.branch3x3_2b = Unit(384, 384, **tall)
        self.branch3x3dbl_1 = Unit(inside, 448, 1)
        self.branch3x3dbl_2 = Unit(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = Unit(384, 384, **wide)
        self.branch3x3dbl_3b = Unit(384, 384, **tall)
        self.branch_pool = Unit(inside, 192, 1)
        self.pool = max_pool if maximum else mean_pool

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, 2048, H, W]."""
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        return join(
            self.branch1x1(x),
            self.branch3x3_2a(single),
            self.branch3x3_2b(single),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(self.pool(x)),
        )


class Network(nn.Module):
    """Network from pictures in [-1, 1] to features, and from features to logits."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Unit(32, 32, 3)
        self.Conv2d_2b_3x3 = Unit(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Unit(64, 80, 1)
        self.Conv2d_4a_3x3 = Unit(80, 192, 3)
        self.Mixed_5b = BlockA(192, pooled=32)
        self.Mixed_5c = BlockA(256, pooled=64)
        self.Mixed_5d = BlockA(288, pooled=64)
        self.Mixed_6a = BlockB(288)
        self.Mixed_6b = BlockC(768, narrow=128)
        self.Mixed_6c = BlockC(768, narrow=160)
        self.Mixed_6d = BlockC(768, narrow=160)
        self.Mixed_6e = BlockC(768, narrow=192)
        self.Mixed_7a = BlockD(768)
        self.Mixed_7b = BlockE(1280, maximum=False)
        self.Mixed_7c = BlockE(2048, maximum=True)
        self.fc = nn.Linear(N_FEATURES, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features [N, 2048] of x [N, 3, H, W]; shapes below are for 299 x 299."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))  # [N, 64, 147, 147]
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(halved(x)))  # [N, 192, 71, 71]
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(halved(x))))  # [N, 288, 35, 35]
        x = self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))  # [N, 768, 17, 17]
        x = self.Mixed_7a(self.Mixed_6e(self.Mixed_6d(x)))  # [N, 1280, 8, 8]
        x = self.Mixed_7c(self.Mixed_7b(x))  # [N, 2048, 8, 8]
        return x.mean(dim=(2, 3))


def join(*branches: Tensor) -> Tensor:
    """Return the branches' channels, one after the other."""
    return torch.cat(branches, dim=1)


def mean_pool(x: Tensor) -> Tensor:
    """Return the mean of 3 x 3 pixels, of those that are inside the picture."""
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def max_pool(x: Tensor) -> Tensor:
    """Return the largest of 3 x 3 pixels."""
    return F.max_pool2d(x, 3, stride=1, padding=1)


def halved(x: Tensor) -> Tensor:
    """Return the largest of 3 x 3 pixels, at every second one."""
    return F.max_pool2d(x, 3, stride=2)
