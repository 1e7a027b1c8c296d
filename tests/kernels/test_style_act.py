import math

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch.autograd import forward_ad  # noqa: E402

from unsup_fast.kernels.style_act import style_act, torch_  # noqa: E402

pytestmark = pytest.mark.any_level  # of its own it has only torch's operations on the CPU
LAST = torch.channels_last
NAMES = ("x", "scale", "noise", "strength", "bias")
UNIT = {
    torch.float32: 2**-24,
    torch.float64: 2**-53,
    torch.bfloat16: 2**-8,
    torch.float16: 2**-11,
}
SHAPES = [(1, 1, 1, 1), (2, 3, 5, 7), (3, 17, 2, 3), (2, 64, 9, 5)]


def tensor(shape, number, dtype=torch.float64):
    generator = torch.Generator().manual_seed(number)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def inputs(shape, dtype=torch.float64):
    """Return x, scale, noise, strength and bias: the last four in float32 or float64."""
    batch, channels, height, width = shape
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    shapes = (shape, (batch, channels), (batch, height, width), (), (channels,))
    return [tensor(one, i, wide if i else dtype) for i, one in enumerate(shapes)]


@pytest.fixture
def poisoned(monkeypatch):
    """Fill what is to be written with NaN."""
    empty = torch.empty_like
    monkeypatch.setattr(torch, "empty_like", lambda *a, **b: empty(*a, **b).fill_(torch.nan))


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("dtype", UNIT)
@pytest.mark.parametrize("shape", SHAPES)
def test_against_a_loop_over_numbers(dtype, shape):
    every = inputs(shape, dtype)
    for absent in ((), (1,), (2, 3), (3,), (4,), (1, 2, 3, 4)):
        tensors = [None if i in absent else one for i, one in enumerate(every)]
        for slope, gain in ((0.2, 2**0.5), (0.0, 1.0)):
            actual = style_act(*tensors, slope=slope, gain=gain)
            assert actual.dtype == dtype
            assert actual.is_contiguous(memory_format=LAST)
            truth, terms = by_hand(*tensors, slope, gain)
            near = UNIT[dtype] * truth.abs() * 1.01 + 1e-7 * (dtype == torch.float16)
            near = (
                near + 5 * UNIT[torch.float64 if dtype == torch.float64 else torch.float32] * terms
            )
            assert ((actual.double() - truth).abs() <= near).all()
            ref = style_act(*tensors, slope=slope, gain=gain, backend="ref")
            assert ((ref.double() - truth).abs() <= near).all()


def by_hand(x, scale, noise, strength, bias, slope, gain):
    """Return the result, and the sum of its terms without their signs, number by number."""
    out, terms = torch.empty(x.shape).double(), torch.empty(x.shape).double()
    numbers = [None if one is None else one.double() for one in (x, scale, noise, strength, bias)]
    x, scale, noise, strength, bias = numbers
    for b in range(x.shape[0]):
        for c in range(x.shape[1]):
            first = x[b, c] if scale is None else x[b, c] * scale[b, c]
            second = (
                0 * first if noise is None else noise[b] * (1 if strength is None else strength)
            )
            third = 0 * first if bias is None else bias[c].expand(first.shape)
            v = first + second + third
            out[b, c] = gain * torch.where(v > 0, v, slope * v)
            terms[b, c] = gain * max(1, slope) * (first.abs() + second.abs() + third.abs())
    return out, terms


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("dtype", UNIT)
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_against_torchs(dtype, shape):
    tensors = inputs(shape, dtype)
    of_out = tensor(shape, 9, dtype)
    leaves = [one.clone().requires_grad_() for one in tensors]
    out = style_act(*leaves, slope=0.3, gain=1.7)
    grads = torch.autograd.grad(out, leaves, of_out)
    x, scale, noise, strength, bias = wide = [one.double().requires_grad_() for one in tensors]
    v = x * scale[:, :, None, None] + noise[:, None] * strength + bias[:, None, None]
    truth = torch.autograd.grad(F.leaky_relu(v, 0.3) * 1.7, wide, of_out.double())
    unit = UNIT[torch.float64 if dtype == torch.float64 else torch.float32]
    n = math.prod(shape)
    for name, actual, value, leaf in zip(NAMES, grads, truth, leaves, strict=True):
        assert actual.dtype == leaf.dtype, name
        assert actual.shape == leaf.shape, name
        own = UNIT[leaf.dtype] * value.abs() * 1.01 + 1e-7 * (dtype == torch.float16)
        scale_of_sums = 20 * unit * n * value.abs().max() if name != "x" else 3 * unit * value.abs()
        assert ((actual.double() - value).abs() <= own + scale_of_sums + n * unit).all(), name


def test_gradients_of_every_order_against_differences():
    leaves = [one.requires_grad_() for one in inputs((2, 2, 1, 3))]

    def run(*tensors):
        return style_act(*tensors, slope=0.3, gain=1.7)

    def slopes(*tensors):
        return torch.autograd.grad(run(*tensors).square().sum(), tensors, create_graph=True)

    assert torch.autograd.gradcheck(run, leaves)
    assert torch.autograd.gradgradcheck(run, leaves)
    assert torch.autograd.gradcheck(slopes, leaves)
    x, scale, noise, strength, bias = leaves
    for some in ((x,), (x, scale), (x, None, noise), (x, None, noise, strength)):
        assert torch.autograd.gradcheck(run, some)
        assert torch.autograd.gradgradcheck(run, some)
    for fixed in range(5):
        some = [one.detach() if i == fixed else one for i, one in enumerate(leaves)]
        assert torch.autograd.gradcheck(run, some)
        assert torch.autograd.gradgradcheck(run, some)
    assert bias.grad is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_path_length_of_two_layers_by_hand(dtype):
    batch, d, c = 4, 3, 5
    w, first, second = (
        tensor(shape, number, dtype).requires_grad_()
        for number, shape in enumerate([(batch, d), (c, d), (c,)], 1)
    )
    x, y = tensor((batch, c, 2, 3), 7, dtype), tensor((batch, 2, 3), 8, dtype)
    scale = w @ first.T  # [B, C]
    out = (style_act(x, scale, slope=0.1, gain=1.3) * second[:, None, None]).sum(1)  # [B, H, W]
    of_w = torch.autograd.grad((out * y).sum(), w, create_graph=True)[0]  # J^T y: [B, d]
    grads = torch.autograd.grad(of_w.square().sum(1).mean(), [first, second])

    m = 1.3 * torch.where(x * scale[:, :, None, None] > 0, 1.0, 0.1).to(dtype)
    a = (m * x * y[:, None]).sum((2, 3))  # [B, C]
    direction = (a * second) @ first  # [B, d]
    torch.testing.assert_close(of_w, direction)
    of_first = 2 / batch * (a * second).T @ direction
    of_second = 2 / batch * (a * (direction @ first.T)).sum(0)
    torch.testing.assert_close(grads, (of_first, of_second))


def test_only_gradients_that_are_differentiated_are_composed(monkeypatch):
    calls = []
    real = torch_.implementation

    def counted(known, *rest):
        calls.append("forward" if known is torch_.FORWARD else "gradient")
        return real(known, *rest)

    monkeypatch.setattr(torch_, "implementation", counted)
    leaves = [one.float().requires_grad_() for one in inputs((2, 3, 4, 4))]
    out = style_act(*leaves).sum()
    torch.autograd.grad(out, leaves, create_graph=True)
    assert calls == ["forward"]
    torch.autograd.grad(out, leaves)
    assert calls == ["forward", "gradient"]


def test_any_strides_and_an_empty_batch():
    tensors = inputs((2, 9, 7, 8), torch.float32)
    truth = style_act(*tensors, backend="ref")
    x, scale, noise, strength, bias = tensors
    for laid_out in (x, x.contiguous(memory_format=LAST), x.mT.contiguous().mT):
        leaf = laid_out.clone().requires_grad_()
        out = style_act(leaf, scale.T.contiguous().T, noise.mT.contiguous().mT, strength, bias)
        assert out.is_contiguous(memory_format=LAST)
        torch.testing.assert_close(out, truth)
        out.sum().backward()  # a gradient whose elements share memory
        slope = torch.where(truth > 0, 1.0, 0.2) * math.sqrt(2)
        torch.testing.assert_close(leaf.grad, slope * scale[:, :, None, None])
    one = noise[:1].expand(2, 7, 8)
    torch.testing.assert_close(style_act(x, None, one), style_act(x, None, one.contiguous()))
    for shape in ((0, 9, 7, 8), (2, 9, 0, 8)):
        leaves = [one.requires_grad_() for one in inputs(shape, torch.float32)]
        out = style_act(*leaves)
        assert out.shape == shape
        out.sum().backward()
        assert all(leaf.grad.shape == leaf.shape for leaf in leaves)
        assert not any(leaf.grad.any() for leaf in leaves)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_threads_change_no_bit_of_the_result(dtype):
    tensors = inputs((2, 64, 37, 41), dtype)
    one = style_act(*tensors, n_threads=1)
    for n in (2, 3):
        assert torch.equal(style_act(*tensors, n_threads=n), one)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forward_gradients_and_transforms():
    tensors, along = (
        inputs((2, 4, 5, 3)),
        [one.flip(0) if one.ndim else one for one in inputs((2, 4, 5, 3))],
    )
    value, tangent = torch.func.jvp(style_act, tuple(tensors), tuple(along))
    torch.testing.assert_close(value, style_act(*tensors))
    x, scale, noise, strength, _ = tensors
    of_x, of_scale, of_noise, of_strength, of_bias = along
    truth = of_x * scale[:, :, None, None] + x * of_scale[:, :, None, None]
    truth = truth + (of_noise * strength + noise * of_strength)[:, None] + of_bias[:, None, None]
    truth = truth * torch.where(value > 0, 1.0, 0.2) * math.sqrt(2)
    torch.testing.assert_close(tangent, truth)
    with forward_ad.dual_level():
        duals = map(forward_ad.make_dual, tensors, along)
        torch.testing.assert_close(forward_ad.unpack_dual(style_act(*duals)).tangent, truth)
    grad = torch.func.grad(lambda x: style_act(x, *tensors[1:]).square().sum())(x)
    leaf = x.clone().requires_grad_()
    whole = style_act(leaf, *tensors[1:]).square().sum()
    torch.testing.assert_close(grad, torch.autograd.grad(whole, leaf)[0])
    each = torch.func.vmap(style_act, (0, None))(torch.stack([x, of_x]), scale)
    torch.testing.assert_close(each, torch.stack([style_act(x, scale), style_act(of_x, scale)]))


def test_is_an_operation_of_torch():
    leaves = [one.requires_grad_() for one in inputs((2, 6, 3, 4), torch.float32)]
    options = (0.2, 1.5, None, None)
    torch.library.opcheck(torch_.style_act.overload, (*leaves, *options))
    torch.library.opcheck(torch_.style_act.overload, (leaves[0], *(None,) * 4, *options))
    x, scale, *_ = (one.detach() for one in leaves)
    out = style_act(x, scale)
    for tensors in ((x, scale, True, True), (None, None, False, False)):
        arguments = (torch.ones_like(out), out, *tensors, *options)
        torch.library.opcheck(torch_.gradient.overload, arguments)
    compiled = torch.compile(style_act, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(*leaves), style_act(*leaves))
    grads = [torch.autograd.grad(run(*leaves).sum(), leaves) for run in (compiled, style_act)]
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other)
    meta = [one.detach().to("meta") for one in leaves]
    assert style_act(*meta).shape == out.shape


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(2, 6)}, r"x has shape \(2, 6\); pass \(B, C, H, W\)"),
        ({"scale": torch.zeros(6)}, r"scale has shape \(6,\); it must be \(2, 6\) for x of"),
        ({"noise": torch.zeros(2, 1, 3, 4)}, r"noise has shape .* must be \(2, 3, 4\)"),
        ({"strength": torch.zeros(1)}, r"strength has shape \(1,\); it must be \(\)"),
        ({"bias": torch.zeros(5)}, r"bias has shape \(5,\); it must be \(6,\)"),
        ({"scale": torch.zeros(2, 6, device="meta")}, "scale is on meta; it must be on cpu"),
        ({"noise": None}, "strength is that of the noise; pass noise, or no strength"),
        ({"slope": -0.1}, "slope=-0.1 must be finite and not negative"),
        ({"gain": 0.0}, "gain=0.0 must be finite and greater than 0"),
        ({"backend": "fast"}, "'fast' is not available for 'style_act'"),
        ({"n_threads": 0}, "n_threads=0"),
    ],
)
def test_what_does_not_fit_is_said(change, message):
    whole = dict(zip(NAMES, inputs((2, 6, 3, 4), torch.float32), strict=True))
    with pytest.raises(ValueError, match=message):
        style_act(**{**whole, **change})


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="int64"):
        style_act(torch.zeros(2, 6, 3, 3, dtype=torch.int64))
    with pytest.raises(TypeError, match="bias must be a torch tensor, got list"):
        style_act(torch.zeros(2, 6, 3, 3), bias=[0.0] * 6)
    with pytest.raises(TypeError, match=r"noise must be float32, .* got torch\.int64"):
        style_act(torch.zeros(2, 6, 3, 3), noise=torch.zeros(2, 3, 3, dtype=torch.int64))
    with pytest.raises(TypeError, match="CUDA tensors"):
        style_act(torch.zeros(2, 6, 3, 3), backend="triton")
