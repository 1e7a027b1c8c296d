"""Tensors: the results of arrays, and gradients."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from unsup_fast import information
from unsup_fast.information import (
    binary_cross_entropy,
    bretagnolle_huber_bound,
    cross_entropy,
    entropy,
    js_divergence,
    kl_bernoulli,
    kl_divergence,
    kl_gaussian,
    kl_gaussian_diag,
    mutual_information,
    pinsker_bound,
    total_variation,
)

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch's own

TWO = [cross_entropy, kl_divergence, js_divergence, total_variation]
COINS = [binary_cross_entropy, kl_bernoulli]


def full(measure):
    """Return the measure as a function of means and roots of covariances."""

    def of_roots(mean_p, root_p, mean_q, root_q):
        one = torch.eye(root_p.shape[-1], dtype=root_p.dtype)
        return measure(mean_p, root_p @ root_p.mT + one, mean_q, root_q @ root_q.mT + one)

    return of_roots


def draw_tensor(draw, *shape, **options):
    return torch.tensor(draw(*shape, **options), requires_grad=True)


@pytest.fixture
def arguments(rng, draw):
    """Return arguments of each measure, with zeros where it takes them."""
    p, q, log_p, log_q = draw(3, 5, zeros=0.3), draw(3, 5), np.log(draw(3, 5)), np.log(draw(3, 5))
    p[0, 1] = log_p[0, 1] = 0
    p /= p.sum(axis=-1, keepdims=True)
    log_p[0, 1] = -np.inf
    log_p -= np.log(np.exp(log_p).sum(axis=-1, keepdims=True))
    root = rng.normal(size=(2, 4, 3, 3))
    cov = root @ np.swapaxes(root, -1, -2) + np.eye(3)
    mean, var = rng.normal(size=(2, 4, 3)), rng.exponential(size=(2, 4, 3))
    return [
        (entropy, (p,)),
        (mutual_information, (draw(12, zeros=0.3).reshape(3, 4),)),
        *((measure, (p, q)) for measure in [*TWO, *COINS]),
        (pinsker_bound, (np.array([0, 0.3, np.inf]),)),
        (bretagnolle_huber_bound, (np.array([0, 0.3, np.inf]),)),
        (partial(entropy, log=True), (log_p,)),
        *((partial(measure, log=True), (log_p, log_q)) for measure in TWO),
        (kl_gaussian, (mean[0], cov[0], mean[1], cov[1])),
        (kl_gaussian, (mean[0], cov[0, 0])),
        (kl_gaussian_diag, (mean[0], var[0], mean[1], var[1])),
        (partial(kl_gaussian_diag, log=True), (mean[0], np.log(var[0]))),
    ]


def test_agrees_with_numpy(arguments, dtype):
    for measure, inputs in arguments:
        inputs = [x.astype(dtype) for x in inputs]
        actual = measure(*map(torch.from_numpy, inputs))
        assert actual.numpy().dtype == dtype
        rtol = 4 * np.finfo(dtype).eps if "gauss" not in str(measure) else 1e-6
        np.testing.assert_allclose(actual.numpy(), measure(*inputs), rtol=rtol, atol=1e-300)


def test_bits(arguments):
    for measure, inputs in arguments:
        if "variation" in str(measure) or measure is bretagnolle_huber_bound:
            continue
        inputs = [torch.from_numpy(x) for x in inputs]
        ratio = np.log(2) if measure is not pinsker_bound else np.log(2) ** -0.5
        torch.testing.assert_close(measure(*inputs, base=2) * ratio, measure(*inputs))


def test_gradients_are_finite(arguments, dtype):
    for measure, inputs in arguments:
        inputs = [torch.tensor(x.astype(dtype), requires_grad=True) for x in inputs]
        actual = measure(*inputs)
        actual[actual.isfinite()].sum().backward()
        assert all(x.grad.isfinite().all() for x in inputs), measure


def test_gradients_at_zeros_and_infinities():
    p, q = (torch.tensor(x, requires_grad=True) for x in ([0.0, 1.0, 0], [1.0, 0, 0]))
    for measure in TWO:
        measure(p, q).backward()
    entropy(p).backward()
    for measure in COINS:
        measure(p, q).sum().backward()
    assert p.grad.isfinite().all()
    assert q.grad.isfinite().all()
    log_p, log_q = (
        torch.tensor(x, requires_grad=True) for x in ([-np.inf, 0, -np.inf], [0, *2 * [-np.inf]])
    )
    for measure in TWO:
        measure(log_p, log_q, log=True).backward()
    entropy(log_p, log=True).backward()
    assert log_p.grad.isfinite().all()
    assert log_q.grad.isfinite().all()
    joint = torch.tensor([[0.5, 0, 0], [0, 0, 0], [0, 0.5, 0]], requires_grad=True)
    mutual_information(joint).backward()
    assert joint.grad.isfinite().all()


def test_gradcheck(rng, draw):
    check, again = torch.autograd.gradcheck, torch.autograd.gradgradcheck
    p, q, joint = draw_tensor(draw, 2, 5), draw_tensor(draw, 2, 5), draw_tensor(draw, 6)
    near = torch.tensor((p.detach() * (1 + 1e-3 * torch.tensor([1, -1, 0.5, 0, 0.1]))).numpy())
    near = (near / near.sum(-1, keepdim=True)).requires_grad_()
    single = q[0].detach().requires_grad_()
    # With 1e-6 added to an entry a distribution is still one.
    for measure in [*TWO, *COINS]:
        check(measure, (p, q))
        check(measure, (p, single))
        if measure is not total_variation:
            check(measure, (p, near))
            again(measure, (p, q))
            check(measure, (p, q), check_forward_ad=True, check_backward_ad=False)
    check(entropy, (p,))
    check(lambda p: mutual_information(p.reshape(2, 3)), (joint,))
    log_p, log_q = p.detach().log().requires_grad_(), q.detach().log().requires_grad_()
    log_near = near.detach().log().requires_grad_()
    check(partial(entropy, log=True), (log_p,))
    for measure in TWO:
        logs = partial(measure, log=True)
        check(logs, (log_p, log_q))
        if measure is not total_variation:
            check(logs, (log_p, log_near))
            again(logs, (log_p, log_q))
    mean, root = (torch.tensor(rng.normal(size=s), requires_grad=True) for s in [(2, 3), (2, 3, 3)])
    other, scale = (torch.tensor(rng.normal(size=s), requires_grad=True) for s in [(3,), (3, 3)])
    check(full(kl_gaussian), (mean, root, other, scale))
    check(
        lambda mean, root: full(lambda m, c, *_: kl_gaussian(m, c))(mean, root, mean, root),
        (mean, root),
    )
    var = root[:, 0].detach().exp().requires_grad_()
    check(kl_gaussian_diag, (mean, var, other, var[0].detach().clone().requires_grad_()))
    check(partial(kl_gaussian_diag, log=True), (mean, root[:, 0].detach().requires_grad_()))
    check(pinsker_bound, (var,))
    check(bretagnolle_huber_bound, (var,))


def test_gradient_through_softmax_is_that_of_the_definition(draw):
    x, q = torch.tensor(draw(5)).log().requires_grad_(), torch.tensor(draw(5))
    p = torch.softmax(x, -1)
    (actual,) = torch.autograd.grad(kl_divergence(p, q), x, retain_graph=True)
    (true,) = torch.autograd.grad((p * (p / q).log()).sum(), x)
    torch.testing.assert_close(actual, true, rtol=1e-12, atol=1e-14)


def test_hessian_at_equality_is_the_fisher_information(draw):
    x = torch.tensor(draw(4)).log()
    p = torch.softmax(x, -1)
    measure = partial(kl_divergence, p, validate=False)

    def divergence(x):
        return measure(torch.softmax(x, -1))

    for actual in (
        torch.func.hessian(divergence)(x),
        torch.autograd.functional.hessian(divergence, x),
    ):
        torch.testing.assert_close(actual, torch.diag(p) - torch.outer(p, p))


def test_only_the_arguments_are_saved_for_the_gradient(draw):
    p, q = draw_tensor(draw, 50), draw_tensor(draw, 50)
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda x: sizes.append(x.numel()) or x, lambda x: x
    ):
        kl_divergence(p, q)
    assert sum(sizes) == 100


def test_vmap_and_compile(draw):
    p, q = draw_tensor(draw, 3, 5, zeros=0.2), draw_tensor(draw, 3, 5)
    for measure in TWO:
        quick = partial(measure, validate=False)
        torch.testing.assert_close(torch.func.vmap(quick)(p, q), measure(p, q))
    torch._dynamo.reset()
    quick = partial(kl_divergence, validate=False)
    compiled = torch.compile(quick, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(p, q), quick(p, q), rtol=1e-12, atol=0)
    actual = torch.autograd.grad(compiled(p, q).sum(), (p, q))
    true = torch.autograd.grad(quick(p, q).sum(), (p, q))
    torch.testing.assert_close(actual, true, rtol=1e-10, atol=1e-12)


def test_mixed_arguments():
    p = torch.tensor([0.5, 0.5])
    actual = kl_divergence(p, [0.25, 0.75])
    assert actual.dtype == torch.float32
    torch.testing.assert_close(kl_divergence(p, np.array([0.25, 0.75])), actual.double())
    torch.testing.assert_close(
        kl_divergence([0.25, 0.75], p), kl_divergence([0.25, 0.75], p.numpy()) + 0 * p[0]
    )
    assert entropy(torch.tensor([0, 1])).dtype == torch.float64
    assert cross_entropy(torch.tensor([0, 1]), p).dtype == torch.float32
    assert entropy(torch.tensor([True, False])) == 0


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_single(draw, kind):
    p = torch.softmax(torch.tensor(draw(4, 9)), -1).to(getattr(torch, kind))
    actual = entropy(p)
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual, entropy(p.float(), validate=False))


def test_bad_tensors():
    p = torch.tensor([0.5, 0.5])
    with pytest.raises(ValueError, match=r"different devices \(p on cpu, q on meta\); move"):
        kl_divergence(p, p.to("meta"))
    with pytest.raises(ValueError, match=r"p is of layout torch.sparse_coo; pass p.to_dense\(\)"):
        entropy(p.to_sparse())
    with pytest.raises(TypeError, match=r"p holds torch\.complex64"):
        entropy(p.to(torch.complex64))
    with pytest.raises(ValueError, match=r"p\[1, 0\] is -1\.0"):
        entropy(torch.tensor([[0.5, 0.5], [-1, 2]]))
    with pytest.raises(ValueError, match=r"p\[1\] sums to 2\.5"):
        entropy(torch.tensor([[0.5, 0.5], [0.5, 2]]))
    eye = torch.eye(2).repeat(3, 1, 1)
    eye[1, 0, 0] = -1
    with pytest.raises(ValueError, match=r"cov_q\[1\] is not positive definite"):
        kl_gaussian(p, torch.eye(2), p, eye)
    assert kl_gaussian(p, torch.eye(2), p, eye, validate=False)[1].isnan()


def test_torch_is_not_imported_without_a_tensor():
    code = (
        "import sys, numpy, unsup_fast.information as i; "
        "i.kl_divergence([0.5, 0.5], [0.1, 0.9]); i.kl_gaussian([1.0], [[2.0]]); "
        "print(sorted({'torch', 'sklearn', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert information.entropy is entropy
