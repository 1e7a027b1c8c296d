import numpy as np
import pytest

from unsup_fast.kernels.sqrtm import (
    native,
    sqrtm,
    trace_sqrtm,
    trace_sqrtm_factors,
    trace_with_error,
)

torch = pytest.importorskip("torch")

from unsup_fast.kernels.sqrtm import polar  # noqa: E402
from unsup_fast.kernels.sqrtm.schedule import schedule, value  # noqa: E402

BACKENDS = ["native", "polar"]


def rows(n_rows, n, seed=0, decades=1, dtype=torch.float64):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n)) * 10.0 ** -np.linspace(0, decades, n)
    return torch.from_numpy(X).to(dtype)


@pytest.mark.parametrize("decades", [1, 3, 7, 20, 33, 45])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_schedule(decades, dtype):
    eps = np.finfo(dtype).eps
    x = np.geomspace(2.0**-decades, 1, 5000).astype(dtype)
    less = np.geomspace(2.0**-decades * 1e-9, 2.0**-decades, 100)
    noise = np.random.default_rng(0)
    for a, b, c in schedule(decades, 4 * eps):
        x = dtype(a) * x + dtype(b) * x**3 + dtype(c) * x**5
        x *= (1 + noise.uniform(-2, 2, len(x)) * eps).astype(dtype)  # it is not blown up
        less = np.array([value((a, b, c), y) for y in less])
    np.testing.assert_allclose(x, 1, atol=20 * eps)
    assert (less > 0).all()
    assert (less <= 1 + 20 * eps).all()


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (1, 3), (17, 17), (33, 15), (15, 97)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_polar_factor(shape, dtype):
    W = rows(*shape, dtype=dtype)
    left, _, right = torch.linalg.svd(W.double(), full_matrices=False)
    atol = 1e-3 if dtype == torch.float32 else 1e-11
    torch.testing.assert_close(polar.factor(W, 1e-6).double(), left @ right, atol=atol, rtol=0)
    assert not polar.factor(W * 0, 1e-6).any()


@pytest.mark.parametrize("decades", [0, 4, 8, 12])
@pytest.mark.parametrize("tol", [1e-4, 1e-10])
def test_polar_trace_is_bounded(decades, tol):
    """Also where most singular values are left behind, and where they are zero."""
    for W in (rows(60, 60, 1, decades), rows(60, 60, 1, decades) * (torch.arange(60) < 20)):
        truth = torch.linalg.svdvals(W).sum().item()
        trace, error = (x.item() for x in polar.trace(W, tol))
        assert trace - 1e-14 * truth <= truth <= trace + error
        assert truth - trace <= tol * truth
        assert error <= 3 * tol * truth + 1e-12 * truth


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("counts", [(50, 60), (10, 60), (10, 7), (1, 50)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_traces(backend, counts, dtype):
    A, B = (rows(m, 21, m, dtype=dtype) for m in counts)
    S1, S2 = A.T @ A, B.T @ B
    truth = trace_sqrtm_factors(A.double().numpy(), B.double().numpy(), backend="ref")
    single = dtype == torch.float32
    rel = 1e-5 if single else 1e-9
    trace = trace_sqrtm_factors(A, B, backend=backend)
    assert trace.dtype == dtype
    assert trace.shape == ()
    assert trace.item() == pytest.approx(truth, rel=rel)
    both = trace_with_error(S1, S2, backend=backend)
    assert both.value.item() == pytest.approx(truth, rel=3e-3 if single else 1e-9)
    assert 0 <= both.error < (1e-1 if single else 1e-8) * truth
    if backend == "native":
        exact = native.trace(S1.numpy(), S2.numpy(), None, "native")[0]
        assert both.value.item() == pytest.approx(exact, rel=1e-7)


@pytest.mark.parametrize("backend", BACKENDS)
def test_roots(backend):
    for one, two in ((50, 60), (50, 7), (5, 7)):
        A, B = rows(one, 21, 1), rows(two, 21, 2)
        S1, S2 = A.T @ A, B.T @ B
        X, Y = sqrtm(S1, backend=backend), sqrtm(S1, S2, backend=backend)
        atol = 1e-11 * (S1.norm() * (1 + S2.norm())).item()
        torch.testing.assert_close(X @ X, S1, atol=atol, rtol=0)
        torch.testing.assert_close(Y @ Y, S1 @ S2, atol=atol, rtol=0)
        np.testing.assert_allclose(X, sqrtm(S1.numpy()), atol=atol)


@pytest.mark.parametrize("backend", BACKENDS)
def test_extreme_sizes(backend):
    A, B = rows(50, 21, 1), rows(60, 21, 2)
    truth = trace_sqrtm(A.T @ A, B.T @ B, backend=backend).item()
    for size in (1e-290, 1e-12, 1e12, 1e290):
        trace = trace_sqrtm(A.T @ A * size, B.T @ B, backend=backend).item()
        assert trace / size**0.5 == pytest.approx(truth, rel=1e-12)
    zero = torch.zeros(21, 21, dtype=torch.float64)
    assert trace_sqrtm(A.T @ A, zero, backend=backend) == 0
    assert trace_sqrtm_factors(A * 0, B, backend=backend) == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients(backend):
    def of_matrices(C, D):
        return trace_sqrtm(C.T @ C, D.T @ D, backend=backend, tol=1e-14)

    def of_rows(C, D):
        return trace_sqrtm_factors(C, D, backend=backend, tol=1e-14)

    def of_root(C):
        return sqrtm(C.T @ C, backend=backend)

    A, B = rows(9, 5, 1).requires_grad_(), rows(7, 5, 2).requires_grad_()
    few, fewer = rows(3, 6, 3).requires_grad_(), rows(2, 6, 4).requires_grad_()
    assert torch.autograd.gradcheck(of_matrices, (A, B))
    assert torch.autograd.gradcheck(of_rows, (A, B))
    assert torch.autograd.gradcheck(of_rows, (few, fewer))
    assert torch.autograd.gradcheck(of_root, (A,))


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradient_by_matrices(backend):
    """S2 # S1^(-1) / 2, the geometric mean, which for S1 = S2 is the identity over 2."""
    A, B = rows(50, 9, 1), rows(60, 9, 2)
    S1, S2 = (A.T @ A * 1e3).requires_grad_(), (B.T @ B).requires_grad_()
    by_1, by_2 = torch.autograd.grad(trace_sqrtm(S1, S2, backend=backend, tol=1e-14), (S1, S2))
    torch.testing.assert_close(by_1 @ S1 @ by_1 * 4, S2, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(by_2 @ S2 @ by_2 * 4, S1, rtol=1e-9, atol=1e-6)
    (same,) = torch.autograd.grad(trace_sqrtm(S1, S1.detach(), backend=backend), S1)
    torch.testing.assert_close(same, torch.eye(9, dtype=torch.float64) / 2, rtol=0, atol=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradient_where_covariances_are_singular(backend):
    """By the factors it is Q F2, along every direction; by S1 its part where S1 has variance."""
    A, B = rows(4, 9, 1).requires_grad_(), rows(3, 9, 2)
    (by_rows,) = torch.autograd.grad(trace_sqrtm_factors(A, B, backend=backend), A)
    S1 = (A.T @ A).detach().requires_grad_()
    (by_S1,) = torch.autograd.grad(trace_sqrtm(S1, B.T @ B, backend=backend), S1)
    assert torch.isfinite(by_S1).all()
    onto = torch.linalg.pinv(A) @ A
    torch.testing.assert_close(2 * A @ by_S1, by_rows @ onto, rtol=0, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_compiled(backend):
    def loss(A, B):
        S1, S2 = A.T @ A, B.T @ B
        root = sqrtm(S1, backend=backend).sum() + sqrtm(S1.detach(), S2.detach()).sum()
        traces = trace_sqrtm(S1, S2, backend=backend) + trace_sqrtm_factors(A, B, backend=backend)
        return traces + root

    A, B = rows(9, 5, 1).requires_grad_(), rows(7, 5, 2)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(A, B), loss(A, B))
    (fast,), (slow,) = (torch.autograd.grad(f(A, B), A) for f in (compiled, loss))
    torch.testing.assert_close(fast, slow)


def test_operators_are_whole():
    from unsup_fast.kernels.sqrtm import torch_

    A, B = rows(9, 5, 1).requires_grad_(), rows(7, 5, 2).requires_grad_()
    S1, S2 = (x.detach().T @ x.detach() for x in (A, B))
    for backend in BACKENDS:
        torch.library.opcheck(torch_.trace_factors.overload, (A, B, 1e-10, None, backend))
        torch.library.opcheck(torch_.trace.overload, (S1.requires_grad_(), S2, 1e-10, 2, backend))
        torch.library.opcheck(torch_.root_of_product.overload, (S1.detach(), S2, None, backend))


def test_products_are_never_tf32(monkeypatch):
    before = torch.get_float32_matmul_precision()
    seen = []
    real = polar.factor

    def spy(W, tol):
        seen.append(torch.get_float32_matmul_precision())
        return real(W, tol)

    monkeypatch.setattr(polar, "factor", spy)
    torch.set_float32_matmul_precision("medium")
    try:
        A = rows(9, 5, dtype=torch.float32)
        trace_sqrtm(A.T @ A, A.T @ A, backend="polar")
        assert seen == ["highest"]
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("backend", BACKENDS)
def test_wrong_tensors(backend):
    eye = torch.eye(3, dtype=torch.float64)
    with pytest.raises(TypeError, match="both be arrays or both tensors"):
        trace_sqrtm(eye, eye.numpy(), backend=backend)
    with pytest.raises(TypeError, match="pass one type"):
        trace_sqrtm(eye, eye.float(), backend=backend)
    with pytest.raises(TypeError, match="bfloat16"):
        trace_sqrtm(eye.bfloat16(), eye.bfloat16(), backend=backend)
    with pytest.raises(ValueError, match="S1 holds NaN"):
        trace_sqrtm(eye * torch.nan, eye, backend=backend)
    with pytest.raises(ValueError, match="S2 is not symmetric"):
        trace_sqrtm(eye, torch.ones(3, 3).triu().double(), backend=backend)
    with pytest.raises(ValueError, match="S1 has eigenvalues from -1 to 1"):
        trace_sqrtm(torch.diag(torch.tensor([1.0, -1, 1])).double(), eye, backend=backend)
    with pytest.raises(ValueError, match="B holds NaN"):
        trace_sqrtm_factors(eye, eye * torch.inf, backend=backend)
    with pytest.raises(ValueError, match="'ref' is not available"):
        trace_sqrtm(eye, eye, backend="ref")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
@pytest.mark.parametrize("counts", [(300, 200), (30, 200), (30, 20)])
def test_on_a_gpu(counts):
    A, B = (rows(m, 97, m).cuda().requires_grad_() for m in counts)
    truth = trace_sqrtm_factors(A.detach().cpu().numpy(), B.detach().cpu().numpy())
    trace = trace_sqrtm_factors(A, B)
    assert trace.item() == pytest.approx(truth, rel=1e-9)
    by_rows = torch.autograd.grad(trace, (A, B))
    on_host = [x.detach().cpu().requires_grad_() for x in (A, B)]
    slow = torch.autograd.grad(trace_sqrtm_factors(*on_host), on_host)
    for one, two in zip(by_rows, slow, strict=True):
        torch.testing.assert_close(one.cpu(), two, atol=1e-6, rtol=1e-6)
    S1, S2 = (x.detach().T @ x.detach() for x in (A, B))
    assert trace_sqrtm(S1, S2).item() == pytest.approx(truth, rel=1e-9)
    torch.testing.assert_close(sqrtm(S1).cpu(), sqrtm(S1.cpu()), atol=1e-6, rtol=1e-6)
