import numpy as np
import pytest

torch = pytest.importorskip("torch")

from unsup_fast.kernels.noise import noise  # noqa: E402
from unsup_fast.kernels.randn import randn  # noqa: E402

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
BOUNDS = {torch.float32: 2e-6, torch.float64: 1e-15, torch.bfloat16: 2**-8, torch.float16: 2**-11}
SHAPES = [(1,), (3, 5), (2, 15), (1, 3, 17), (2, 3, 17, 13), (5, 1, 33, 31), (2, 40, 9, 11)]
TARGETS = [None, "epsilon", "v_prediction", "flow_prediction"]


def tensor(shape, dtype, number, last=False):
    values = np.random.default_rng(number).normal(size=shape)
    x = torch.from_numpy(values).to(dtype)
    return x.contiguous(memory_format=torch.channels_last) if last and len(shape) == 4 else x


def coefficients(n):
    signal = torch.from_numpy(np.random.default_rng(1).random(n))
    return signal, (1 - signal**2).sqrt()


def compare(actual, truth, target):
    for f, t in zip(
        *((result,) if target is None else result for result in (actual, truth)), strict=True
    ):
        bound = BOUNDS[f.dtype]
        torch.testing.assert_close(f.double(), t.double(), rtol=bound, atol=bound)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("target", TARGETS)
def test_noise_tensor_against_the_formula(shape, dtype, target):
    for last in [(False, False), (True, True), (False, True), (True, False)][: 1 + len(shape) // 2]:
        x0, eps = (tensor(shape, dtype, i, last[i]) for i in range(2))
        scales = coefficients(shape[0])
        out, out_target = (torch.full_like(value, torch.nan) for value in (x0, eps))
        more = {} if target is None else {"out_target": out_target}
        actual = noise(x0, *scales, eps=eps, target=target, out=out, **more)
        truth = noise(x0.double(), *scales, eps=eps.double(), target=target, backend="ref")
        compare(actual, truth, target)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("seed", [2**64 - 1, [3, 4]])
def test_drawn_noise_is_that_of_randn(dtype, last, seed):
    x0, scales = tensor((2, 3, 31, 29), dtype, 0, last), coefficients(2)
    drawn = torch.float64 if dtype == torch.float64 else torch.float32
    eps = randn(x0.shape, seed=seed, stream=2**40, dtype=drawn)
    actual = noise(x0, *scales, seed=seed, stream=2**40, target="epsilon")
    compare(
        actual,
        noise(x0.double(), *scales, eps=eps.double(), target="epsilon", backend="ref"),
        "eps",
    )
    assert actual[0].stride() == actual[1].stride() == x0.stride()
    same = noise(x0, *scales, seed=seed, stream=2**40, target="epsilon", n_threads=2)
    assert all(torch.equal(f, s) for f, s in zip(actual, same, strict=True))


def test_a_seed_a_sample_may_be_a_tensor():
    x0 = tensor((2, 5), torch.float32, 0)
    x_t = noise(x0, 0.5, 0.5, seed=torch.tensor([3, -1]))
    assert torch.equal(x_t, noise(x0, 0.5, 0.5, seed=[3, 2**64 - 1]))
    assert torch.equal(x_t[:1], noise(x0[:1], 0.5, 0.5, seed=3))


def test_bfloat16_has_noise_at_the_first_times():
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    alphas_cumprod = torch.cumprod(1 - betas, 0)[:10]
    x0 = torch.zeros(10, 4096, dtype=torch.bfloat16)
    x_t = noise(x0, alphas_cumprod.sqrt(), (1 - alphas_cumprod).sqrt(), seed=0)
    spread = x_t.double().square().mean(dim=1).sqrt()
    torch.testing.assert_close(spread, (1 - alphas_cumprod).sqrt(), rtol=0.05, atol=0)


def test_outputs_may_be_inputs():
    x0, eps = (tensor((3, 3, 17, 5), torch.float32, i) for i in range(2))
    scales = coefficients(3)
    truth = noise(x0, *scales, eps=eps, target="v_prediction")
    actual = noise(x0, *scales, eps=eps, target="v_prediction", out=eps, out_target=x0)
    assert actual[0] is eps
    assert actual[1] is x0
    assert all(torch.equal(f, t) for f, t in zip(actual, truth, strict=True))


def test_any_strides():
    x0, eps = tensor((3, 2, 4), DTYPES[0], 0), tensor((3, 2, 4), DTYPES[0], 1)
    scales = coefficients(3)
    truth = noise(x0, *scales, eps=eps, target="v_prediction")
    turned = x0.transpose(0, 2).contiguous().transpose(0, 2)
    actual = noise(turned, *scales, eps=eps, target="v_prediction", out=turned)
    assert actual[0] is turned
    for one, other in zip(actual, truth, strict=True):
        torch.testing.assert_close(one, other)


def test_empty():
    for shape in ((0,), (0, 3, 4, 4), (2, 0)):
        assert noise(torch.empty(shape), 0.5, 0.5, seed=1).shape == shape


def test_wrong_arguments():
    x0, half = torch.zeros(2, 3), torch.full((2,), 0.5, dtype=torch.float64)
    cases = [
        (TypeError, "x0 must be a torch tensor, got list", ([1.0], half, half), {}),
        (ValueError, "x0 has no dimension", (x0[0, 0], half, half), {}),
        (TypeError, "signal must be float64, got torch.bfloat16", (x0, half.bfloat16(), half), {}),
        (ValueError, r"sigma has shape \(1,\)", (x0, half, half[:1]), {}),
        (ValueError, "sigma takes no gradient", (x0, half, half.clone().requires_grad_()), {}),
        (ValueError, "both of eps and seed", (x0, half, half), {"eps": x0, "seed": 1}),
        (ValueError, "target='x' is unknown", (x0, half, half), {"seed": 1, "target": "x"}),
        (ValueError, "out_target is given but no", (x0, half, half), {"seed": 1, "out_target": x0}),
        (TypeError, "eps must be torch.float32 like x0", (x0, half, half), {"eps": x0.double()}),
        (ValueError, "seed=18446744073709551616 must", (x0, half, half), {"seed": 2**64}),
        (TypeError, "seed must hold integers", (x0, half, half), {"seed": [1, 0.5]}),
        (ValueError, "stream=-1 must be", (x0, half, half), {"seed": 1, "stream": -1}),
        (ValueError, "out has strides", (x0, half, half),
         {"seed": 1, "out": x0[:, :1].expand(2, 3)}),
    ]  # fmt: skip
    for error, message, args, options in cases:
        with pytest.raises(error, match=message):
            noise(*args, **options)
    with pytest.raises(ValueError, match="neither of eps and seed"):
        noise(x0, half, half)
