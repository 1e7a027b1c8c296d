"""Layers of an equalised learning rate, and what a minibatch's deviation is."""

import pytest

torch = pytest.importorskip("torch")

from unsup_fast.models.networks.equalized import (  # noqa: E402
    EqualizedConv2d,
    EqualizedLinear,
    append_minibatch_std,
    pixel_norm,
)


def test_outputs_have_the_variance_of_inputs():
    torch.manual_seed(0)
    x = torch.randn(512, 300)
    for multiplier in (1.0, 0.01):
        layer = EqualizedLinear(300, 200, gain=2.0, multiplier=multiplier, bias=3.0)
        y = layer(x)
        assert float(y.mean().detach()) == pytest.approx(3.0, abs=0.02)
        assert float(y.std().detach()) == pytest.approx(2.0, rel=0.02)
        assert float(layer.weight.std().detach()) == pytest.approx(1 / multiplier, rel=0.02)
    plain = EqualizedLinear(300, 200, bias=None)
    assert [name for name, _ in plain.named_parameters()] == ["weight"]
    torch.testing.assert_close(plain(x), x @ plain.weight.T / 300**0.5)
    y = EqualizedConv2d(40, 30, 3)(torch.randn(4, 40, 20, 22))
    assert y.shape == (4, 30, 20, 22)
    assert float(y[:, :, 1:-1, 1:-1].std().detach()) == pytest.approx(1.0, rel=0.05)


def test_pixel_norm():
    x = torch.randn(3, 7, 2, 5)
    y = pixel_norm(x)
    assert torch.allclose(y.square().mean(1), torch.ones(3, 2, 5), atol=1e-4)
    assert torch.allclose(y * x.square().mean(1, keepdim=True).sqrt(), x, atol=1e-5)
    assert pixel_norm(torch.zeros(2, 3)).abs().max() == 0


@pytest.mark.parametrize(("batch", "group", "size"), [(8, 4, 4), (6, 4, 3), (7, 4, 1), (2, 4, 2)])
def test_minibatch_std(batch, group, size):
    x = torch.randn(batch, 3, 2, 5, dtype=torch.float64)
    y = append_minibatch_std(x, group)
    assert torch.equal(y[:, :3], x)
    n_groups = batch // size
    for i in range(batch):
        own = x[[i % n_groups + k * n_groups for k in range(size)]]  # [size, 3, 2, 5]
        expected = ((own - own.mean(0)).square().mean(0) + 1e-8).sqrt().mean()
        assert torch.allclose(y[i, 3], expected)


def test_minibatch_std_has_second_derivatives():
    x = torch.randn(4, 2, 1, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(append_minibatch_std, (x,))
