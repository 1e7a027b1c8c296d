import numpy as np
import pytest
import scipy.signal

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch.autograd import forward_ad  # noqa: E402

from unsup_fast.kernels.upfirdn import torch_, upfirdn  # noqa: E402

pytestmark = pytest.mark.any_level
LAST = torch.channels_last
UNIT = {
    torch.float32: 2**-24,
    torch.float64: 2**-53,
    torch.bfloat16: 2**-8,
    torch.float16: 2**-11,
}
SETTINGS = [  # up, down, padding, shape of taps
    (1, 1, 0, (1, 1)),
    (2, 1, (2, 1, 2, 1), (4, 4)),
    (1, 2, (1, 1, 1, 1), (4, 4)),
    (1, 1, (2, 1, -1, 3), (3, 2)),
    ((2, 3), (3, 2), (4, 0, 1, 5), (5, 3)),
    ((3, 1), (1, 2), (-1, 6, 3, -1), (2, 6)),
    (4, 3, (9, -2, -1, 8), (3, 3)),  # more zeros than taps
]


def tensor(shape, number, dtype=torch.float64):
    generator = torch.Generator().manual_seed(number)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def pair(value):
    return (value, value) if isinstance(value, int) else value


def by_hand(x, taps, up, down, padding):
    """Return the formula of the contract, summed pixel by pixel."""
    (up_y, up_x), (down_y, down_x) = pair(up), pair(down)
    left, right, top, bottom = padding if isinstance(padding, tuple) else (padding,) * 4
    (height, width), (rows, columns) = x.shape[2:], taps.shape
    out_height = (height * up_y + top + bottom - rows) // down_y + 1
    out_width = (width * up_x + left + right - columns) // down_x + 1
    out = np.zeros((*x.shape[:2], out_height, out_width))
    for j, k, i, m in np.ndindex(out_height, out_width, height, width):
        row = j * down_y + rows - 1 - top - i * up_y
        column = k * down_x + columns - 1 - left - m * up_x
        if 0 <= row < rows and 0 <= column < columns:
            out[..., j, k] += taps[row, column] * x[..., i, m]
    return torch.from_numpy(out)


@pytest.fixture
def poisoned(monkeypatch):
    """Fill what is to be written with NaN."""
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *a, **b: empty(*a, **b).fill_(torch.nan))


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("dtype", UNIT)
@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (1, 1, 1, 7), (3, 17, 6, 3)])
@pytest.mark.parametrize(("up", "down", "padding", "size"), SETTINGS)
def test_against_a_loop_over_pixels(dtype, shape, up, down, padding, size):
    padding = (3,) * 4 if shape[2] == 1 else padding  # or nothing is left
    x, taps = tensor(shape, 1, dtype), tensor(size, 2)
    settings = {"up": up, "down": down, "padding": padding}
    truth = by_hand(x.double().numpy(), taps.numpy(), *settings.values())
    terms = by_hand(x.double().abs().numpy(), taps.abs().numpy(), *settings.values())
    sums = (taps.numel() + 2) * (2**-53 if dtype == torch.float64 else 2**-24)
    for backend in (None, "portable", "ref"):
        actual = upfirdn(x, taps, **settings, backend=backend)
        assert actual.dtype == dtype
        assert actual.shape == truth.shape
        assert actual.is_contiguous(memory_format=LAST)
        near = 1.01 * UNIT[dtype] * truth.abs() + sums * terms + 1e-7 * (dtype == torch.float16)
        assert ((actual.double() - truth).abs() <= near).all()


@pytest.mark.parametrize(
    ("up", "down", "before", "after"), [(1, 1, 0, 0), (3, 2, 2, 1), (1, 4, 5, 0)]
)
def test_against_scipys(up, down, before, after):
    x, taps = tensor((1, 1, 1, 19), 1), tensor((1, 5), 2)
    zeros = np.zeros(after)
    inserted = np.zeros(19 * up)
    inserted[::up] = x.numpy().ravel()
    truth = scipy.signal.upfirdn(
        taps[0].numpy(), np.concatenate([np.zeros(before), inserted, zeros])
    )
    truth = truth[4 : len(truth) - 4 : down]  # what no end of the signal has part in
    settings = {"up": (1, up), "down": (1, down), "padding": (before, after, 0, 0)}
    actual = upfirdn(x, taps, **settings)
    torch.testing.assert_close(actual.ravel(), torch.from_numpy(truth.copy()))


def test_stylegans_filter_against_torchs_interpolation():
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    x = tensor((2, 3, 5, 6), 1).float()
    up = upfirdn(x, taps / 4, up=2, padding=(2, 1, 2, 1))
    truth = F.interpolate(x, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(up[..., 1:-1, 1:-1], truth[..., 1:-1, 1:-1])
    torch.testing.assert_close(up[..., 0, 1:-1], 0.75 * truth[..., 0, 1:-1])  # zeros next to it
    down = upfirdn(x[..., :4, :], taps / 8, down=2, padding=1)
    weight = torch.outer(taps, taps).expand(3, 1, 4, 4) / 64
    torch.testing.assert_close(down, F.conv2d(x[..., :4, :], weight, stride=2, padding=1, groups=3))


@pytest.mark.parametrize("n", [3, 8, 9, 12])
def test_one_filter_of_both_axes_is_an_outer_product(n):
    x, taps = tensor((2, 3, 6, 7), 1), tensor(n, 2)
    settings = {"up": (2, 3), "down": (3, 2), "padding": (5, 3, 7, -1)}
    truth = by_hand(x.numpy(), torch.outer(taps, taps).numpy(), *settings.values())
    torch.testing.assert_close(upfirdn(x, taps, **settings), truth)


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("backend", ["portable", "ref"])
@pytest.mark.parametrize(("up", "down", "padding", "size"), SETTINGS)
def test_gradients_of_every_order_against_differences(backend, up, down, padding, size):
    x, taps = tensor((1, 2, 4, 3), 1).requires_grad_(), tensor(size, 2)

    def run(x):
        out = upfirdn(x, taps, up=up, down=down, padding=padding, backend=backend)
        return out.square() * out

    def slopes(x):
        return torch.autograd.grad(run(x).sum(), x, create_graph=True)[0]

    assert torch.autograd.gradcheck(run, [x])
    assert torch.autograd.gradgradcheck(run, [x])
    assert torch.autograd.gradcheck(slopes, [x])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("up", "down", "padding", "size"), SETTINGS)
def test_the_gradient_is_the_adjoint(dtype, up, down, padding, size):
    x, taps = tensor((2, 5, 5, 7), 1, dtype).requires_grad_(), tensor(size, 2).float()
    out = upfirdn(x, taps, up=up, down=down, padding=padding)
    of_out = tensor(out.shape, 3, dtype)
    of_x = torch.autograd.grad(out, x, of_out)[0]
    assert of_x.dtype == dtype
    assert of_x.is_contiguous(memory_format=LAST)
    wide = x.detach().double().requires_grad_()
    truth = upfirdn(wide, taps.double(), up=up, down=down, padding=padding, backend="ref")
    truth = torch.autograd.grad(truth, wide, of_out.double())[0]
    torch.testing.assert_close(of_x, truth.to(dtype))


def test_gradients_run_through_the_same_operation(monkeypatch):
    calls = []
    real = torch_.implementation

    def counted(x, backend):
        calls.append(tuple(x.shape[2:]))
        return real(x, backend)

    monkeypatch.setattr(torch_, "implementation", counted)
    x = tensor((2, 3, 4, 4), 1).requires_grad_()
    out = upfirdn(x, torch.ones(4), up=2, padding=(2, 1, 2, 1))
    penalty = torch.autograd.grad(out.square().sum(), x, create_graph=True)[0].square().sum()
    assert calls == [(4, 4), (8, 8)]
    penalty.backward()
    assert calls == [(4, 4), (8, 8), (4, 4), (8, 8)]  # the gradient of the gradient, and of `out`


def test_numbers_that_are_not_finite_touch_no_other_pixel():
    x = tensor((1, 2, 5, 5), 1)
    taps, settings = torch.ones(3, 3).double(), {"up": 2, "padding": 2}
    truth = upfirdn(x, taps, **settings)
    x[0, 0, 2, 2] = torch.inf
    actual = upfirdn(x, taps, **settings, backend="portable")
    touched = torch.zeros(1, 2, 5, 5).double()
    touched[0, 0, 2, 2] = 1
    touched = upfirdn(touched, taps, **settings) > 0
    assert torch.equal(actual.isfinite(), ~touched)
    assert torch.equal(actual[~touched], truth[~touched])


def test_any_strides_and_an_empty_batch():
    x, taps = tensor((2, 9, 7, 8), 6).float(), tensor((4, 3), 1)
    settings = {"up": 2, "down": 3, "padding": 2}
    truth = upfirdn(x, taps, **settings, backend="ref")
    for laid_out in (x, x.contiguous(memory_format=LAST), x.mT.contiguous().mT):
        leaf = laid_out.clone().requires_grad_()
        out = upfirdn(leaf, taps, **settings)
        torch.testing.assert_close(out, truth)
        out.sum().backward()  # a gradient whose elements share memory
        assert leaf.grad.isfinite().all()
    torch.testing.assert_close(
        upfirdn(x[..., ::2], taps.T.contiguous().T, **settings),
        upfirdn(x[..., ::2].contiguous(), taps, **settings),
    )
    empty = torch.zeros(0, 9, 7, 8, requires_grad=True)
    out = upfirdn(empty, taps, **settings)
    assert out.shape == (0, *truth.shape[1:])
    out.sum().backward()
    assert empty.grad.shape == empty.shape


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forward_gradients_and_transforms():
    x, along, taps = tensor((2, 2, 5, 3), 1), tensor((2, 2, 5, 3), 2), tensor((3, 4), 3)

    def run(x):
        return upfirdn(x, taps, up=2, down=(1, 3), padding=(2, 3, -1, 2))

    value, tangent = torch.func.jvp(run, (x,), (along,))
    torch.testing.assert_close(value, run(x))
    torch.testing.assert_close(tangent, run(along))
    with forward_ad.dual_level():
        dual = run(forward_ad.make_dual(x, along))
        torch.testing.assert_close(forward_ad.unpack_dual(dual).tangent, run(along))
    each = torch.func.vmap(run)(torch.stack([x, along]))
    torch.testing.assert_close(each, torch.stack([run(x), run(along)]))
    grad = torch.func.grad(lambda x: run(x).square().sum())(x)
    leaf = x.clone().requires_grad_()
    torch.testing.assert_close(grad, torch.autograd.grad(run(leaf).square().sum(), leaf)[0])


def test_is_an_operation_of_torch():
    x, taps = tensor((2, 6, 3, 4), 7).float().requires_grad_(), tensor((4, 3), 8).float()
    for settings in (((2, 2), (1, 3), (2, 1, 2, 1), False), ((1, 1), (2, 2), (1, 1, -1, 3), True)):
        torch.library.opcheck(torch_.upfirdn.overload, (x, taps, *settings, None))

    def run(x):
        return upfirdn(x, taps, up=2, down=(1, 3), padding=(2, 1, 2, 1))

    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x), run(x))
    grads = [torch.autograd.grad(f(x).square().sum(), x)[0] for f in (compiled, run)]
    assert torch.equal(*grads)
    meta = upfirdn(x.detach().to("meta"), taps.to("meta"), up=2, padding=3)
    assert meta.shape == upfirdn(x, taps, up=2, padding=3).shape


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(2, 6, 3)}, r"x has shape \(2, 6, 3\); pass \(B, C, H, W\)"),
        ({"taps": torch.zeros(1, 2, 3)}, r"taps have shape \(1, 2, 3\); pass \(KH, KW\) or"),
        ({"taps": torch.zeros(0, 3)}, "not empty"),
        ({"taps": torch.zeros(3, device="meta")}, "taps are on meta"),
        ({"taps": torch.zeros(3, requires_grad=True)}, "taps.detach()"),
        ({"up": 0}, "up=0 must be a whole number of at least 1, or two of them"),
        ({"down": (1, 2, 3)}, r"down=\(1, 2, 3\) must be"),
        ({"up": 1.5}, "up=1.5 must be"),
        ({"padding": (1, 2)}, r"padding=\(1, 2\) must be a whole number, or four"),
        ({"padding": (1.0, 2, 3, 4)}, "left, right, top and bottom"),
        ({"padding": -2}, "do not fit into pictures"),
        ({"backend": "fast"}, "'fast' is not available"),
        ({"backend": "native"}, r"pass one of \['portable', 'ref', 'triton'\]"),
    ],
)
def test_what_does_not_fit_is_said(change, message):
    with pytest.raises(ValueError, match=message):
        upfirdn(**{"x": torch.zeros(2, 6, 3, 3), "taps": torch.zeros(3), **change})


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="int64"):
        upfirdn(torch.zeros(2, 6, 3, 3, dtype=torch.int64), torch.zeros(3))
    with pytest.raises(TypeError, match="taps must be a torch tensor"):
        upfirdn(torch.zeros(2, 6, 3, 3), [0.0] * 6)
    with pytest.raises(TypeError, match="CUDA tensors"):
        upfirdn(torch.zeros(2, 6, 3, 3), torch.zeros(3), backend="triton")
