"""The options that say what pictures are compared by."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

from unsup_fast.cli.errors import UserError
from unsup_fast.cli.settings import CommandSettings, Option, options
from unsup_fast.cli.values import (
    INCEPTION,
    LITES,
    NONE,
    parse_device,
    parse_features,
    parse_sides,
    parse_weights_file,
)

RESIZE = "tensorflow"
MOST_SIDE = 1024


@dataclass(frozen=True, kw_only=True)
class FeatureSettings(CommandSettings):
    """The options that say what pictures are compared by."""

    features: Annotated[
        str,
        Option(
            "--features inception|lite0|lite1|FILE.pth|none",
            "Features",
            "What pictures become: features of the Inception network of the published scores, "
            "of EfficientNet-lite0 or lite1 (smaller; their figures are not comparable with "
            "published ones; lite1 judges what was trained by features of lite0), of the Inception "
            "network with weights of your own, or their pixels.",
            parse=parse_features,
            suggested=(INCEPTION, *LITES, NONE),
        ),
    ] = INCEPTION
    weights: Annotated[
        Path | None,
        Option(
            "--weights FILE",
            "Features",
            "Where pt_inception-2015-12-05-6726825d.pth is.  [default: $UNSUP_FAST_INCEPTION, "
            "or torch's cache]",
            parse=parse_weights_file,
        ),
    ] = None
    download: Annotated[
        bool, Option("--download", "Features", "Fetch the weights into torch's cache if need be.")
    ] = False
    resize: Annotated[
        str,
        Option(
            "--resize",
            "Features",
            "How pictures come to 299 x 299: as in the original, in clean-fid, in pytorch-fid.",
            choices=(RESIZE, "clean", "pytorch-fid"),
        ),
    ] = RESIZE
    side: Annotated[
        int | None,
        Option(
            "--side N",
            "Features",
            f"Side that pictures become for --features {' and '.join(LITES)}.  [default: 64]",
            least=32,
            most=MOST_SIDE,
        ),
    ] = None
    size: Annotated[
        tuple[int, int] | None,
        Option(
            "--size HxW",
            "Data",
            "Bring pictures of files to one size first, in bytes.",
            parse=partial(parse_sides, square=False),
            role="other",
        ),
    ] = None
    batch_size: Annotated[
        int, Option("--batch-size N", "Performance", "Pictures per batch.", least=1, role="other")
    ] = 32
    device: Annotated[
        str,
        Option(
            "--device NAME",
            "Performance",
            "Device for the network: cpu, cuda, cuda:1 ...",
            parse=parse_device,
            role="other",
        ),
    ] = "cpu"
    precision: Annotated[
        str,
        Option(
            "--precision",
            "Performance",
            "Precision of the network; bfloat16 features differ by 1 %.",
            choices=("float32", "bfloat16"),
            role="other",
        ),
    ] = "float32"

    def check(self) -> None:
        """Refuse the published weights for features that are not Inception's."""
        if self.features != INCEPTION and (self.weights or self.download):
            raise UserError(f"--weights and --download are for --features {INCEPTION}; pass one")
        check_resize(self.features, self.resize)
        if self.features not in LITES and self.side is not None:
            raise UserError(f"--side is for --features {' and '.join(LITES)}; pass both")


def check_resize(features: str | None, resize: str) -> None:
    """Refuse options of the Inception network's resizing for features of EfficientNet-lite."""
    if features in LITES and resize != RESIZE:
        raise UserError(f"--resize is for --features {INCEPTION}; pass one of them")


FEATURES = options(FeatureSettings)


@dataclass(frozen=True, kw_only=True)
class ComparisonSettings(CommandSettings):
    """The options of a command that may compare samples of a model with pictures."""

    features: Annotated[
        str | None,
        replace(
            FEATURES["features"],
            help="Compute the FID too, on features of the Inception network of the published "
            "scores, of EfficientNet-lite0 or lite1 (not comparable with published figures; lite1 "
            "judges what was trained by features of lite0), of the Inception network with weights "
            "of your own, or on pixels.",
        ),
    ] = None
    weights: Annotated[Path | None, FEATURES["weights"]] = None
    resize: Annotated[str, FEATURES["resize"]] = RESIZE

    def check(self) -> None:
        """Refuse weights and resizing of a network that is not used."""
        super().check()
        check_resize(self.features, self.resize)
        if self.weights is None or self.features == INCEPTION:
            return
        if self.features is None:
            raise UserError(f"--weights: is for --features {INCEPTION}; pass both")
        raise UserError(f"--weights is for --features {INCEPTION}; pass one of them")

    def on(self, device: str) -> FeatureSettings | None:
        """Return what pictures are compared by, on a device; None if they are not."""
        if self.features is None:
            return None
        return FeatureSettings(
            features=self.features, weights=self.weights, resize=self.resize, device=device
        )
