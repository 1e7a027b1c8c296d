"""The folder of a diffusers AutoencoderKL: `config.json` and its weights as safetensors."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn import Module

from unsup_fast.models.vae.kl_config import KLConfig
from unsup_fast.storage import atomic, records, tensors
from unsup_fast.storage.records import DamagedError

SETTINGS, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"
CLASS = "AutoencoderKL"
DOWN, UP = "DownEncoderBlock2D", "UpDecoderBlock2D"
# What diffusers takes for settings that a file leaves out, where it differs from KLConfig.
DEFAULTS = {
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": [64],
    "norm_num_groups": 32,
    "sample_size": 32,
    "scaling_factor": 0.18215,
}
SAME = (
    "latent_channels",
    "block_out_channels",
    "layers_per_block",
    "norm_num_groups",
    "use_quant_conv",
    "use_post_quant_conv",
    "mid_block_add_attention",
    "scaling_factor",
    "shift_factor",
    "latents_mean",
    "latents_std",
)
"""Settings of the same name and meaning."""
# Settings that say nothing about what the network computes.
IGNORED = ("force_upcast",)
# Names of the layers of attention in files of before 2023.
OLD_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_OLD = re.compile(rf"(\.attentions\.\d+\.)({'|'.join(OLD_NAMES)})(\.(?:weight|bias))$")


def read(folder: str | os.PathLike[str]) -> tuple[KLConfig, dict[str, Tensor]]:
    """Return the configuration and the weights, by their present names, in a folder.

    Raises
    ------
    ValueError
        If a file is damaged, or the configuration has what KLConfig has not.
    OSError
        If a file cannot be opened.
    """
    path = Path(folder) / SETTINGS
    try:
        settings = records.loads(path.read_bytes())
        if not isinstance(settings, dict):
            raise ValueError("it is no JSON object")
    except ValueError as error:
        raise DamagedError(path, f"it is not valid JSON ({error})") from None
    config = _config(settings, path)
    weights = tensors.read_foreign(Path(folder) / WEIGHTS)
    return config, {_present(name): value for name, value in weights.items()}


def load_weights(
    network: Module, weights: Mapping[str, Tensor], folder: str | os.PathLike[str]
) -> None:
    """Copy weights into a network, as float32.

    Raises
    ------
    ValueError
        If they have not the names and shapes of the network's, or are not numbers of floating
        point.
    """
    path, expected = Path(folder) / WEIGHTS, network.state_dict()
    for name in sorted({*weights, *expected}):
        if name not in weights:
            raise DamagedError(path, f"{name} is missing, which {SETTINGS} asks for")
        if name not in expected:
            raise DamagedError(path, f"{records.shown(name)} is no tensor of what {SETTINGS} says")
        shape = tuple(weights[name].shape)
        if shape != tuple(expected[name].shape) or not weights[name].is_floating_point():
            raise DamagedError(
                path,
                f"{name} is of {weights[name].dtype} and shape {shape}; {SETTINGS} asks for floats "
                f"of shape {tuple(expected[name].shape)}",
            )
    network.load_state_dict({name: value.float() for name, value in weights.items()})


def write(folder: str | os.PathLike[str], config: KLConfig, weights: Mapping[str, Tensor]) -> None:
    """Write a folder that `read` and diffusers read.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    where = Path(folder)
    where.mkdir(parents=True, exist_ok=True)
    levels, (_, height, width) = len(config.block_out_channels), config.shape
    settings = {
        "_class_name": CLASS,
        "in_channels": config.shape[0],
        "out_channels": config.shape[0],
        "down_block_types": [DOWN] * levels,
        "up_block_types": [UP] * levels,
        "act_fn": "silu",
        "sample_size": height if height == width else [height, width],
        **{name: getattr(config, name) for name in SAME},
    }
    what = "the autoencoder"
    tensors.write(where / WEIGHTS, weights, {}, kind=tensors.DIFFUSERS, what=what)
    text = records.dumps(settings, what, indent=2) + "\n"
    atomic.write_bytes(where / SETTINGS, text.encode(), what)


def _config(settings: Mapping[str, Any], path: Path) -> KLConfig:
    """Return the configuration of a file's settings."""
    class_name = settings.get("_class_name", CLASS)
    if class_name != CLASS:
        raise DamagedError(path, f"it describes a {records.shown(class_name)}, not an {CLASS}")
    values = {**DEFAULTS, **{key: settings[key] for key in settings if not key.startswith("_")}}
    widths = values["block_out_channels"]
    if not isinstance(widths, list):
        raise DamagedError(path, f"block_out_channels={records.shown(widths)} is not a list")
    for name, supported in (("down_block_types", DOWN), ("up_block_types", UP)):
        kinds = values.pop(name, [supported])
        if kinds != [supported] * len(widths):
            raise DamagedError(
                path,
                f"{name}={records.shown(kinds)} is not supported; only {supported!r} for each of "
                f"{len(widths)} block_out_channels is",
            )
    if values.pop("act_fn", "silu") not in ("silu", "swish"):
        raise DamagedError(path, f"act_fn={records.shown(settings['act_fn'])} is not supported")
    channels, outputs = values.pop("in_channels"), values.pop("out_channels")
    if channels != outputs:
        raise DamagedError(
            path,
            f"in_channels={records.shown(channels)} and out_channels={records.shown(outputs)} "
            "differ, which is not supported",
        )
    side = values.pop("sample_size")
    sides = tuple(side) if isinstance(side, list) else (side, side)
    for name in IGNORED:
        values.pop(name, None)
    unknown = sorted(values.keys() - set(SAME))
    if unknown:
        raise DamagedError(path, f"setting {records.shown(unknown[0])} is not supported")
    try:
        return KLConfig(shape=(channels, *sides), **values)
    except (TypeError, ValueError) as error:
        raise DamagedError(path, str(error)) from None


def _present(name: str) -> str:
    """Return the present name of a tensor."""
    return _OLD.sub(lambda match: f"{match[1]}{OLD_NAMES[match[2]]}{match[3]}", name)
