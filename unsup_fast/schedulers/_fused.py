"""Parts shared by all schedulers: the noise of a step, its types, and its timestep."""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias, TypeGuard, TypeVar, cast

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from unsup_fast.kernels.denoise import denoise
from unsup_fast.schedulers._fallback import Fallback

Method = TypeVar("Method", bound=Callable[..., Any])

Generators: TypeAlias = torch.Generator | list[torch.Generator] | None
Timestep: TypeAlias = float | Tensor

PREDICTIONS = ("epsilon", "sample", "v_prediction")
HALF_TYPES = (torch.float16, torch.bfloat16)


def signature_of(theirs: Callable[..., Any]) -> Callable[[Method], Method]:
    """Copy the signature of diffusers' own method, which pipelines and `from_config` inspect."""
    return cast("Callable[[Method], Method]", functools.wraps(theirs, assigned=()))


def refuse_index(timestep: Timestep) -> None:
    """Raise if a timestep is a whole number, which is likely an index, as diffusers does."""
    if isinstance(timestep, (int, torch.IntTensor, torch.LongTensor)):
        raise ValueError(
            f"timestep={timestep} is an integer, as if it were an index; pass an entry of "
            "scheduler.timesteps"
        )


def is_half(timestep: Timestep) -> TypeGuard[Tensor]:
    """Return whether a timestep is a tensor of a type that rounds whole numbers."""
    return isinstance(timestep, torch.Tensor) and timestep.dtype in HALF_TYPES


def is_plain(model_output: Tensor, sample: Tensor) -> bool:
    """Return whether a kernel can take a step: real tensors of one shape, without a gradient."""
    if torch.is_grad_enabled() and (model_output.requires_grad or sample.requires_grad):
        return False
    if model_output.shape != sample.shape or sample.ndim == 0:
        return False
    return not (model_output.is_complex() or sample.is_complex())


def same_shape(image: Tensor, noise: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Return image and noise in one type and shape, repeated where n timesteps have one sample."""
    image, noise = alike(image, noise)
    if image.shape != noise.shape:
        image, noise = torch.broadcast_tensors(image, noise)
    if n > 1 and len(image) == 1:
        image, noise = (x.expand(n, *x.shape[1:]) for x in (image, noise))
    if n not in (1, len(image)):
        raise ValueError(f"timesteps has {n} entries for {len(image)} samples; pass one each")
    return image, noise


def alike(sample: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """Return the tensors in the common type of torch's type promotion."""
    if all(x.dtype == sample.dtype for x in others):
        return (sample, *others)
    dtype = functools.reduce(torch.promote_types, (x.dtype for x in others), sample.dtype)
    return tuple(x.to(dtype) for x in (sample, *others))


def state(*parts: object) -> tuple[Any, ...]:
    """Return a key that changes when a part is replaced, or a tensor is written to."""
    versions = (
        None if not isinstance(part, torch.Tensor) or part.is_inference() else part._version
        for part in parts
    )
    return (*parts, *versions)


def unchanged(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Return whether two results of `state` are of the same parts in the same state."""
    return len(one) == len(other) and all(
        a == b if isinstance(a, int) else a is b for a, b in zip(one, other, strict=True)
    )


class Fused(Fallback):
    """Base of all schedulers, combined with diffusers' class of the same name."""

    _seed: int | None = None
    _draws = 0
    _host: list[float] | None = None
    _host_of: tuple[Any, ...] = ()

    timesteps: Tensor

    def _restart(self) -> None:
        """Forget the last run, and copy the timesteps to the host here rather than in `step`."""
        self._seed = None
        self._draws = 0
        self._times()

    def _times(self) -> list[float]:
        """Return the timesteps on the host."""
        now = state(self.timesteps)
        if self._host is None or not unchanged(self._host_of, now):
            self._host, self._host_of = self.timesteps.tolist(), now
        return self._host

    def _value(self, timestep: Timestep) -> float:
        """Return the number in a timestep without waiting for the device.

        Pipelines iterate over `timesteps`, so they pass a view into it, whose offset is the index
        of the step. Only another tensor on a device is read back.
        """
        if not isinstance(timestep, torch.Tensor):
            return float(timestep)
        if timestep.device.type != "cpu" and timestep.numel() == 1:
            times = self.timesteps
            if timestep.untyped_storage().data_ptr() == times.untyped_storage().data_ptr():
                ahead = timestep.storage_offset() - times.storage_offset()
                return float(self._times()[ahead // (times.stride(0) or 1)])
        return float(timestep)

    def _drawn(
        self, x: Tensor, generator: Generators, dtype: torch.dtype | None = None
    ) -> dict[str, Any]:
        """Return the arguments that give a kernel its noise.

        With a generator (or one per sample) torch draws it, as in diffusers; without, the kernel
        draws it from a seed that is taken from torch's global generator once per run.
        """
        if generator is not None:
            drawn = randn_tensor(
                x.shape, generator=generator, device=x.device, dtype=dtype or x.dtype
            )
            return {"noise": drawn.to(x.dtype)}
        if self._seed is None:
            self._seed = int(torch.randint(1 << 62, (), dtype=torch.int64))
        self._draws += 1
        return {"seed": self._seed, "stream": self._draws - 1}

    def _threshold(self) -> tuple[float, float] | None:
        """Return the `threshold` of `denoise`, or None without dynamic thresholding."""
        if not self.config.thresholding:
            return None
        return self.config.dynamic_thresholding_ratio, self.config.sample_max_value

    def _clip(self) -> float | None:
        """Return the range that x_0 is clipped to, or None without clipping."""
        if self.config.thresholding or not self.config.clip_sample:
            return None
        return float(self.config.clip_sample_range)


def step_and_image(
    sample: Tensor, output: Tensor, row: Tensor, **options: Any
) -> tuple[Tensor, Tensor]:
    """Return the next sample and the x_0 that the model predicts."""
    image = torch.empty_like(sample)
    return denoise(sample, output, row, keep=image, **options), image
