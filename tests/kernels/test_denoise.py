import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from unsup_fast.kernels import sampler_terms as terms  # noqa: E402
from unsup_fast.kernels.denoise import denoise  # noqa: E402
from unsup_fast.kernels.randn import randn  # noqa: E402

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
# Of a sum's terms, all below 10 in size; half types add their one rounding.
BOUNDS = {torch.float32: 3e-6, torch.float64: 1e-14, torch.bfloat16: 2**-8, torch.float16: 2**-11}
SHAPES = [(1,), (3, 5), (2, 15), (1, 3, 17), (2, 3, 17, 13), (5, 1, 33, 31), (2, 40, 9, 11)]
FORMATS = {
    "rows": (False,),
    "last": (True,),
    "mixed": (False, True),
    "last with rows": (True, False),
}


def tensor(shape, dtype, number, last=False):
    values = np.random.default_rng(number).normal(size=shape)
    x = torch.from_numpy(values).to(dtype)
    return x.contiguous(memory_format=torch.channels_last) if last and len(shape) == 4 else x


def row_of(n_history=0, anchor=False, noisy=False, clip=np.inf, seed=0):
    row = np.random.default_rng(seed).uniform(-1.5, 1.5, size=terms.N_TERMS)
    row[terms.CLIP] = clip
    row[terms.NEXT_HISTORY + n_history : terms.NEXT_HISTORY + terms.N_HISTORY] = 0
    row[terms.ANCHOR_HISTORY + n_history : terms.ANCHOR_HISTORY + terms.N_HISTORY] = 0
    if not anchor:
        row[[terms.NEXT_ANCHOR, terms.ANCHOR_ANCHOR]] = 0
    if not noisy:
        row[terms.NEXT_NOISE] = 0
    return torch.from_numpy(row)


def arguments(shape, dtype, n_history=0, anchor=False, noisy=False, guided=False, last=(False,)):
    tensors = [tensor(shape, dtype, i, last[i % len(last)]) for i in range(9)]
    options = {
        "uncond": tensors[2] if guided else None,
        "anchor": tensors[3] if anchor else None,
        "noise": tensors[4] if noisy else None,
        "history": tensors[5 : 5 + n_history],
    }
    return tensors[0], tensors[1], options


def poisoned(x, last):
    return [
        torch.full_like(tensor(x.shape, x.dtype, 0, last[i % len(last)]), torch.nan)
        for i in range(3)
    ]


def near(actual, truth, scale=1.0):
    bound = BOUNDS[actual.dtype] * scale
    error = (actual.double() - truth.double()).abs() / (1 + truth.double().abs())
    return bool((error <= bound).all())


def agree(x, output, row, options, last=(False,), **more):
    actual, truth = poisoned(x, last), poisoned(x, last)
    for (out, keep, anchor_out), backend in ((actual, None), (truth, "ref")):
        denoise(x, output, row, **options, **more, out=out, keep=keep, anchor_out=anchor_out,
                backend=backend)  # fmt: skip
    return all(near(f, t, 4) for f, t in zip(actual, truth, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_all_terms_against_the_formula(shape, dtype):
    for last in FORMATS.values() if len(shape) == 4 else [(False,)]:
        for clip, threshold in ((np.inf, None), (0.7, None), (np.inf, (0.9, 2.0))):
            for n_history, rest in ((0, False), (2, True), (4, True)):
                row = row_of(n_history, rest, rest, clip)
                x, output, options = arguments(shape, dtype, n_history, rest, rest, rest, last)
                assert agree(x, output, row, options, last, threshold=threshold)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_row(data):
    size = st.floats(-3, 3, width=32)
    row = torch.tensor(data.draw(st.lists(size, min_size=21, max_size=21)), dtype=torch.float64)
    row[terms.CLIP] = data.draw(st.sampled_from([0.0, 0.5, 3.0, np.inf]))
    n_history = data.draw(st.integers(0, 4))
    anchor, noisy, guided = (data.draw(st.booleans()) for _ in range(3))
    row = row * (row_of(n_history, anchor, noisy) != 0)
    shape = data.draw(st.sampled_from([(2, 3), (1, 2, 7, 5), (3, 3, 4, 9)]))
    x, output, options = arguments(shape, torch.float64, n_history, anchor, noisy, guided)
    outs = [torch.full_like(x, torch.nan) for _ in range(6)]
    for i, backend in ((0, None), (3, "ref")):
        denoise(x, output, row, **options, out=outs[i], keep=outs[i + 1], anchor_out=outs[i + 2],
                backend=backend)  # fmt: skip
    for actual, truth in zip(outs[:3], outs[3:], strict=True):
        torch.testing.assert_close(actual, truth, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("backend", [None, "ref"])
def test_any_strides(backend):
    """Transposed, sliced, with the batch inside: what is not dense is copied, in and out."""
    forms = (
        lambda t: t.transpose(2, 3).contiguous().transpose(2, 3),
        lambda t: t.transpose(0, 1).contiguous().transpose(0, 1),
        lambda t: torch.stack([t, t], dim=-1)[..., 0],
    )
    x, output, options = arguments((2, 3, 5, 4), torch.float32, n_history=1, noisy=True)
    row = row_of(1, noisy=True)
    keep = torch.full_like(x, torch.nan)
    truth = denoise(x, output, row, **options, keep=keep)
    for form in forms:
        its_keep = form(torch.full_like(x, torch.nan))
        strided = form(x.clone())
        out = denoise(strided, output, row, **options, keep=its_keep, backend=backend)
        assert out.is_contiguous()
        version = strided._version
        denoise(strided, output, row, **options, out=strided, backend=backend)
        assert strided._version > version
        for actual, expected in ((out, truth), (its_keep, keep), (strided, truth)):
            torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("seed", [7, [3, 2**64 - 1]])
def test_noise_is_that_of_randn(dtype, last, seed):
    x, output, _ = arguments((2, 3, 31, 29), dtype, last=(last,))
    row = row_of(noisy=True)
    drawn = randn(x.shape, seed=seed, stream=5,
                  dtype=torch.float64 if dtype == torch.float64 else torch.float32)  # fmt: skip
    actual = denoise(x, output, row, seed=seed, stream=5)
    truth = denoise(x.double(), output.double(), row, noise=drawn.double(), backend="ref")
    assert near(actual, truth, 4)
    assert actual.stride() == x.stride()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("last", FORMATS.values(), ids=FORMATS)
def test_threads_change_no_bit(dtype, last):
    x, output, options = arguments((3, 3, 65, 67), dtype, 2, True, False, True, last)
    row = row_of(2, True, True, 0.8)
    one, two = (denoise(x, output, row, **options, seed=1, n_threads=n) for n in (1, 2))
    assert torch.equal(one, two)


def test_a_large_batch_is_stored_past_the_caches():
    x, output = (torch.randn(3, 3, 400, 401) for _ in range(2))
    row = row_of(1, noisy=True)
    for start in (0, 1):
        room = torch.full((x.numel() + 1,), torch.nan)
        out = room[start : start + x.numel()].view(x.shape)
        denoise(x, output, row, history=[x], seed=2, out=out)
        noise = randn(x.shape, seed=2, dtype=torch.float32)
        truth = denoise(x, output, row, history=[x], noise=noise, backend="ref")
        assert near(out, truth, 4)
        assert room[-1 - start * x.numel()].isnan()


@pytest.mark.parametrize("last", [False, True])
def test_outputs_may_be_inputs(last):
    x, output, options = arguments((2, 3, 33, 31), torch.float32, 2, True, last=(last,))
    row = row_of(2, True)
    outs = [torch.empty_like(x) for _ in range(3)]
    denoise(x, output, row, **options, out=outs[0], keep=outs[1], anchor_out=outs[2])
    anchor, oldest = options["anchor"], options["history"][-1]
    assert denoise(x, output, row, **options, out=x, keep=oldest, anchor_out=anchor) is x
    for actual, truth in zip((x, oldest, anchor), outs, strict=True):
        assert torch.equal(actual, truth)


def test_part_of_a_larger_tensor():
    both = tensor((4, 6, 9, 7), torch.float32, 0)
    x = tensor((4, 3, 9, 7), torch.float32, 1)
    row = row_of()
    truth = denoise(x, both[:, :3].contiguous(), row)
    assert torch.equal(denoise(x, both[:, :3], row), truth)
    assert torch.equal(denoise(x, both[:, ::2], row), denoise(x, both[:, ::2].contiguous(), row))
    room = torch.zeros_like(both)
    assert torch.equal(denoise(x, both[:, :3], row, out=room[:, 3:]), truth)
    assert torch.equal(room[:, 3:], truth)
    assert not room[:, :3].any()


def test_what_has_no_coefficient_is_not_read():
    x, output, _ = arguments((2, 3, 9, 7), torch.float32)
    row, lost = row_of(), torch.full_like(x, torch.nan)
    row[terms.GUIDANCE] = 1
    actual = denoise(x, output, row, uncond=lost, history=[lost] * 4, anchor=lost, noise=lost)
    assert torch.equal(actual, denoise(x, output, row))


def test_nan_and_infinity_go_through():
    x, output, _ = arguments((2, 40), torch.float32)
    row = torch.zeros(terms.N_TERMS, dtype=torch.float64)
    row[[terms.X0_OUTPUT, terms.KEEP_X0, terms.NEXT_KEEP]] = 1
    row[terms.CLIP] = 1
    output[0, 3], output[0, 5] = torch.nan, torch.inf
    out = denoise(x, output, row)
    assert out[0, 3].isnan()
    assert out[0, 5] == 1
    out = denoise(x, output, row, threshold=(0.9, 2.0))
    assert out[0].isnan().all()
    assert not out[1].isnan().any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("quantile", [0.0, 0.3, 0.5, 0.995, 1.0])
def test_thresholds_are_torchs_quantiles(dtype, quantile):
    for n in (1, 2, 97, 5000):
        output = tensor((3, n), dtype, n) * 4
        output[2] = output[2, 0]
        row = torch.zeros(terms.N_TERMS, dtype=torch.float64)
        row[[terms.X0_OUTPUT, terms.KEEP_X0, terms.NEXT_KEEP]] = 1
        row[terms.CLIP] = torch.inf
        actual = denoise(output, output, row, threshold=(quantile, 5.0))
        s = torch.quantile(output.double().abs(), quantile, dim=1, keepdim=True).clamp(1, 5)
        truth = output.double().clamp(-s, s) / s
        torch.testing.assert_close(actual.double(), truth, rtol=1e-6, atol=0)


@pytest.mark.parametrize("backend", [None, "ref"])
@pytest.mark.parametrize(("quantile", "s"), [(0.9, 9.0), (0.95, 20.0), (1.0, 20.0)])
def test_a_threshold_among_infinite_sizes(backend, quantile, s):
    output = torch.arange(11.0).repeat(2, 1)
    output[:, 10] = torch.tensor([torch.inf, -torch.inf])
    row = torch.zeros(terms.N_TERMS, dtype=torch.float64)
    row[[terms.X0_OUTPUT, terms.KEEP_X0, terms.NEXT_KEEP]] = 1
    actual = denoise(torch.zeros_like(output), output, row, threshold=(quantile, 20.0),
                    backend=backend)  # fmt: skip
    torch.testing.assert_close(actual, output.clamp(-s, s) / s)


def test_entries_whose_sum_is_not_finite():
    row = torch.zeros(terms.N_TERMS, dtype=torch.float64)
    row[[terms.X0_OUTPUT, terms.KEEP_X]], row[terms.KEEP_X0] = 1.7e308, -1.7e308
    x = torch.ones(2, 3)
    out = torch.full_like(x, 9.0)
    denoise(x, x, row, out=out)
    assert not (out == 9).any()


def test_empty():
    for shape in ((0,), (0, 3, 4, 4), (2, 0), (2, 3, 0, 4)):
        x = torch.empty(shape)
        assert denoise(x, x, row_of(noisy=True), seed=1, threshold=(0.5, 2.0)).shape == shape


def test_wrong_arguments():
    x, output, _ = arguments((2, 3, 4, 4), torch.float32)
    row, infinite = row_of(), row_of()
    infinite[terms.NEXT_X] = torch.inf
    cases = [
        (TypeError, "x must be a torch tensor, got ndarray", (x.numpy(), output, row), {}),
        (TypeError, "x must be float32.*got torch.int64", (x.long(), output, row), {}),
        (ValueError, r"output has shape \(2, 3\); it must be \(2, 3, 4, 4\)",
         (x, x[:, :, 0, 0], row), {}),
        (TypeError, "output must be torch.float32 like x", (x, output.double(), row), {}),
        (ValueError, r"row must be float64 of shape \(21,\)", (x, output, row.float()), {}),
        (TypeError, "row must be a tensor or an ndarray, got list", (x, output, [1.0]), {}),
        (ValueError, "row takes no gradient", (x, output, row.clone().requires_grad_()), {}),
        (ValueError, r"row\[NEXT_NOISE\]=.* needs seed or noise", (x, output, row_of(0, 0, 1)), {}),
        (ValueError, r"row\[NEXT_ANCHOR\]=.* needs anchor", (x, output, row_of(0, 1)), {}),
        (ValueError, r"NEXT_HISTORY \+ 1\]=.* needs 2 tensors", (x, output, row_of(2)),
         {"history": [x]}),
        (ValueError, r"row\[CLIP\]=-1.0 must be 0 or more", (x, output, row_of(clip=-1)), {}),
        (ValueError, "row must be finite", (x, output, infinite), {}),
        (ValueError, "history has 5 tensors", (x, output, row), {"history": [x] * 5}),
        (ValueError, "both seed and noise", (x, output, row), {"seed": 1, "noise": x}),
        (ValueError, "seed=-1 must be between", (x, output, row), {"seed": -1}),
        (ValueError, r"seed has shape \(3,\)", (x, output, row), {"seed": [1, 2, 3]}),
        (TypeError, "seed must be an int or one int a sample", (x, output, row), {"seed": "a"}),
        (TypeError, "stream=0.5 must be an integer", (x, output, row), {"stream": 0.5}),
        (ValueError, "threshold=.* must be", (x, output, row), {"threshold": (0.9, 0.5)}),
        (ValueError, "out shares memory with output", (x, x.new_empty(2, 3, 4, 4), row), {}),
        (ValueError, "keep shares memory with out", (x, output, row), {"out": x, "keep": x}),
        (ValueError, "out has strides", (x, output, row),
         {"out": torch.empty(2, 3, 4, 1).expand(2, 3, 4, 4)}),
        (ValueError, "n_threads=0", (x, output, row), {"n_threads": 0}),
        (ValueError, "backend='cuda' is not available", (x, output, row), {"backend": "cuda"}),
    ]  # fmt: skip
    room = torch.empty(100)
    for error, message, args, options in cases:
        if message == "out shares memory with output":
            args = (x, room[:96].view(x.shape), row)
            options = {"out": room[4:].view(x.shape)}
        with pytest.raises(error, match=message):
            denoise(*args, **options)
