import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from unsup_fast.kernels import _native  # noqa: E402
from unsup_fast.kernels.bernoulli import bernoulli, bernoulli_log_prob, native, torch_  # noqa: E402
from unsup_fast.kernels.randn.ref import normals  # noqa: E402

TYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
UNIT = {torch.float32: 2**-24, torch.float64: 2**-53}
# K, B, D: less than a vector, ends of vectors, more terms than are summed in float32.
SHAPES = [(1, 1, 1), (1, 3, 7), (2, 5, 33), (3, 2, 97), (1, 4, 784), (2, 1, 3001)]


def tensor(shape, number, dtype=torch.float64, size=3.0):
    generator = torch.Generator().manual_seed(number)
    return (size * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype)


def bits(shape, number, dtype=torch.float32):
    return (tensor(shape, number) > 0).to(dtype)


def intensities(shape, number):
    generator = torch.Generator().manual_seed(number)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


@pytest.fixture
def poisoned(monkeypatch):
    """Fill what is to be written with NaN."""
    for name in ("empty", "empty_like"):
        real = getattr(torch, name)

        def filled(*a, real=real, **b):
            out = real(*a, **b)
            return out.fill_(torch.nan) if out.is_floating_point() else out

        monkeypatch.setattr(native.torch, name, filled)
    real = torch.Tensor.new_empty
    monkeypatch.setattr(torch.Tensor, "new_empty", lambda *a, **b: real(*a, **b).fill_(torch.nan))


# Bits.


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (5, 65), (2, 784), (1, 3, 17, 9), (2, 0)])
@pytest.mark.parametrize("stream", [0, 2**63 + 5])
@pytest.mark.parametrize("kind", ["bytes", "floats"])
def test_bits_against_the_reference(shape, stream, kind):
    p = intensities(shape, 1)
    if kind == "floats":
        p = p / 255 + 0.001 * tensor(shape, 2).float()  # some of them below zero or above one
    for seed in (7, 2**64 - 1, list(range(2**63, 2**63 + shape[0]))):
        truth = bernoulli(p, seed=seed, stream=stream, backend="ref")
        for n_threads in (1, 2):
            actual = bernoulli(p, seed=seed, stream=stream, n_threads=n_threads)
            assert actual.dtype == torch.float32
            assert torch.equal(actual, truth)


@pytest.mark.usefixtures("poisoned")
def test_bits_of_many_rows_and_of_any_strides():
    p = intensities((301, 211), 2)
    truth = bernoulli(p, seed=3, backend="ref")
    assert all(torch.equal(bernoulli(p, seed=3, n_threads=n), truth) for n in (1, 2, 3))
    assert torch.equal(bernoulli(p.T.contiguous().T, seed=3), truth)
    seeds = torch.arange(301)
    each = bernoulli(p, seed=seeds, n_threads=2)
    assert torch.equal(each[40:41], bernoulli(p[40:41], seed=seeds[40:41]))


@pytest.mark.any_level
def test_words_are_those_of_the_normals():
    z = torch.from_numpy(normals(5, 9, 0, 4000, False).astype(np.float64)).view(-1, 2)
    turns = torch.atan2(z[:, 1], z[:, 0]) / (2 * math.pi) % 1  # word 1 and word 3 of each group
    for p in (1, 100, 254):
        drawn = bernoulli(torch.full((1, 4000), p, dtype=torch.uint8), seed=5, stream=9)
        assert torch.equal(drawn.view(-1, 2)[:, 1] == 1, turns < p / 255)


@pytest.mark.any_level
def test_frequencies_are_the_probabilities():
    n = 40_000
    p = torch.arange(256, dtype=torch.uint8)[:, None].expand(256, n)
    frequency = bernoulli(p, seed=0).double().mean(1)
    truth = torch.arange(256) / 255
    assert frequency[0] == 0
    assert frequency[255] == 1
    deviation = (truth * (1 - truth) / n).sqrt()[1:255]
    z = (frequency - truth)[1:255] / deviation
    assert (bernoulli(p.double() / 255, seed=0) == bernoulli(p, seed=0)).double().mean() > 0.99999
    assert z.abs().max() < 4.5
    assert abs(float(z.square().mean()) - 1) < 0.4


# Log-likelihoods.


def exact(logits, x):
    """Return the log-likelihood of a row and the sum of the sizes of its terms, by mpmath."""
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(60):
        terms = [
            mpmath.mpf(b) * mpmath.mpf(a) - mpmath.log1p(mpmath.exp(a))
            if a < 100
            else (mpmath.mpf(b) - 1) * mpmath.mpf(a) - mpmath.log1p(mpmath.exp(-mpmath.mpf(a)))
            for a, b in zip(logits.tolist(), x.tolist(), strict=True)
        ]
        return float(sum(terms)), float(sum(map(abs, terms)))


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1e-3, 1.0, 20.0, 1e4])
def test_against_many_digits(dtype, size):
    for d in (1, 17, 133):
        logits = tensor((d,), d, dtype, size)
        for x, extra in ((bits((d,), 5, dtype), 0), (tensor((d,), 6, dtype).sigmoid(), 6)):
            truth, sizes = exact(logits, x)
            actual = bernoulli_log_prob(logits[None], x[None])
            bound = 24 * sizes + extra * float((x * logits).abs().sum())
            assert abs(float(actual) - truth) <= UNIT[dtype] * bound


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_against_the_reference(dtype, shape):
    logits, wide = (
        tensor(shape, 1, dtype),
        torch.float64 if dtype == torch.float64 else torch.float32,
    )
    for x in (bits(shape[1:], 2, wide), tensor(shape[1:], 3, wide).sigmoid()):
        truth = bernoulli_log_prob(logits.double(), x.double(), backend="ref")
        sizes = F.softplus(logits.double().abs()).sum(-1)
        actual = bernoulli_log_prob(logits, x)
        assert actual.dtype == wide
        assert actual.shape == shape[:2]
        assert ((actual - truth).abs() <= 24 * UNIT[wide] * sizes).all()


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_against_the_reference(dtype, shape):
    logits, wide = (
        tensor(shape, 1, dtype),
        torch.float64 if dtype == torch.float64 else torch.float32,
    )
    x, of_out = bits(shape[1:], 2, wide), tensor(shape[:2], 4, wide)
    actual = gradient(logits, x, of_out)
    truth = gradient(logits.double(), x.double(), of_out.double(), backend="ref")
    assert actual.dtype == dtype
    unit = {torch.bfloat16: 2**-8, torch.float16: 2**-10}.get(dtype, 4 * UNIT[wide])
    assert ((actual.double() - truth).abs() <= unit * of_out.abs()[..., None].double()).all()


def gradient(logits, x, of_out, **more):
    leaf = logits.clone().requires_grad_()
    return torch.autograd.grad(bernoulli_log_prob(leaf, x, **more), leaf, of_out)[0]


def test_against_torchs():
    logits, x = tensor((3, 40), 1).float(), bits((3, 40), 2)
    truth = -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    torch.testing.assert_close(bernoulli_log_prob(logits, x), truth)


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("dtype", TYPES)
def test_extreme_logits(dtype):
    inf = math.inf
    big = 1e4
    logits = torch.tensor([big, -big, big, -big, inf, -inf, inf, -inf, math.nan, math.nan, 0.0])
    x = torch.tensor([1.0, 0, 0, 1, 1, 0, 0, 1, 0, 1, 1])
    truth = torch.tensor([0, 0, -big, -big, 0, 0, -inf, -inf, math.nan, math.nan, -math.log(2)])
    slope = torch.tensor([0, 0, -1, 1, 0, 0, -1, 1, math.nan, math.nan, 0.5])
    big_as_is = logits.to(dtype)
    truth[2:4] = -big_as_is[0].float()
    for length in (1, 70):  # ends of rows and whole vectors
        rows = big_as_is[:, None].expand(-1, length).contiguous()
        x_rows = x[:, None].expand(-1, length).contiguous()
        for backend in (None, "ref"):
            actual = bernoulli_log_prob(rows, x_rows, backend=backend) / length
            torch.testing.assert_close(actual.float(), truth, equal_nan=True)
            grad = gradient(rows, x_rows, torch.ones(11).to(actual.dtype), backend=backend)
            wanted = slope[:, None].expand(-1, length)
            torch.testing.assert_close(grad.float(), wanted, equal_nan=True)


@pytest.mark.any_level
def test_gradients_against_differences():
    logits, x = tensor((2, 3, 5), 1), tensor((3, 5), 2).sigmoid()
    leaf = logits.requires_grad_()
    assert torch.autograd.gradcheck(bernoulli_log_prob, [leaf, x])
    assert torch.autograd.gradgradcheck(bernoulli_log_prob, [leaf, x])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_threads_and_neighbours_change_no_bit(dtype):
    logits, x = tensor((2, 130, 333), 1, dtype), bits((130, 333), 2)
    of_out = tensor((2, 130), 3, torch.float32)
    one = bernoulli_log_prob(logits, x, n_threads=1), gradient(logits, x, of_out, n_threads=1)
    for n in (2, 3, 5):
        assert torch.equal(bernoulli_log_prob(logits, x, n_threads=n), one[0])
        assert torch.equal(gradient(logits, x, of_out, n_threads=n), one[1])
    alone = bernoulli_log_prob(logits[1, 77:78], x[77:78])
    assert torch.equal(alone, one[0][1, 77:78])


def test_samples_of_one_x_and_any_shape():
    logits, x = tensor((4, 2, 3, 5, 7, 2), 1).float(), bits((3, 5, 7, 2), 2)
    repeated = x.expand(logits.shape).reshape(24, 70)
    truth = bernoulli_log_prob(logits.reshape(24, 70), repeated)
    assert torch.equal(bernoulli_log_prob(logits, x), truth.view(4, 2, 3))
    turned = x.transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(bernoulli_log_prob(logits, turned.double()), truth.view(4, 2, 3))
    assert bernoulli_log_prob(logits[:, :, :0], x[:0]).shape == (4, 2, 0)
    assert torch.equal(bernoulli_log_prob(torch.zeros(3, 0), torch.zeros(3, 0)), torch.zeros(3))
    assert float(bernoulli_log_prob(torch.zeros(1), torch.ones(1))[0]) == pytest.approx(
        -math.log(2)
    )


@pytest.mark.any_level
def test_is_an_operation_of_torch():
    logits, x = tensor((2, 3, 5), 1).float().requires_grad_(), bits((3, 5), 2)
    torch.library.opcheck(torch_.bernoulli_log_prob.overload, (logits, x, None, None))
    of_out = tensor((2, 3), 3).float()
    torch.library.opcheck(torch_.gradient.overload, (of_out, logits.detach(), x, None, None))
    p = intensities((3, 5), 4)
    torch.library.opcheck(torch_.bernoulli.overload, (p, 3, None, 0, None, None))
    each = torch.func.vmap(
        torch.func.grad(lambda row, x: bernoulli_log_prob(row[None], x[None])[0])
    )
    torch.testing.assert_close(each(logits[0].detach(), x), x - logits[0].detach().sigmoid())


@pytest.mark.any_level
@pytest.mark.parametrize(
    ("logits", "x", "error", "message"),
    [
        (torch.zeros(3, 4), torch.zeros(3, 5), ValueError, r"\(3, 5\) but logits \(3, 4\)"),
        (torch.zeros(4), torch.zeros(3, 4), ValueError, "must end with"),
        (torch.zeros(3, 4), torch.zeros(3, 4, dtype=torch.uint8), TypeError, "x must be float32"),
        (torch.zeros(3, 4, dtype=torch.int64), torch.zeros(3, 4), TypeError, "logits must be"),
        (torch.zeros(3, 4), torch.zeros(3, 4, device="meta"), ValueError, "x is on meta"),
        (torch.zeros(3, 4), torch.zeros(3, 4, requires_grad=True), ValueError, "x.detach()"),
    ],
)
def test_what_does_not_fit_is_said(logits, x, error, message):
    with pytest.raises(error, match=message):
        bernoulli_log_prob(logits, x)


@pytest.mark.any_level
@pytest.mark.parametrize(
    ("p", "seed", "error", "message"),
    [
        (torch.zeros(3, 4, dtype=torch.int32), 0, TypeError, "p must be float32"),
        (np.zeros((3, 4), np.uint8), 0, TypeError, "p must be a torch tensor"),
        (torch.tensor(3, dtype=torch.uint8), 0, ValueError, "no dimension"),
        (torch.zeros(3, 4, dtype=torch.uint8), [1, 2], ValueError, "one for each of 3"),
        (torch.zeros(3, 4, dtype=torch.uint8), None, ValueError, "seed=None"),
    ],
)
def test_intensities_that_do_not_fit(p, seed, error, message):
    with pytest.raises(error, match=message):
        bernoulli(p, seed=seed)


@pytest.mark.any_level
def test_the_backend_is_checked():
    with pytest.raises(ValueError, match="'fast' is not available"):
        bernoulli_log_prob(torch.zeros(1, 2), torch.zeros(1, 2), backend="fast")


@pytest.mark.native
def test_the_compiled_module_checks_its_arguments():
    with pytest.raises(ValueError, match="shape"):
        _native.bernoulli_log_prob(
            element=0,
            shape=(3, 2, 4),
            logits=1,
            x=1,
            out=1,
            of_log_prob=0,
            of_logits=0,
            n_threads=1,
        )
