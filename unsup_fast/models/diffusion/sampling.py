"""Run a sampler's table: one call of the model and one fused step for each row.

Nothing waits for a GPU. On a GPU the whole loop is one CUDA graph, captured at the first call with
a model, a table and a shape, and replayed at later ones.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unsup_fast.kernels.denoise import denoise
from unsup_fast.kernels.sampler_terms import (
    ANCHOR_ANCHOR,
    ANCHOR_HISTORY,
    ANCHOR_KEEP,
    ANCHOR_X,
    GUIDANCE,
    N_HISTORY,
    NEXT_NOISE,
)
from unsup_fast.models.diffusion import _graphs, _progress
from unsup_fast.models.training.draws import Seed, spread_seed
from unsup_fast.solvers.table import Table

Model = Callable[[Tensor, Tensor], Any]
"""Called as model(x [B, ...], t [B]); returns a tensor like x, or what holds one."""
Both = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Called as both(x [B, ...], t [B]); returns a model's output and the unconditional one."""
Noise = Sequence[Tensor]


def initial_noise(
    table: Table,
    shape: Sequence[int],
    *,
    seed: Seed,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Return the noise that a table starts from: init_noise_sigma times standard normal numbers.

    Parameters
    ----------
    table : Table
        Table of a sampler.
    shape : sequence of int
        (B, ...).
    seed : int, or one int a sample
        As for `unsup_fast.kernels.randn.randn`; stream 0, which no step uses.
    dtype, device
        Type and device of the tensor; float32 on the host by default.

    Returns
    -------
    tensor of `shape`
    """
    from unsup_fast.kernels.randn import randn

    size = tuple(shape)
    seeds = spread_seed(seed, size[0])
    return randn(size, seed=seeds, dtype=dtype or torch.float32, device=device).mul_(
        table.init_noise_sigma
    )


def sample(
    model: Model,
    table: Table,
    x: Tensor | npt.NDArray[Any],
    *,
    seed: Seed | None = None,
    noise: Noise | None = None,
    guidance: float | None = None,
    guidance_interval: tuple[float, float] | None = None,
    uncond: Model | None = None,
    both: Both | None = None,
    threshold: tuple[float, float] | None = None,
    callback: Callable[[int, Tensor], object] | None = None,
    progress: bool | Callable[[int, int, float], object] = False,
    graph: bool | None = None,
    n_threads: int | None = None,
) -> Any:
    """Return the samples of a model, by running a table from `x`.

    Parameters
    ----------
    model : callable
        Called as model(x, t) -> output like x. t has shape (B,) and type float32 (float64 for
        float64 x).
        A tuple or an object with `sample`, as diffusers' networks return, is unpacked.
    table : Table
        Table of a sampler of `unsup_fast.solvers`.
    x : tensor or ndarray of shape (B, ...)
        Where to start: see `initial_noise`, or signal * x_0 + sigma * eps. It is not changed. If
        it is an array, the model is called with arrays.
    seed : int, or one int a sample, optional
        Seed of the noise of the steps: row i takes stream i + 1 of a sample's seed, so a sample
        does not depend on its batch. By default the seed is drawn from torch's generator.
    noise : sequence of R tensors like x, optional
        Noise for each row, instead of noise drawn from `seed`.
    guidance : float, optional
        Weight g of classifier-free guidance, uncond + g (output - uncond).
    guidance_interval : (low, high), optional
        Guide at noise levels low < sigma / signal <= high alone (Kynkaanniemi et al. 2024).
    uncond : callable, optional
        The unconditional model, called with `model` at each row whose weight is not 1.
    both : callable, optional
        Called as both(x, t) -> (output, unconditional output) at those rows, in place of `model`
        and `uncond`: one call of a network of both. For tensors.
    threshold : (quantile, greatest), optional
        Dynamic thresholding, as for `unsup_fast.kernels.denoise.denoise`.
    callback : callable, optional
        Called as callback(row, x) after each row. The next row overwrites x.
    progress : bool or callable
        Whether to show a bar; a function is called as progress(done, rows, seconds
        left). It waits for the device after each row.
    graph : bool, optional
        Whether to run as one CUDA graph; by default on a GPU unless `callback`, `progress` or
        `noise` is given. The model must always do the same work on the same memory.
    n_threads : int, optional
        As for `denoise`.

    Returns
    -------
    tensor or ndarray like x

    Raises
    ------
    TypeError, ValueError
        If arguments do not fit each other.
    """
    if isinstance(x, np.ndarray):
        if both is not None:
            raise TypeError("both takes tensors; pass x as a tensor, or leave both out")
        tensors = None if noise is None else [torch.as_tensor(z) for z in noise]
        samples = sample(
            _on_arrays(model),
            table,
            torch.from_numpy(np.ascontiguousarray(x)),
            seed=seed,
            noise=tensors,
            guidance=guidance,
            guidance_interval=guidance_interval,
            uncond=None if uncond is None else _on_arrays(uncond),
            threshold=threshold,
            callback=callback,
            progress=progress,
            n_threads=n_threads,
        )
        return samples.numpy()
    _check(table, x, noise, guidance, uncond)
    if guidance is not None:
        table = table.guided(guidance, guidance_interval)
    elif guidance_interval is not None:
        raise ValueError("guidance_interval limits guidance; pass guidance as well")
    if uncond is None and both is not None:
        raise ValueError("both stands in for model and uncond; pass guidance and uncond as well")
    plan = _plan(table)
    watched = callback is not None or progress is not False
    if graph and (watched or noise is not None or x.device.type != "cuda"):
        raise ValueError(
            "graph=True runs all rows at once on a CUDA tensor and draws the noise itself; leave "
            "out callback, progress and noise, or pass graph=False"
        )
    draws = any(plan.draws) and noise is None
    if draws and seed is None:
        seed = int(torch.randint(0, 1 << 62, (), dtype=torch.int64))
    seeds = None if seed is None or not draws else spread_seed(seed, len(x))
    with torch.no_grad():
        if graph or (graph is None and x.device.type == "cuda" and not watched and noise is None):
            what = (model, uncond, both, plan.timesteps, plan.rows, *plan[2:], threshold)
            return _graphs.run(
                what, lambda: _runner(model, uncond, both, plan, x, threshold), x, seeds
            )
        after = _progress.watch(callback, progress, len(table.rows), x.device)
        loop = _runner(model, uncond, both, plan, x, threshold, noise, after, n_threads)
        try:
            return loop(x, None if seeds is None else seeds.to(x.device))
        finally:
            after.close()


class Plan(NamedTuple):
    """A table on the host, hashable.

    Attributes
    ----------
    timesteps, rows : bytes
        As in `Table`, float64.
    scales : tuple of float
        As in `Table`.
    draws, anchors : tuples of bool
        Whether a row adds noise, and whether it computes an anchor.
    guided : tuple of bool
        Whether a row needs the unconditional output, which with weight 1 it does not.
    history, direct
        As in `Table`.
    """

    timesteps: bytes
    rows: bytes
    scales: tuple[float, ...]
    draws: tuple[bool, ...]
    anchors: tuple[bool, ...]
    guided: tuple[bool, ...]
    history: int
    direct: bool


def _plan(table: Table) -> Plan:
    rows = np.asarray(table.rows)
    makes_anchor = [ANCHOR_X, ANCHOR_KEEP, ANCHOR_ANCHOR]
    makes_anchor += range(ANCHOR_HISTORY, ANCHOR_HISTORY + N_HISTORY)
    return Plan(
        np.asarray(table.timesteps).tobytes(),
        rows.tobytes(),
        tuple(table.scales.tolist()),
        tuple((rows[:, NEXT_NOISE] != 0).tolist()),
        tuple((rows[:, makes_anchor] != 0).any(axis=1).tolist()),
        tuple((rows[:, GUIDANCE] != 1).tolist()),
        table.history,
        table.direct,
    )


def _runner(
    model: Model,
    uncond: Model | None,
    both: Both | None,
    plan: Plan,
    like: Tensor,
    threshold: tuple[float, float] | None,
    noise: Noise | None = None,
    after: Callable[[int, Tensor], None] | None = None,
    n_threads: int | None = None,
) -> _graphs.Loop:
    """Return loop(x, seeds), which runs all rows and returns the last sample in new memory."""
    n_rows = len(plan.scales)
    rows = torch.frombuffer(bytearray(plan.rows), dtype=torch.float64).view(n_rows, -1)
    timesteps = torch.frombuffer(bytearray(plan.timesteps), dtype=torch.float64)
    if like.dtype != torch.float64:
        timesteps = timesteps.float()
    timesteps = timesteps.to(like.device)  # [R]
    if like.device.type == "cuda":
        rows = rows.to(like.device)  # [R, N_TERMS]

    def loop(x: Tensor, seeds: Tensor | None) -> Tensor:
        out = torch.empty_like(x)
        anchor = None
        history: list[Tensor] = []  # earlier outputs, newest first
        for i, scale in enumerate(plan.scales):
            model_input = x if scale == 1 else x * scale
            t = timesteps[i].expand(len(x))  # [B]
            other: Tensor | None = None
            if both is not None and plan.guided[i]:
                output, other = (_output(each, x) for each in both(model_input, t))
            else:
                output = _output(model(model_input, t), x)
                if uncond is not None and plan.guided[i]:
                    other = _output(uncond(model_input, t), x)
            draws = plan.draws[i]
            keep = None
            if plan.direct:
                past = [output] if other is None else [output, other]
            else:
                past = history
                if plan.history:
                    full = len(history) == plan.history
                    keep = history[-1] if full else torch.empty_like(x)
            anchor_out = None
            if plan.anchors[i]:
                anchor_out = torch.empty_like(x) if anchor is None else anchor
            denoise(
                x,
                output,
                rows[i],
                uncond=other,
                history=past,
                anchor=anchor,
                seed=seeds if draws and noise is None else None,
                stream=i + 1,
                noise=noise[i] if draws and noise is not None else None,
                threshold=threshold,
                keep=keep,
                anchor_out=anchor_out,
                out=out,
                n_threads=n_threads,
            )
            x = out
            anchor = anchor if anchor_out is None else anchor_out
            if keep is not None:
                history = [keep, *history[: plan.history - 1]]
            if after is not None:
                after(i, x)
        return out

    return loop


def _unpacked(value: Any) -> Any:
    """Return the first entry of a tuple, and the attribute `sample` of an object that has it."""
    if isinstance(value, tuple):
        value = value[0]
    return getattr(value, "sample", value)


def _output(value: Any, x: Tensor) -> Tensor:
    """Return a model's output as a tensor of the type of x, checked."""
    value = _unpacked(value)
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"the model returned {type(value).__name__}, not a tensor like x")
    if value.shape != x.shape:
        raise ValueError(
            f"the model returned shape {tuple(value.shape)}; it must be {tuple(x.shape)} like x"
        )
    return value.to(x.dtype)


def _on_arrays(model: Model) -> Model:
    def called(x: Tensor, t: Tensor) -> Tensor:
        of_arrays: Any = model
        output = _unpacked(of_arrays(x.numpy(), t.numpy()))
        return torch.from_numpy(np.ascontiguousarray(output))

    return called


def _check(
    table: Table, x: Tensor, noise: Noise | None, guidance: float | None, uncond: Model | None
) -> None:
    if not isinstance(x, torch.Tensor) or not x.is_floating_point() or x.ndim == 0:
        raise TypeError("x must be a tensor or an ndarray of floating-point numbers, (B, ...)")
    if (guidance is None) != (uncond is None):
        missing = "guidance" if guidance is None else "uncond"
        raise ValueError(f"guidance needs two models and a weight: {missing} is missing; pass both")
    if noise is not None and len(noise) != len(table.rows):
        raise ValueError(
            f"noise has {len(noise)} entries; the table has {len(table.rows)} rows, pass one each"
        )
