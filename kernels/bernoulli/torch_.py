"""`bernoulli` as operations of torch: what they give a compiler, and the gradient."""

from typing import Any

import torch
from torch import Tensor

from unsup_fast.kernels import _batch
from unsup_fast.kernels._dispatch import choose
from unsup_fast.kernels._operators import operator
from unsup_fast.kernels.bernoulli import native, ref


@operator("bernoulli")
def bernoulli(
    p: Tensor,
    seed: int | None,
    seeds: Tensor | None,
    stream: int,
    n_threads: int | None,
    backend: str | None,
) -> Tensor:
    """Return bits, float32 [B, D], of p [B, D]; seed and stream are signed."""
    draw = implementation(DRAWS, p, backend)
    out: Tensor = draw(p, seed, seeds, stream, n_threads)
    return out


@bernoulli.register_fake
def _fake(p: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(p, dtype=torch.float32)


@operator("bernoulli_log_prob", differentiable=True)
def bernoulli_log_prob(
    logits: Tensor, x: Tensor, n_threads: int | None, backend: str | None
) -> Tensor:
    """Return log-likelihoods [K, B] in the type of x, of logits [K, B, D] and x [B, D]."""
    run = implementation(FORWARD, logits, backend)
    out: Tensor = run(logits, x, n_threads)
    return out


@bernoulli_log_prob.register_fake
def _log_prob_fake(logits: Tensor, x: Tensor, *_: Any) -> Tensor:
    return x.new_empty(logits.shape[:2])


@operator("bernoulli_log_prob_gradient")
def gradient(
    of_log_prob: Tensor, logits: Tensor, x: Tensor, n_threads: int | None, backend: str | None
) -> Tensor:
    """Return the gradient with respect to the logits [K, B, D], of that of [K, B]."""
    run = implementation(BACKWARD, logits, backend)
    of_logits: Tensor = run(of_log_prob.contiguous(), logits, x, n_threads)
    return of_logits


@gradient.register_fake
def _gradient_fake(of_log_prob: Tensor, logits: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(logits)


def _setup(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(*inputs[:2])
    ctx.rest = inputs[2:]


def _backward(ctx: Any, of_log_prob: Tensor) -> tuple[Any, ...]:
    logits, x = ctx.saved_tensors
    if torch.is_grad_enabled():  # the gradient is to have a gradient, which the kernel has not
        of_logits = ref.gradient(of_log_prob, logits, x).to(logits.dtype)
    else:
        of_logits = gradient(of_log_prob, logits, x, *ctx.rest)
    return of_logits, None, None, None


bernoulli_log_prob.register_autograd(_backward, setup_context=_setup)


class LogProb(torch.autograd.Function):
    """The same for tensors that nothing traces, with less to do around it."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, x: Tensor, n_threads: int | None, backend: str | None
    ) -> Tensor:
        """Return log-likelihoods [K, B] in the type of x, of logits [K, B, D] and x [B, D]."""
        _setup(ctx, (logits, x, n_threads, backend), None)
        out: Tensor = implementation(FORWARD, logits, backend)(logits, x, n_threads)
        return out

    @staticmethod
    def backward(ctx: Any, of_log_prob: Tensor) -> tuple[Any, ...]:
        """Return the gradient with respect to the logits."""
        if torch.is_grad_enabled():
            return _backward(ctx, of_log_prob)
        (logits, x), (n_threads, backend) = ctx.saved_tensors, ctx.rest
        run = implementation(BACKWARD, logits, backend)
        return run(of_log_prob.contiguous(), logits, x, n_threads), None, None, None


def implementation(
    known: tuple[dict[str, Any], dict[str, Any]], x: Tensor, backend: str | None
) -> Any:
    """Return what runs for a tensor of this device."""
    host, device = known
    if x.device.type == "cpu":
        return choose("bernoulli", host, backend)
    return choose("bernoulli", device, backend, "triton")


def formulas(logits: Tensor, x: Tensor) -> Tensor:
    """Return log-likelihoods by operations of torch in float64, in the type of x."""
    return ref.bernoulli_log_prob(logits, x).to(x.dtype)


def _ref_draws(
    p: Tensor, seed: int | None, seeds: Tensor | None, stream: int, n_threads: int | None
) -> Tensor:
    keys = torch.tensor([seed]) if seeds is None else seeds.cpu()
    if p.numel() == 0:
        return torch.empty_like(p, dtype=torch.float32)
    bits = ref.bernoulli(p.cpu().numpy(), keys.numpy().view("u8"), stream % (1 << 64))
    return torch.from_numpy(bits).to(p.device)


def _ref(logits: Tensor, x: Tensor, n_threads: int | None) -> Tensor:
    return formulas(logits, x)


def _ref_gradient(of_log_prob: Tensor, logits: Tensor, x: Tensor, n_threads: int | None) -> Tensor:
    return ref.gradient(of_log_prob, logits, x).to(logits.dtype)


def _numba(name: str) -> Any:
    def run(*arguments: Any) -> Tensor:
        from unsup_fast.kernels.bernoulli import numba_

        out: Tensor = getattr(numba_, name)(*arguments)
        return out

    return run


def _triton(name: str) -> Any:
    def run(x: Tensor, *arguments: Any) -> Tensor:
        _batch.on_gpu("x", x)
        from unsup_fast.kernels.bernoulli import triton_

        out: Tensor = getattr(triton_, name)(x, *arguments)
        return out

    return run


def _known(name: str, compiled: Any, reference: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    device = {"triton": _triton(name), "ref": reference}
    return {"native": compiled, "numba": _numba(name), **device}, device


DRAWS = _known("bernoulli", native.bernoulli, _ref_draws)
FORWARD = _known("bernoulli_log_prob", native.bernoulli_log_prob, _ref)
BACKWARD = _known("gradient", native.gradient, _ref_gradient)
