"""`Diffusion`: a network with its configuration, to sample from, save and load."""

import math
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from unsup_fast.models.base import CUSTOM, WEIGHTS, GenerativeModel, evaluating, sample_count
from unsup_fast.models.diffusion._memory import largest_batch
from unsup_fast.models.diffusion.config import Config, network_of
from unsup_fast.models.diffusion.objective import TrainingObjective
from unsup_fast.models.diffusion.sampling import Both, initial_noise, sample
from unsup_fast.models.training import precision as precisions
from unsup_fast.models.training.draws import Seed, spread_seed
from unsup_fast.models.training.progress import Bar, Report, wanted
from unsup_fast.storage import tensors

STUDENTS = "students"
"""The folder with the student of each number of steps, in a folder of that name."""
ONE_CALL = 1000  # positions of a batch up to which one call of twice the batch beats two calls


class Diffusion(GenerativeModel[Config]):
    """A diffusion model.

    Parameters
    ----------
    network : torch.nn.Module
        Called as network(x [B, ...], time [B], label [B] or None); returns for noisy samples the
        prediction that `config.objective` trains. With `config.guidance` it is called with the
        weights as a fourth argument, guidance [B].
    config : Config

    Attributes
    ----------
    network, config
        The arguments.
    objective : TrainingObjective
        Noise levels, and the time passed to the network at each.
    """

    kind = tensors.DIFFUSION
    config_type = Config
    objective: TrainingObjective

    def __init__(self, network: Module, config: Config) -> None:
        super().__init__(network, config)
        self.objective = config.training_objective()
        self._conditioned_networks: dict[tuple[Any, ...], _Conditioned] = {}

    def __repr__(self) -> str:
        config = self.config
        parameters = sum(each.numel() for each in self.network.parameters())
        size = "" if config.network == CUSTOM else f" {config.size}"
        shape = " x ".join(map(str, config.shape))
        classes = f", {len(config.classes)} classes" if config.classes else ""
        return (
            f"<Diffusion: {shape}, {config.network}{size}, {config.objective}{classes}, "
            f"{parameters:,} parameters on {self.device}>"
        )

    @staticmethod
    def network_of(config: Config, seed: int) -> Module:
        """Return a new network with weights drawn from a seed; see `GenerativeModel`."""
        return network_of(config, seed)

    def sample(
        self,
        n: int | None = None,
        *,
        sampler: str | None = None,
        steps: int | None = None,
        label: Any = None,
        guidance: float | None = None,
        guidance_interval: tuple[float, float] | None = None,
        seed: Seed = 0,
        batch_size: int | None = None,
        precision: str = "auto",
        progress: bool | Report | None = None,
        callback: Callable[[int, Tensor], object] | None = None,
    ) -> Tensor:
        """Return new samples.

        Parameters
        ----------
        n : int, optional
            Number of samples; by default one for each label or seed, or one.
        sampler : str, optional
            One of `unsup_fast.models.diffusion.config.SAMPLERS`; by default `config.sampler`.
        steps : int, optional
            Number of steps of the sampler; by default `config.steps`.
        label : int, str, or one for each sample, optional
            Class, by number or name; None is any class.
        guidance : float, optional
            Weight of classifier-free guidance: 1 changes nothing, more makes samples more typical
            of their class (Ho & Salimans 2022). A network that takes the weight as an input, see
            `config.guidance`, is called once a step instead of twice; by default the weight is then
            the middle of its range.
        guidance_interval : (low, high), optional
            Guide at noise levels low < sigma / signal <= high alone (Kynkaanniemi et al. 2024). The
            other steps call the network once, as all do with guidance 1.
        seed : int, or one int a sample
            Sample i of a seed is the same, up to rounding, whatever n and batch_size.
        batch_size : int, optional
            Samples in a batch; by default as many as fit a quarter of the free memory, at most 256.
        precision : {"auto", "float32", "bfloat16"}
            Precision of the network; auto is bfloat16 on devices that are faster in it.
        progress : bool or callable, optional
            Whether to show a bar; by default on a terminal and in notebooks, but not for a GPU,
            which would have to wait for it. A function is called as progress(done, rows, seconds
            left), with the rows of the sampler's table in all batches.
        callback : callable, optional
            Called as callback(row, x) after each row of each batch. The next row overwrites x.

        Returns
        -------
        float32 tensor of shape (n, ...)
            On the network's device; pictures lie in [-1, 1].

        Raises
        ------
        TypeError, ValueError
            If arguments do not fit the model or each other.
        """
        n = sample_count(n, label, seed)
        labels = self.labels(label, n)  # [n]
        weight = self._guidance_input(guidance)
        if weight is not None:
            guidance = None
            if guidance_interval is not None:
                raise ValueError(
                    "guidance_interval is for guidance by two calls of the network; this network "
                    "takes the weight as an input, so leave the interval out"
                )
        if guidance is not None and labels is None:
            raise ValueError("guidance needs a label to be guided to; pass label as well")
        if guidance is not None and not math.isfinite(guidance):
            raise ValueError(
                f"guidance={guidance} must be finite; 1 changes nothing, 2 to 5 are usual"
            )
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size={batch_size} must be at least 1")
        seeds = spread_seed(seed, n)
        if len(seeds) != n:
            raise ValueError(f"{len(seeds)} seeds are given for {n} samples; pass one for each")
        table = self.config.table(
            self.config.sampler if sampler is None else sampler,
            self.config.steps if steps is None else steps,
        )
        device = self.device
        dtype = precisions.chosen(precision, device)
        size = batch_size or min(
            n, largest_batch(self.network, self.config.shape, device, guided=weight is not None)
        )
        if not callable(progress):
            progress = wanted(progress) and (progress is True or device.type != "cuda")
        report = _Batches(progress, len(table.rows), math.ceil(n / size))
        samples = torch.empty(n, *self.config.shape, device=device)
        with closing(report), evaluating(self.network):
            for start in range(0, n, size):
                mine = seeds[start : start + size]
                x = initial_noise(table, (len(mine), *self.config.shape), seed=mine, device=device)
                classes = None if labels is None else labels[start : start + size]
                samples[start : start + size] = sample(
                    self._conditioned(classes, len(mine), dtype, weight),
                    table,
                    x,
                    seed=mine,
                    guidance=guidance,
                    guidance_interval=guidance_interval,
                    uncond=None if guidance is None else self._conditioned(None, len(mine), dtype),
                    both=None if guidance is None else self._both(classes, dtype),
                    callback=callback,
                    progress=report.of(start // size),
                )
        return samples

    def _both(self, labels: Tensor | None, dtype: torch.dtype) -> Both | None:
        """Return the network bound to labels and to none in one batch, where that is faster."""
        if labels is None or self.config.network == CUSTOM or self.device.type != "cpu":
            return None
        _, *sides = self.config.shape
        if len(labels) * math.prod(sides) > ONE_CALL * self.config.patch**2:
            return None
        hidden = torch.full_like(labels, len(self.config.classes))
        both = torch.cat([labels, hidden])  # [2 B]
        return self._conditioned(both, len(both), dtype).both

    def _guidance_input(self, guidance: float | None) -> float | None:
        """Return the weight that the network takes as an input, or None if it takes none."""
        if self.config.guidance is None:
            return None
        low, high = self.config.guidance
        weight = (low + high) / 2 if guidance is None else float(guidance)
        if not low <= weight <= high:
            raise ValueError(
                f"guidance={guidance} is outside the weights from {low:g} to {high:g} that this "
                "model was distilled for; pass one of these"
            )
        return weight

    def _conditioned(
        self, labels: Tensor | None, size: int, dtype: torch.dtype, weight: float | None = None
    ) -> "_Conditioned":
        """Return the network bound to labels, in memory that stays the same for CUDA graphs."""
        key = (self.network, size, labels is None, dtype, self.device, weight is None)
        if key not in self._conditioned_networks:
            weights = None if weight is None else torch.empty(size, device=self.device)  # [B]
            self._conditioned_networks[key] = _Conditioned(
                self.network, labels, dtype, self.device, weights
            )
        conditioned = self._conditioned_networks[key]
        if conditioned.weights is not None:
            assert weight is not None  # as it is part of the key
            conditioned.weights.fill_(weight)
        if conditioned.labels is not None:
            assert labels is not None  # as it is part of the key
            conditioned.labels.copy_(labels)
        return conditioned


class _Conditioned:
    """The network bound to class labels, and to a guidance weight if it takes one."""

    def __init__(
        self,
        network: Module,
        labels: Tensor | None,
        dtype: torch.dtype,
        device: torch.device,
        weights: Tensor | None,
    ) -> None:
        self._network, self._dtype, self._device = network, dtype, device
        self.weights = weights
        self.labels = None if labels is None else torch.empty_like(labels, device=device)

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        with precisions.autocast(self._dtype, self._device):
            if x.ndim == 4:
                x = x.contiguous(memory_format=torch.channels_last)
            weights = () if self.weights is None else (self.weights,)
            return self._network(x, t, self.labels, *weights).contiguous()

    def both(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs for x under the first and the second half of the labels."""
        output, other = self(torch.cat([x, x]), torch.cat([t, t])).chunk(2)
        return output, other


class _Batches:
    """Progress over the rows of several batches."""

    def __init__(self, progress: bool | Report, n_rows: int, n_batches: int) -> None:
        bar = Bar(n_rows * n_batches) if progress is True else None
        self._report: Report | None = bar or (progress if callable(progress) else None)
        self._bar, self._rows, self._batches = bar, n_rows, n_batches
        self._begun = monotonic()

    def of(self, batch: int) -> bool | Report:
        """Return the `progress` argument of `sample` for a batch."""
        report = self._report
        if report is None:
            return False

        def shown(done: int, rows: int, left: float) -> None:
            total, so_far = rows * self._batches, rows * batch + done
            pace = (monotonic() - self._begun) / so_far
            report(so_far, total, pace * (total - so_far))

        return shown

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()


def load(
    folder: str | os.PathLike[str],
    *,
    device: torch.device | str | None = None,
    network: Module | None = None,
    steps: int | None = None,
) -> Diffusion:
    """Read a model that `Diffusion.save` wrote; parameters and errors as in `Diffusion.load`.

    Parameters
    ----------
    steps : int, optional
        The student of so many steps, where `distill` wrote one for each number of steps.

    Raises
    ------
    ValueError
        If the folder has no such student.
    """
    if steps is None:
        return Diffusion.load(folder, device=device, network=network)
    students = student_steps(Path(folder))
    if steps not in students:
        which = f"those of {students} steps" if students else "a model without students"
        raise ValueError(f"'{folder}' holds no student of steps={steps}, but {which}")
    return Diffusion.load(Path(folder) / STUDENTS / str(steps), device=device, network=network)


def student_steps(folder: Path) -> list[int]:
    """Return the numbers of steps that have a student of their own in a folder."""
    names = [path.parent.name for path in (folder / STUDENTS).glob(f"*/{WEIGHTS}")]
    return sorted(int(name) for name in names if name.isdecimal())
