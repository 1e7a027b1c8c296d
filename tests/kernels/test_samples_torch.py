"""noise and denoise as torch takes them: gradients, and whole graphs of a compiler.

Not at every instruction set: what is tested does not depend on it.
"""

import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from unsup_fast.kernels import sampler_terms as terms  # noqa: E402
from unsup_fast.kernels.denoise import denoise  # noqa: E402
from unsup_fast.kernels.noise import noise  # noqa: E402

SHAPE = (2, 3, 3, 2)


@pytest.fixture(autouse=True)
def one_level(simd):
    from unsup_fast.kernels import _native

    if simd != _native.simd_levels()[-1]:
        pytest.skip("does not depend on the instruction set")


def tensors(n, grad=True):
    rng = np.random.default_rng(0)
    return [torch.from_numpy(rng.normal(size=SHAPE)).requires_grad_(grad) for _ in range(n)]


def row_of(clip):
    row = torch.from_numpy(np.random.default_rng(1).uniform(0.5, 1.5, size=terms.N_TERMS))
    row[terms.CLIP] = clip
    row[terms.NEXT_HISTORY + 2 : terms.NEXT_HISTORY + 4] = 0
    row[terms.ANCHOR_HISTORY + 2 : terms.ANCHOR_HISTORY + 4] = 0
    return row


@pytest.mark.parametrize(
    ("clip", "threshold"), [(np.inf, None), (1.0, None), (np.inf, (0.8, 9.0)), (1.0, (0.9, 1.2))]
)
def test_gradients_of_denoise(clip, threshold):
    row = row_of(clip)

    def step(x, output, uncond, anchor, noise_, *history):
        keep, anchor_out = torch.empty_like(x), torch.empty_like(x)
        out = denoise(x, output, row, uncond=uncond, history=history, anchor=anchor, noise=noise_,
                      threshold=threshold, keep=keep, anchor_out=anchor_out)  # fmt: skip
        return out, keep, anchor_out

    assert torch.autograd.gradcheck(step, tensors(7))


@pytest.mark.parametrize("target", [None, "epsilon", "v_prediction", "flow_prediction"])
def test_gradients_of_noise(target):
    x0, eps = tensors(2)
    signal, sigma = (torch.tensor(v, dtype=torch.float64) for v in ([0.8, 0.3], [0.6, 0.9]))
    assert torch.autograd.gradcheck(
        lambda x0, eps: noise(x0, signal, sigma, eps=eps, target=target), (x0, eps)
    )
    assert torch.autograd.gradcheck(
        lambda x0: noise(x0, signal, sigma, seed=1, target=target), (x0,)
    )


def test_operators_are_what_torch_takes_them_for():
    from unsup_fast.kernels.denoise import torch_ as of_denoise
    from unsup_fast.kernels.noise import torch_ as of_noise

    x, output, uncond, *history = tensors(5)
    row, out = row_of(1.0), torch.empty(SHAPE, dtype=torch.float64)
    args = (x, output, row, uncond, history, None, 3, None, 1, None, None, 1, None)
    row[[terms.NEXT_ANCHOR, terms.ANCHOR_ANCHOR]] = 0
    torch.library.opcheck(of_denoise._denoise.overload, (*args, True, False))
    plain = (x.detach(), output.detach(), row, None, [], None, 3, None, 1, None, None, 1, None)
    row[terms.NEXT_HISTORY : terms.NEXT_HISTORY + 2] = 0
    row[terms.ANCHOR_HISTORY : terms.ANCHOR_HISTORY + 2] = 0
    torch.library.opcheck(
        of_denoise._denoise_into.overload, (*plain, out, None, torch.empty_like(out))
    )
    half = torch.full((2,), 0.5, dtype=torch.float64)
    torch.library.opcheck(
        of_noise._noise.overload, (x, half, half, None, 3, None, 1, "v_prediction", 1, None)
    )
    args = (x.detach(), half, half, None, 3, None, 1, None, 1, None, out, None)
    torch.library.opcheck(of_noise._noise_into.overload, args)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_loop_is_one_graph():
    x, output, anchor = tensors(3, grad=False)
    row = row_of(1.0)
    row[terms.NEXT_HISTORY + 1] = row[terms.ANCHOR_HISTORY + 1] = 0

    def loop(x, output, anchor, row):
        keep = torch.empty_like(x)
        x = denoise(x, output, row, history=[anchor], anchor=anchor, seed=1, stream=1, keep=keep)
        x = denoise(x, output, row, history=[keep], anchor=anchor, seed=1, stream=2, keep=keep,
                    out=x)  # fmt: skip
        x_t, v = noise(x, 0.5, 0.25, seed=2, target="v_prediction")
        return x + 1, keep, x_t, v

    torch._dynamo.reset()
    compiled = torch.compile(loop, fullgraph=True, backend="aot_eager")
    for actual, truth in zip(compiled(x, output, anchor, row), loop(x, output, anchor, row),
                            strict=True):  # fmt: skip
        torch.testing.assert_close(actual, truth)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_step_has_its_gradient():
    x, output, anchor = tensors(3)
    row = row_of(1.0)
    row[terms.NEXT_HISTORY : terms.NEXT_HISTORY + 2] = 0
    row[terms.ANCHOR_HISTORY : terms.ANCHOR_HISTORY + 2] = 0

    def loss(x, output):
        return denoise(x, output, row, anchor=anchor, seed=1).square().sum()

    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    grads = torch.autograd.grad(compiled(x, output), (x, output))
    truth = torch.autograd.grad(loss(x, output), (x, output))
    for f, t in zip(grads, truth, strict=True):
        torch.testing.assert_close(f, t)


@pytest.mark.any_level  # the program that it starts takes the best
def test_the_first_gradient_does_not_load_the_compiler():
    program = (
        "import sys, torch; from unsup_fast.kernels.noise import noise;"
        "x = torch.ones(2, 3, requires_grad=True);"
        "noise(x, 0.5, 0.5, seed=1).sum().backward();"
        "assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
