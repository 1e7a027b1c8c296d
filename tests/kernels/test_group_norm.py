import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from unsup_fast.kernels import _native  # noqa: E402
from unsup_fast.kernels.group_norm import group_norm, torch_  # noqa: E402

LAST = torch.channels_last
BOUNDS = {torch.float32: 1e-5, torch.float64: 1e-13, torch.bfloat16: 2**-7, torch.float16: 2**-10}
# (B, C, H, W) and groups: fewer channels than lanes, more than four vectors, ends of vectors.
SHAPES = [
    ((1, 1, 1, 1), 1),
    ((3, 2, 1, 17), 2),
    ((2, 15, 5, 3), 3),
    ((5, 33, 7, 9), 11),
    ((2, 97, 13, 11), 1),
    ((1, 64, 15, 17), 8),
    ((4, 160, 3, 5), 32),
]
GIVEN = [
    (),
    ("weight", "bias"),
    ("scale", "shift"),
    ("weight", "bias", "scale", "shift"),
    ("bias", "scale"),
]


def tensor(shape, number, dtype=torch.float64):
    generator = torch.Generator().manual_seed(number)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def extras(names, shape, dtype):
    sizes = {"weight": shape[1:2], "bias": shape[1:2], "scale": shape[:2], "shift": shape[:2]}
    return {name: tensor(sizes[name], i, dtype) for i, name in enumerate(names)}


def wide_of(dtype):
    return torch.float64 if dtype == torch.float64 else torch.float32


def assert_near(actual, truth, bound):
    torch.testing.assert_close(actual.double(), truth.double(), rtol=bound, atol=bound)


@pytest.fixture
def poisoned(monkeypatch):
    """Fill what is to be written with NaN."""
    empty = torch.empty_like
    monkeypatch.setattr(torch_.torch, "empty_like", lambda *a, **b: empty(*a, **b).fill_(torch.nan))


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize(("shape", "groups"), SHAPES)
def test_against_the_reference(dtype, shape, groups):
    for names in GIVEN:
        for silu in (False, True):
            x = 3 * tensor(shape, 9, dtype) + 1
            more = extras(names, shape, torch.float32)
            actual = group_norm(x, groups, **more, silu=silu)
            assert actual.dtype == dtype
            assert actual.is_contiguous(memory_format=LAST)
            wide = {name: value.double() for name, value in more.items()}
            truth = group_norm(x.double(), groups, **wide, silu=silu, backend="ref")
            assert_near(actual, truth, BOUNDS[dtype])


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize(("shape", "groups"), SHAPES)
def test_gradients_against_the_reference(dtype, shape, groups):
    names = GIVEN[3]
    tensors = {"x": tensor(shape, 9, dtype), **extras(names, shape, wide_of(dtype))}
    of_out = tensor(shape, 10, dtype)
    for silu in (False, True):
        actual = gradients({k: v.clone() for k, v in tensors.items()}, of_out, groups, silu, None)
        wide = {name: value.double() for name, value in tensors.items()}
        truth = gradients(wide, of_out.double(), groups, silu, "ref")
        for f, t, name in zip(actual, truth, tensors, strict=True):
            assert f.dtype == tensors[name].dtype
            room = 1 if name == "x" else shape[2] * shape[3] * shape[0]
            assert_near(f, t, BOUNDS[dtype] * room**0.5 * 2)


def gradients(tensors, of_out, groups, silu, backend, n_threads=None):
    x = tensors.pop("x").requires_grad_()
    leaves = {name: value.requires_grad_() for name, value in tensors.items()}
    out = group_norm(x, groups, **leaves, silu=silu, backend=backend, n_threads=n_threads)
    return torch.autograd.grad(out, [x, *leaves.values()], of_out)


def test_gradients_against_differences():
    shape = (2, 6, 3, 2)
    tensors = [tensor(shape, 9), *extras(GIVEN[3], shape, torch.float64).values()]

    def function(x, weight, bias, scale, shift):
        return group_norm(x, 2, weight=weight, bias=bias, scale=scale, shift=shift, silu=True)

    assert torch.autograd.gradcheck(function, [value.requires_grad_() for value in tensors])
    assert torch.autograd.gradgradcheck(function, tensors)


def test_against_torchs():
    x, weight, bias = tensor((3, 24, 9, 5), 0).float(), tensor(24, 1).float(), tensor(24, 2).float()
    truth = torch.nn.functional.silu(torch.nn.functional.group_norm(x, 6, weight, bias, 1e-3))
    assert_near(group_norm(x, 6, weight=weight, bias=bias, eps=1e-3, silu=True), truth, 1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_threads_and_neighbours_change_no_bit(dtype):
    for shape, groups in SHAPES:
        x = tensor(shape, 3, dtype).contiguous(memory_format=LAST)
        of_out, more = tensor(shape, 4, dtype), extras(GIVEN[3], shape, torch.float32)
        outs, grads = [], []
        for n in range(1, 6):
            leaves = {name: value.clone() for name, value in {"x": x, **more}.items()}
            outs.append(group_norm(x, groups, silu=True, n_threads=n))
            grads.append(gradients(leaves, of_out, groups, True, None, n))
        assert torch.equal(outs[0][-1:], group_norm(x[-1:], groups, silu=True, n_threads=2))
        assert all(torch.equal(outs[0], other) for other in outs)
        for other in grads:
            assert all(map(torch.equal, grads[0], other))


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 3),
    groups=st.integers(1, 7),
    size=st.integers(1, 21),
    sides=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    factor=st.floats(0.01, 100),
    offset=st.floats(-10, 10),
)
def test_scale_and_offset_of_a_group_do_not_matter(n, groups, size, sides, factor, offset):
    x = tensor((n, groups * size, *sides), 8)
    out = group_norm(factor * x + offset, groups, eps=0.0)
    if size * sides[0] * sides[1] > 1:
        assert_near(out, group_norm(x, groups, eps=0.0), 1e-8)
    each = out.unflatten(1, (groups, size)).movedim(1, 0).flatten(2)  # [groups, n, ...]
    if each.shape[2] > 1:
        assert_near(each.mean(2), torch.zeros(groups, n), 1e-8)
        assert_near(each.square().mean(2), torch.ones(groups, n), 1e-8)


def test_a_far_mean_costs_nothing():
    x = 1000 + 0.25 * tensor((2, 8, 32, 32), 4).float()
    assert_near(group_norm(x, 2), group_norm(x.double(), 2, backend="ref"), 2e-5)
    flat = torch.full((1, 8, 4, 4), 1e4)
    assert (group_norm(flat, 2) == 0).all()


@pytest.mark.parametrize("factor", [1e-34, 1e-23, 1e-19, 1e17, 1e19, 1e30, 1e37])
def test_the_range_of_float32_is_no_limit(factor):
    shape = (2, 12, 9, 31)
    x, of_out = (factor * (tensor(shape, 4) + 0.1)).float(), tensor(shape, 5).float()
    more = extras(GIVEN[3], shape, torch.float32)
    actual = group_norm(x, 3, **more, silu=True, eps=0.0)
    assert_near(actual, group_norm(x, 3, **more, silu=True, eps=0.0, backend="ref"), 1e-5)
    of_x = gradients({"x": x}, of_out, 3, True, None)[0]
    truth = gradients({"x": x.double()}, of_out.double(), 3, True, "ref")[0]
    assert_near(of_x, truth, 1e-5 * float(truth.abs().max()))


def test_what_is_not_finite_stays_in_its_group():
    x = tensor((2, 8, 5, 5), 5).float()
    x[0, 1, 2, 3] = torch.inf
    out = group_norm(x, 2, silu=True)
    assert out[0, :4].isnan().all()
    assert out[0, 4:].isfinite().all()
    assert out[1].isfinite().all()


def test_any_strides():
    x = tensor((2, 9, 7, 8), 6).float()
    truth = group_norm(x.double(), 3, backend="ref")
    for laid_out in (x, x.contiguous(memory_format=LAST), x.transpose(2, 3).contiguous().mT):
        assert_near(group_norm(laid_out, 3), truth, 1e-5)
    assert_near(
        group_norm(x[..., ::2], 3), group_norm(x[..., ::2].double(), 3, backend="ref"), 1e-5
    )
    assert group_norm(x[:0], 3).shape == (0, 9, 7, 8)


def test_is_an_operation_of_torch():
    if _native.simd() != _native.simd_levels()[-1]:
        pytest.skip("the same at every level")
    x = tensor((2, 6, 3, 4), 7).float().requires_grad_()
    more = [value.requires_grad_() for value in extras(GIVEN[3], x.shape, torch.float32).values()]
    args = (x, 3, *more, 1e-5, True, None, None)
    torch.library.opcheck(torch_.group_norm.overload, args)
    detached = [one.detach() if isinstance(one, torch.Tensor) else one for one in args]
    torch.library.opcheck(torch_.gradient.overload, (detached[0], *detached))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": 4}, "groups=4 must divide the 6 channels"),
        ({"groups": 0}, "groups=0"),
        ({"eps": -1.0}, "eps=-1.0"),
        ({"x": torch.zeros(2, 6)}, "pass images"),
        ({"weight": torch.zeros(5)}, r"weight must be a tensor of shape \(6,\)"),
        ({"scale": torch.zeros(6)}, r"scale must be a tensor of shape \(2, 6\)"),
        ({"shift": torch.zeros(2, 6, device="meta")}, "shift is on meta"),
        ({"backend": "triton"}, "'triton' is not available"),
        ({"n_threads": 0}, "n_threads=0"),
    ],
)
def test_what_does_not_fit_is_said(change, message):
    arguments = {"x": torch.zeros(2, 6, 3, 3), "groups": 3, **change}
    with pytest.raises(ValueError, match=message):
        group_norm(arguments.pop("x"), arguments.pop("groups"), **arguments)


def test_other_types_and_devices_are_refused():
    with pytest.raises(TypeError, match="int64"):
        group_norm(torch.zeros(2, 6, 3, 3, dtype=torch.int64), 3)
