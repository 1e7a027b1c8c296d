"""Run by test_gpu_cases.py."""

import numpy as np
import pytest
import torch
import triton

from unsup_fast.kernels import sampler_terms as terms
from unsup_fast.kernels.denoise import denoise, triton_
from unsup_fast.kernels.randn import randn

DEVICE = "cpu" if triton.knobs.runtime.interpret else "cuda"
# Triton's interpreter cuts bfloat16 off where a GPU rounds.
BOUNDS = {torch.float32: 1e-5, torch.float64: 1e-13, torch.bfloat16: 2**-6.5, torch.float16: 2**-10}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(triton_, "BLOCK", 128)


def tensor(shape, dtype, number, last=False):
    values = np.random.default_rng(number).normal(size=shape)
    x = torch.from_numpy(values).to(dtype).to(DEVICE)
    return x.contiguous(memory_format=torch.channels_last) if last and len(shape) == 4 else x


def row_of(n_history, rest, clip):
    row = np.random.default_rng(0).uniform(-1.5, 1.5, size=terms.N_TERMS)
    row[terms.CLIP] = clip
    row[terms.NEXT_HISTORY + n_history : terms.NEXT_HISTORY + terms.N_HISTORY] = 0
    row[terms.ANCHOR_HISTORY + n_history :] = 0
    if not rest:
        row[[terms.NEXT_ANCHOR, terms.ANCHOR_ANCHOR, terms.NEXT_NOISE]] = 0
    return torch.from_numpy(row).to(DEVICE)


def near(actual, truth):
    truth = truth.double()
    return bool(((actual.double() - truth).abs() <= BOUNDS[actual.dtype] * (1 + truth.abs())).all())


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("shape", [(1,), (3, 5), (2, 3, 9, 7), (2, 17, 3, 5)])
@pytest.mark.parametrize("last", [(False,), (True,), (False, True), (True, False)])
def test_all_terms_against_the_formula(shape, dtype, last):
    tensors = [tensor(shape, dtype, i, last[i % len(last)]) for i in range(9)]
    for clip, threshold, n_history, rest in (
        (np.inf, None, 0, False),
        (0.7, None, 2, True),
        (np.inf, None, 4, True),
        (np.inf, (0.9, 2.0), 4, False),
    ):
        row = row_of(n_history, rest, clip)
        options = {"history": tensors[5 : 5 + n_history], "threshold": threshold}
        if rest:
            options |= {"uncond": tensors[2], "anchor": tensors[3], "noise": tensors[4]}
        results = []
        for backend in ("triton", "ref"):
            outs = [torch.full_like(tensors[i], torch.nan) for i in range(3)]
            denoise(tensors[0], tensors[1], row, **options, out=outs[0], keep=outs[1],
                    anchor_out=outs[2], backend=backend)  # fmt: skip
            results.append(outs)
        assert all(near(f, t) for f, t in zip(*results, strict=True))


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("shape", [(2, 3, 8, 6), (2, 3, 9, 7)])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("seed", [2**64 - 3, 5, [3, 2**63]])
def test_noise_is_that_of_randn(dtype, shape, last, seed):
    x, output = (tensor(shape, dtype, i, last) for i in range(2))
    row, wide = row_of(0, False, 1.0), dtype == torch.float64
    row[terms.NEXT_NOISE] = 0.5
    drawn = randn(shape, seed=seed, stream=4, dtype=torch.float64 if wide else torch.float32)
    actual = denoise(x, output, row, seed=seed, stream=4, backend="triton")
    assert actual.stride() == x.stride()
    assert near(actual, denoise(x.double(), output.double(), row, noise=drawn.double().to(DEVICE),
                               backend="ref"))  # fmt: skip


def test_inplace_and_what_has_no_coefficient():
    x, output = (tensor((2, 3, 9, 7), torch.float32, i) for i in range(2))
    row, lost = row_of(0, False, np.inf), torch.full_like(x, torch.nan)
    row[terms.GUIDANCE] = 1
    truth = denoise(x, output, row, backend="ref")
    out = denoise(x, output, row, uncond=lost, history=[lost] * 4, anchor=lost, noise=lost,
                    out=x, backend="triton")  # fmt: skip
    assert out is x
    assert near(x, truth)


def test_parts_of_larger_tensors():
    both, x = tensor((4, 6, 9, 7), torch.float32, 0), tensor((4, 3, 9, 7), torch.float32, 1)
    room, row = torch.zeros_like(both), row_of(0, False, np.inf)
    denoise(x, both[:, ::2], row, out=room[:, 3:], backend="triton")
    assert near(room[:, 3:], denoise(x, both[:, ::2], row, backend="ref"))
    assert not room[:, :3].any()


@pytest.mark.skipif(DEVICE == "cpu", reason="a graph is recorded on a GPU")
def test_a_cuda_graph_takes_the_row_of_its_replay():
    x, output = (tensor((2, 3, 64, 64), torch.float32, i) for i in range(2))
    row, out = row_of(0, False, 1.0), torch.empty_like(x)
    denoise(x, output, row, seed=1, out=out)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        denoise(x, output, row, seed=1, out=out)
    row.mul_(0.5)
    graph.replay()
    assert near(out, denoise(x, output, row, seed=1, backend="ref"))
