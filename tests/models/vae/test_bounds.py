"""Posteriors, likelihoods and bounds, against closed forms, scipy and Monte Carlo."""

import math

import numpy as np
import pytest
from scipy import stats

torch = pytest.importorskip("torch")

from unsup_fast import information  # noqa: E402
from unsup_fast.models import vae  # noqa: E402
from unsup_fast.models.vae import likelihood  # noqa: E402
from unsup_fast.models.vae.elbo import log_prior  # noqa: E402


def posterior(n, z, seed=0, *, scale=1.0):
    random = torch.Generator().manual_seed(seed)
    mean, log_variance = torch.randn(2, n, z, generator=random, dtype=torch.float64) * scale
    return vae.DiagonalGaussian(mean=mean, log_variance=log_variance)


def seeds(n):
    return torch.arange(n)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 4.0])
def test_the_divergence_is_that_of_information(scale):
    q = posterior(7, 5, scale=scale)
    expected = information.kl_gaussian_diag(q.mean, q.log_variance, log=True)
    torch.testing.assert_close(q.kl().sum(1), expected, rtol=1e-9, atol=0)


def test_the_divergence_is_the_mean_of_the_log_ratio():
    q = posterior(3, 4)
    z = q.samples(0, 40_000)  # [n, 3, 4]
    ratios = q.log_prob(z) - log_prior(z)  # [n, 3]
    error = 5 * ratios.std(0) / math.sqrt(len(ratios))
    assert ((ratios.mean(0) - q.kl().sum(1)).abs() < error).all()


def test_the_divergence_near_the_prior_does_not_cancel():
    log_variance = torch.full((1, 1), 1e-4)
    q = vae.DiagonalGaussian(mean=torch.zeros(1, 1), log_variance=log_variance)
    assert float(q.kl()) == pytest.approx(1e-8 / 4, rel=1e-3)  # u^2 / 4 to first order


def test_densities_are_those_of_scipy():
    q = posterior(6, 3)
    z = q.sample(1)
    expected = stats.norm(q.mean, q.std).logpdf(z).sum(1)
    np.testing.assert_allclose(q.log_prob(z), expected, rtol=1e-12)


def test_draws_follow_from_a_sample_s_seed_alone():
    q = posterior(6, 3)
    part = vae.DiagonalGaussian(mean=q.mean[2:4], log_variance=q.log_variance[2:4])
    all_seeds = torch.tensor([5, 7, 11, 13, 17, 19])
    whole = q.samples(all_seeds, 9)
    torch.testing.assert_close(part.samples(all_seeds[2:4], 4, 3), whole[3:7, 2:4], rtol=0, atol=0)
    torch.testing.assert_close(q.sample(all_seeds), whole[0], rtol=0, atol=0)


def test_log_variances_beyond_float32_are_cut_off():
    q = vae.DiagonalGaussian.from_moments(torch.tensor([[0.0, 0.0, -1e4, 1e4]]))
    assert q.std.isfinite().all()
    assert (q.std > 0).all()


def test_pictures_are_binarised_by_their_grey_values():
    grey = torch.tensor([0, 1, 64, 128, 254, 255], dtype=torch.uint8)
    x = grey.repeat(20_000, 1)  # [N, 6]
    black_and_white = likelihood.binarize(x, seeds(len(x)))
    share, p = black_and_white.mean(0), grey / 255.0
    assert share[0] == 0
    assert share[-1] == 1
    assert ((share - p).abs() <= 5 * (p * (1 - p) / len(x)).sqrt()).all()
    floats = likelihood.binarize(x.float() / 127.5 - 1, seeds(len(x)))
    assert (floats == black_and_white).float().mean() > 0.9999


def test_the_bernoulli_likelihood_is_that_of_scipy():
    logits = torch.randn(4, 5, 1, 3, 3, generator=torch.Generator().manual_seed(0)) * 4
    x = likelihood.binarize(torch.full((5, 1, 3, 3), 128, dtype=torch.uint8), seeds(5))
    computed = likelihood.bernoulli_log_prob(logits, x)  # [4, 5]
    p = logits.double().sigmoid().numpy()
    expected = stats.bernoulli(p).logpmf(np.broadcast_to(x, p.shape)).sum((2, 3, 4))
    np.testing.assert_allclose(computed, expected, rtol=1e-5)


def test_the_gaussian_likelihood_is_that_of_scipy():
    mean = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))
    x, log_std = torch.randn(5, 7, generator=torch.Generator().manual_seed(1)), torch.tensor(-0.7)
    expected = stats.norm(mean, math.exp(-0.7)).logpdf(np.broadcast_to(x, mean.shape)).sum(2)
    computed = likelihood.gaussian_log_prob(mean, x, log_std)
    np.testing.assert_allclose(computed, expected, rtol=1e-5)


@pytest.mark.parametrize("scale", [-7.0, -3.0, 0.0, 3.0])
@pytest.mark.parametrize("mean", [-1.3, -0.2, 0.9])
def test_the_logistic_probabilities_of_all_bytes_sum_to_one(mean, scale):
    x = torch.arange(256, dtype=torch.uint8)[:, None]  # [256, 1]
    targets = likelihood.eight_bit(x, seeds(256))
    output = torch.tensor([[mean, scale]]).expand(256, 2)
    computed = likelihood.logistic_log_prob(output, targets).double()
    assert float(computed.exp().sum()) == pytest.approx(1, rel=1e-5)
    edges = (np.arange(1, 256) - 127.5 - 0.5) / 127.5
    below = stats.logistic(mean, math.exp(scale)).cdf(edges)
    exact = np.diff(np.concatenate([[0], below, [1]]))
    large = exact > 1e-9
    np.testing.assert_allclose(computed.exp().numpy()[large], exact[large], rtol=2e-3)


def test_the_logistic_gradient_is_finite_far_from_the_mean():
    output = torch.tensor([[50.0, -9.0], [-50.0, 9.0]], requires_grad=True)
    computed = likelihood.logistic_log_prob(output, torch.tensor([[-0.5], [0.5]]))
    computed.sum().backward()
    assert computed.isfinite().all()
    assert output.grad.isfinite().all()


def test_dequantised_bytes_fill_their_bins():
    x = torch.full((50_000, 1), 200, dtype=torch.uint8)
    inside = (likelihood.dequantize(x, seeds(len(x))) - (200 / 127.5 - 1)) / likelihood.BIN
    assert stats.kstest(inside[:, 0].numpy(), stats.uniform(-0.5, 1).cdf).pvalue > 1e-3


def test_the_importance_weighted_bound_of_one_weight_is_that_weight():
    weights = torch.randn(1, 6)
    torch.testing.assert_close(vae.importance_weighted_bound(weights), weights[0])


def test_the_importance_weighted_bound_is_the_logarithm_of_a_mean():
    weights = torch.randn(9, 6, dtype=torch.float64) - 5000
    expected = (weights + 5000).exp().mean(0).log() - 5000
    torch.testing.assert_close(vae.importance_weighted_bound(weights), expected)


def test_free_bits_cost_nothing_and_beta_weighs_the_rest():
    bound = vae.Bound(
        reconstruction=torch.tensor([-3.0, -5.0]), kl=torch.tensor([[0.1, 2.0], [0.3, 4.0]])
    )
    assert float(vae.negative_elbo(bound)) == pytest.approx(4 + 0.2 + 3)
    assert float(vae.negative_elbo(bound, beta=2)) == pytest.approx(4 + 2 * 3.2)
    assert float(vae.negative_elbo(bound, beta=2, free_bits=0.5)) == pytest.approx(4 + 2 * 3.5)


def test_great_circles_keep_the_length():
    a, b = torch.randn(2, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    b = b * a.norm() / b.norm()
    path = vae.slerp(a, b, torch.linspace(0, 1, 5, dtype=torch.float64))
    torch.testing.assert_close(path.norm(dim=1), a.norm().expand(5))
    torch.testing.assert_close(path[[0, -1]], torch.stack([a, b]))
    angles = torch.arccos((path[1:] * path[:-1]).sum(1) / a.norm() ** 2)
    torch.testing.assert_close(angles, angles[:1].expand(4))


@pytest.mark.parametrize("b", [0.0, 1.0, -1.0])
def test_a_line_joins_latents_without_a_great_circle(b):
    a = torch.tensor([1.0, 2.0])
    path = vae.slerp(a, b * a, torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(path, torch.stack([a, (1 + b) / 2 * a, b * a]))
