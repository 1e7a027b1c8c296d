"""noise, denoise and group_norm under torch's modes and transforms, and on unusual tensors."""

import pytest

torch = pytest.importorskip("torch")

from torch.autograd import forward_ad  # noqa: E402
from torch.fx.experimental.proxy_tensor import make_fx  # noqa: E402

from unsup_fast.kernels import sampler_terms as terms  # noqa: E402
from unsup_fast.kernels.denoise import denoise  # noqa: E402
from unsup_fast.kernels.group_norm import group_norm  # noqa: E402
from unsup_fast.kernels.noise import noise  # noqa: E402
from unsup_fast.kernels.randn import randn  # noqa: E402


@pytest.fixture(autouse=True)
def one_level(simd):
    from unsup_fast.kernels import _native

    if simd != _native.simd_levels()[-1]:
        pytest.skip("does not depend on the instruction set")


def step(x):
    row = torch.zeros(terms.N_TERMS, dtype=torch.float64)
    row[[terms.X0_OUTPUT, terms.KEEP_X0, terms.NEXT_KEEP]] = 1
    row[terms.CLIP] = torch.inf
    return denoise(x, x, row)


def diffuse(x):
    return noise(x, 1.0, 0.0, seed=1)


@pytest.mark.parametrize("run", [step, diffuse])
def test_what_torch_records_depends_on_the_input(run):
    x = torch.randn(2, 3)
    assert torch.equal(make_fx(run)(x)(2 * x), 2 * x)
    assert torch.equal(torch.func.functionalize(run)(x), x)
    assert run(x.to("meta")).shape == (2, 3)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("run", [step, diffuse])
def test_a_forward_gradient_is_refused_rather_than_lost(run):
    x = torch.randn(2, 3)
    with pytest.raises(NotImplementedError, match="no forward-mode gradient"):
        torch.func.jvp(run, (x,), (x,))
    with (
        forward_ad.dual_level(),
        pytest.raises(NotImplementedError, match="no forward-mode gradient"),
    ):
        run(forward_ad.make_dual(x, x))
    with forward_ad.dual_level():
        assert torch.equal(run(x), x)


@pytest.mark.parametrize("run", [step, diffuse])
def test_a_transform_without_a_rule_is_an_error(run):
    with pytest.raises(RuntimeError, match="Batching rule not implemented"):
        torch.func.vmap(run)(torch.randn(2, 3, 4))


@pytest.mark.parametrize("run", [step, diffuse])
def test_a_negative_view_of_one_element_a_sample(run):
    x = torch.tensor([1 + 2j, 3 + 4j]).conj().imag
    assert torch.equal(run(x), torch.tensor([-2.0, -4.0]))


@pytest.mark.parametrize("run", [step, diffuse])
def test_a_tensor_without_memory_is_an_error(run):
    x = torch.randn(2, 3)
    x.untyped_storage().resize_(0)
    with pytest.raises(ValueError, match="has no memory"):
        run(x)


def normed(x, weight):
    return group_norm(x, 2, weight=weight, bias=weight, scale=x[..., 0, 0], silu=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_group_norm_has_forward_gradients_and_transforms():
    x, along = torch.randn(2, 3, 4, 5, 2, dtype=torch.float64)
    weight, its = torch.randn(2, 4, dtype=torch.float64)
    value, tangent = torch.func.jvp(normed, (x, weight), (along, its))
    assert torch.allclose(value, normed(x, weight))
    shifted = [normed(x + h * along, weight + h * its) for h in (1e-5, -1e-5)]
    assert torch.allclose(tangent, (shifted[0] - shifted[1]) / 2e-5, atol=1e-7)
    with forward_ad.dual_level():
        dual = normed(forward_ad.make_dual(x, along), forward_ad.make_dual(weight, its))
        assert torch.allclose(forward_ad.unpack_dual(dual).tangent, tangent)
        assert torch.equal(normed(x, weight), normed(x.clone(), weight))

    leaf = x.clone().requires_grad_()
    normed(leaf, weight).square().sum().backward()
    grad = torch.func.grad(lambda x: normed(x, weight).square().sum())(x)
    assert torch.allclose(grad, leaf.grad)
    each = torch.func.vmap(normed, (0, None))(torch.stack([x, along]), weight)
    assert torch.allclose(each, torch.stack([normed(x, weight), normed(along, weight)]))


def test_seeds_of_any_stride():
    x, seeds = torch.randn(4, 3), torch.arange(8)
    for strided in (seeds[::2], torch.tensor([5]).expand(4)):
        truth = randn(x.shape, seed=strided.tolist(), dtype=torch.float32)
        assert torch.equal(noise(x, 0.0, 1.0, seed=strided), truth)


@pytest.mark.parametrize("run", [step, diffuse])
def test_a_result_for_strides_of_any_order(run):
    x = torch.randn(5, 4, 3, 2).permute(3, 1, 0, 2)
    assert torch.equal(run(x), x)
    assert torch.equal(run(x.requires_grad_()), x)
    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x), x)


def test_seeds_of_no_samples():
    x = torch.empty(0, 3)
    assert noise(x, 1.0, 1.0, seed=torch.empty(0, dtype=torch.int64)).shape == (0, 3)


def test_randn_of_a_meta_tensor():
    assert randn((2, 3), seed=1, device="meta").shape == (2, 3)
