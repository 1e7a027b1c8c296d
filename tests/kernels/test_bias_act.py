import math

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch.autograd import forward_ad  # noqa: E402

from unsup_fast.kernels import _native  # noqa: E402
from unsup_fast.kernels.bias_act import bias_act, torch_  # noqa: E402

LAST = torch.channels_last
UNIT = {torch.float32: 2**-24, torch.float64: 2**-53}
BOUNDS = {
    torch.float32: 3 * 2**-24,
    torch.float64: 3 * 2**-53,
    torch.bfloat16: 2**-8 * 1.01,
    torch.float16: 2**-11 * 1.01,
}
# Fewer channels than lanes, ends of blocks, periods of several rows, more than one chunk.
SHAPES = [
    (1, 1),
    (5, 3),
    (33, 17),
    (3, 1000),
    (2, 3, 5, 7),
    (1, 24, 3, 3),
    (3, 64, 5, 5),
    (2, 5, 100, 81),
    (2, 96, 21, 23),
]


def wide_of(dtype):
    return torch.float64 if dtype == torch.float64 else torch.float32


def tensor(shape, number, dtype=torch.float64):
    generator = torch.Generator().manual_seed(number)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


@pytest.fixture
def poisoned(monkeypatch):
    """Fill what is to be written with NaN."""
    empty = torch.empty_like
    monkeypatch.setattr(torch, "empty_like", lambda *a, **b: empty(*a, **b).fill_(torch.nan))


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_against_the_reference(dtype, shape):
    x, bias = tensor(shape, 1, dtype), tensor(shape[1:2], 2, wide_of(dtype))
    for its in (bias, None):
        for slope, gain in ((0.2, 2**0.5), (0.0, 1.0), (1.5, 0.3)):
            actual = bias_act(x, its, slope=slope, gain=gain)
            assert actual.dtype == dtype
            assert len(shape) == 2 or actual.is_contiguous(memory_format=LAST)
            wide = None if its is None else its.double()
            truth = bias_act(x.double(), wide, slope=slope, gain=gain, backend="ref")
            assert ((actual - truth).abs() <= BOUNDS[dtype] * truth.abs() + 1e-7).all()


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_against_the_reference(dtype, shape):
    wide = wide_of(dtype)
    x, of_out, of_of_x = (tensor(shape, number, dtype) for number in range(3))
    bias, of_of_bias = (tensor(shape[1:2], number, wide) for number in (3, 4))
    tensors = (x, bias, of_out, of_of_x, of_of_bias)
    actual = gradients(*tensors)
    truth = gradients(*(one.double() for one in tensors), backend="ref")
    types = {"of_x": dtype, "of_bias": wide, "of_of_out": dtype, "of_of_x": dtype}
    types |= {"of_of_bias": wide}
    for name, value in truth.items():
        assert actual[name].dtype == types[name], name
        near = BOUNDS[dtype] * value.abs() + 1e-7
        if name.endswith("bias"):
            terms = truth[name.replace("bias", "x")].abs().transpose(0, 1).flatten(1).sum(1)
            near = 68 * UNIT[wide] * terms
        assert ((actual[name].double() - value).abs() <= near).all(), name


def gradients(x, bias, of_out, of_of_x, of_of_bias, backend=None, n_threads=None):
    """Return the gradients, theirs with respect to of_out, and the gradients of that again."""
    tensors = (x, bias, of_out, of_of_x, of_of_bias)
    x, bias, of_out, of_of_x, of_of_bias = (one.clone().requires_grad_() for one in tensors)
    out = bias_act(x, bias, slope=0.3, gain=1.7, backend=backend, n_threads=n_threads)
    grads = torch.autograd.grad(out, [x, bias], of_out, create_graph=True)
    wanted = (of_of_x, of_of_bias)
    of_of_out = torch.autograd.grad(grads, of_out, wanted, create_graph=True)[0]
    third = torch.autograd.grad(of_of_out, wanted, of_out.detach())
    names = ("of_x", "of_bias", "of_of_out", "of_of_x", "of_of_bias")
    return dict(zip(names, (*grads, of_of_out, *third), strict=True))


def test_against_torchs():
    x, bias = tensor((3, 24, 9, 5), 0).float(), tensor(24, 1).float()
    truth = F.leaky_relu(x + bias[:, None, None], 0.2) * math.sqrt(2)
    torch.testing.assert_close(bias_act(x, bias), truth)
    torch.testing.assert_close(bias_act(x[..., 0, 0], bias), truth[..., 0, 0])
    torch.testing.assert_close(bias_act(x, slope=0.01, gain=1), F.leaky_relu(x))


@pytest.mark.any_level
def test_gradients_of_every_order_against_differences():
    x, bias = tensor((2, 3, 1, 2), 1).requires_grad_(), tensor(3, 2).requires_grad_()

    def slopes(x, bias):
        out = bias_act(x, bias).square().sum()
        return torch.autograd.grad(out, [x, bias], create_graph=True)

    assert torch.autograd.gradcheck(bias_act, [x, bias])
    assert torch.autograd.gradgradcheck(bias_act, [x, bias])
    assert torch.autograd.gradcheck(bias_act, [x])
    assert torch.autograd.gradgradcheck(bias_act, [x])
    assert torch.autograd.gradcheck(slopes, [x, bias])
    assert torch.autograd.gradgradcheck(slopes, [x, bias])


@pytest.mark.parametrize("dtype", UNIT)
def test_r1_of_two_layers_by_hand(dtype):
    n, d, c = 7, 5, 11
    x, first, bias, second = (
        tensor(shape, number, dtype).requires_grad_()
        for number, shape in enumerate([(n, d), (c, d), (c,), (c,)])
    )
    scores = bias_act(x @ first.T, bias, slope=0.1, gain=1.3) @ second
    of_x = torch.autograd.grad(scores.sum(), x, create_graph=True)[0]
    penalty = of_x.square().sum(1).mean() / 2
    grads = torch.autograd.grad(penalty, [first, second])

    m = 1.3 * torch.where(x @ first.T + bias > 0, 1.0, 0.1)  # [n, c]
    a = m * second
    slope = a @ first  # [n, d]
    of_first = a.T @ slope / n
    of_second = (m * (slope @ first.T)).mean(0)
    torch.testing.assert_close(penalty, slope.square().sum(1).mean() / 2)
    torch.testing.assert_close(grads, (of_first, of_second))


@pytest.mark.any_level
def test_a_penalty_goes_through_the_kernel_alone(monkeypatch):
    calls = []
    real = torch_.implementation

    def counted(known, *rest):
        calls.append("forward" if known is torch_.FORWARD else "gradient")
        return real(known, *rest)

    monkeypatch.setattr(torch_, "implementation", counted)
    weight = tensor((8, 3, 3, 3), 1).float().requires_grad_()
    bias = tensor(8, 2).float().requires_grad_()
    x = tensor((4, 3, 6, 6), 3).float().requires_grad_()
    out = bias_act(F.conv2d(x, weight), bias)
    penalty = torch.autograd.grad(out.sum(), x, create_graph=True)[0].square().sum()
    assert calls == ["forward", "gradient"]
    penalty.backward()
    # The penalty's derivative with respect to signs is zero, and nothing is computed for it.
    assert calls == ["forward", "gradient", "gradient"]
    assert weight.grad is not None
    assert bias.grad is None


@pytest.mark.any_level
def test_the_output_is_all_that_is_stored():
    x, bias = tensor((2, 8, 3, 3), 1).requires_grad_(), tensor(8, 2).requires_grad_()
    stored = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: stored.append(x) or x, lambda x: x):
        out = bias_act(x, bias)
        of_out = tensor(x.shape, 3).requires_grad_()
        torch.autograd.grad(out, [x, bias], of_out, create_graph=True)
    assert [one.data_ptr() for one in stored] == 2 * [out.data_ptr()]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_threads_change_no_bit(dtype):
    for shape in ((70_001, 3), (2, 64, 37, 41), (3, 96, 33, 31)):
        tensors = [tensor(shape, number, dtype) for number in range(3)]
        tensors[1:1] = [tensor(shape[1:2], 3, torch.float32)]
        tensors += [tensor(shape[1:2], 4, torch.float32)]
        one = gradients(*tensors, n_threads=1)
        out = bias_act(*tensors[:2], n_threads=1)
        for n in (2, 3, 5):
            assert torch.equal(bias_act(*tensors[:2], n_threads=n), out)
            other = gradients(*tensors, n_threads=n)
            assert all(torch.equal(one[name], other[name]) for name in one)


def test_sums_of_many_terms():
    x = torch.full((300_000, 2), 1 / 3).requires_grad_()
    bias = torch.zeros(2, requires_grad=True)
    bias_act(x, bias, gain=0.1).sum().backward()
    assert ((bias.grad / (0.1 * 300_000) - 1).abs() < 1e-6).all()


@pytest.mark.native
def test_results_past_the_caches():
    shape = (5, 64, 73, 61)  # 5.7 MB
    x, bias, of_out = tensor(shape, 1).float(), tensor(64, 2).float(), tensor(shape, 3).float()
    leaf = x.clone().requires_grad_()
    out = bias_act(leaf, bias)
    truth = F.leaky_relu(x + bias[:, None, None], 0.2) * math.sqrt(2)
    torch.testing.assert_close(out.detach(), truth)
    of_x = torch.autograd.grad(out, leaf, of_out)[0]
    torch.testing.assert_close(of_x, of_out * torch.where(truth > 0, 1.0, 0.2) * math.sqrt(2))


@pytest.mark.parametrize("dtype", BOUNDS)
def test_zeros_infinities_and_nans(dtype):
    values = torch.tensor([0.0, -0.0, math.inf, -math.inf, math.nan], dtype=dtype)
    out = torch.tensor([0.0, 0.0, math.inf, -math.inf, math.nan], dtype=dtype)
    slope = torch.tensor([0.5, 0.5, 2, 0.5, 0.5], dtype=dtype)
    for rows in (1, 40):  # less than a block, and blocks
        x = values.repeat(rows, 1).requires_grad_()
        actual = bias_act(x, slope=0.25, gain=2.0)
        assert torch.equal(actual.nan_to_num(7), out.repeat(rows, 1).nan_to_num(7))
        actual.backward(torch.ones_like(x))
        assert torch.equal(x.grad, slope.repeat(rows, 1))


def test_any_strides():
    x, bias = tensor((2, 9, 7, 8), 6).float(), tensor(9, 1).float()
    truth = bias_act(x, bias, backend="ref")
    for laid_out in (x, x.contiguous(memory_format=LAST), x.transpose(2, 3).contiguous().mT):
        leaf = laid_out.clone().requires_grad_()
        out = bias_act(leaf, bias)
        assert out.is_contiguous(memory_format=LAST)
        torch.testing.assert_close(out, truth)
        out.sum().backward()  # a gradient whose elements share memory
        torch.testing.assert_close(leaf.grad, torch.where(truth > 0, 1.0, 0.2) * math.sqrt(2))
    torch.testing.assert_close(bias_act(x[..., ::2], bias), truth[..., ::2])
    torch.testing.assert_close(bias_act(x[..., 1, 1], bias), truth[..., 1, 1])
    torch.testing.assert_close(bias_act(x, bias.repeat(2)[::2]), bias_act(x, bias.repeat(2)[::2]))


@pytest.mark.parametrize("shape", [(0, 9), (0, 9, 3, 4), (2, 9, 0, 4)])
def test_an_empty_batch(shape):
    x, bias = torch.zeros(shape, requires_grad=True), torch.zeros(9, requires_grad=True)
    out = bias_act(x, bias)
    assert out.shape == shape
    out.sum().backward()
    assert torch.equal(bias.grad, torch.zeros(9))
    assert x.grad.shape == shape


def test_a_bias_of_another_type():
    x, bias = tensor((4, 6, 3, 3), 1, torch.bfloat16), tensor(6, 2).requires_grad_()
    bias_act(x, bias).float().sum().backward()
    assert bias.grad.dtype == torch.float64


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.any_level
def test_forward_gradients_and_transforms():
    (x, along), (bias, its) = tensor((2, 2, 4, 5, 3), 1), tensor((2, 4), 2)
    value, tangent = torch.func.jvp(bias_act, (x, bias), (along, its))
    torch.testing.assert_close(value, bias_act(x, bias))
    slope = torch.where(value > 0, 1.0, 0.2) * math.sqrt(2)
    torch.testing.assert_close(tangent, slope * (along + its[:, None, None]))
    with forward_ad.dual_level():
        dual = bias_act(forward_ad.make_dual(x, along), forward_ad.make_dual(bias, its))
        torch.testing.assert_close(forward_ad.unpack_dual(dual).tangent, tangent)
    grad = torch.func.grad(lambda x: bias_act(x, bias).square().sum())(x)
    torch.testing.assert_close(grad, 2 * value * slope)
    each = torch.func.vmap(bias_act, (0, None))(torch.stack([x, along]), bias)
    torch.testing.assert_close(each, torch.stack([bias_act(x, bias), bias_act(along, bias)]))


@pytest.mark.any_level
def test_is_an_operation_of_torch():
    x = tensor((2, 6, 3, 4), 7).float().requires_grad_()
    bias = tensor(6, 8).float().requires_grad_()
    options = (0.2, 1.5, None, None)
    torch.library.opcheck(torch_.bias_act.overload, (x, bias, *options))
    out = bias_act(x, bias).detach()
    for shift, summed in ((bias, True), (None, False)):
        arguments = (x, shift, out, summed, *options)
        torch.library.opcheck(torch_.gradient.overload, arguments)
    compiled = torch.compile(bias_act, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x, bias), bias_act(x, bias))
    grads = [torch.autograd.grad(run(x, bias).sum(), [x, bias]) for run in (compiled, bias_act)]
    assert all(map(torch.equal, *grads))
    assert bias_act(x.detach().to("meta"), bias.detach().to("meta")).shape == x.shape


@pytest.mark.any_level
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(2, 6, 3)}, r"pass \(B, C, H, W\) or \(B, C\)"),
        ({"bias": torch.zeros(5)}, r"bias has shape \(5,\); it must be \(6,\)"),
        ({"bias": torch.zeros(1, 6)}, "one number for each channel"),
        ({"bias": torch.zeros(6, device="meta")}, "bias is on meta"),
        ({"slope": -0.1}, "slope=-0.1 must be finite and not negative"),
        ({"slope": math.nan}, "slope=nan"),
        ({"gain": 0.0}, "gain=0.0 must be finite and greater than 0"),
        ({"gain": math.inf}, "gain=inf"),
        ({"backend": "fast"}, "'fast' is not available"),
        ({"n_threads": 0}, "n_threads=0"),
    ],
)
def test_what_does_not_fit_is_said(change, message):
    with pytest.raises(ValueError, match=message):
        bias_act(**{"x": torch.zeros(2, 6, 3, 3), "bias": torch.zeros(6), **change})


@pytest.mark.any_level
def test_other_types_are_refused():
    with pytest.raises(TypeError, match="int64"):
        bias_act(torch.zeros(2, 6, dtype=torch.int64))
    with pytest.raises(TypeError, match="bias must be a torch tensor"):
        bias_act(torch.zeros(2, 6), [0.0] * 6)
    with pytest.raises(TypeError, match="CUDA tensors"):
        bias_act(torch.zeros(2, 6), backend="triton")


@pytest.mark.native
def test_the_compiled_module_checks_its_arguments():
    arguments = {"element": 0, "slope": 0.2, "gain": 1.0, "x": 1, "bias": 0, "sign": 0, "out": 1}
    arguments |= {"sums": 0, "n_threads": 1}
    with pytest.raises(ValueError, match="shape: empty"):
        _native.bias_act(shape=(0, 3), **arguments)
