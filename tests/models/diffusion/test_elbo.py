"""The likelihood bound where it is known: a standard normal target, whose bound is exact."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from unsup_fast.models.diffusion import alphas_cumprod, elbo, linear_betas
from unsup_fast.models.diffusion.process import (
    alpha_sigma,
    convert_prediction,
    q_posterior,
    q_sample,
)

T = 12
SCHEDULE = torch.from_numpy(alphas_cumprod(linear_betas(T, beta_start=0.02, beta_end=0.4)))


def images(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def expected(x0, term):
    """Return the mean of a term that is quadratic in the noise: noise +1 and -1 give it exactly."""
    return (term(torch.ones_like(x0)) + term(-torch.ones_like(x0))) / 2


def test_terms_add_up_to_the_likelihood_of_a_standard_normal_target():
    """All x_t are standard normal, and the reverse steps are normal with variance 1 - alpha_t.

    So the chain with that variance is the forward one reversed, and the bound is log p(x_0).
    """
    x0 = images(4, 3, 2)

    def best(x_t, t):
        return alpha_sigma(SCHEDULE, t, x_t)[0].view(-1, 1, 1) * x_t

    def consistency(t):
        def term(eps):
            x_t = q_sample(x0, t, SCHEDULE, eps=eps)
            return elbo.consistency(x0, x_t, best(x_t, t), t, SCHEDULE, variance="fixed_large")

        return expected(x0, term)

    def reconstruction(eps):
        x_1 = q_sample(x0, 0, SCHEDULE, eps=eps)
        return elbo.gaussian_log_likelihood(x0, best(x_1, 0), 1 - SCHEDULE[0].item())

    prior = elbo.prior_matching(x0, SCHEDULE)
    total = expected(x0, reconstruction) - prior - sum(consistency(t) for t in range(1, T))
    wanted = norm.logpdf(x0.numpy()).sum((1, 2))
    np.testing.assert_allclose(total, wanted, rtol=1e-12)


@pytest.mark.parametrize(("mean", "std"), [(0.4, 0.5), (-0.2, 1.3)])
def test_any_gaussian_target_is_bounded_by_the_likelihood_of_its_chain(mean, std):
    """p(x_0) of the reverse chain with the best images is normal and known in closed form."""
    x0 = (mean + std * images(3, 1)).clone()
    bound = -elbo.prior_matching(x0, SCHEDULE)
    chain_mean, chain_var = 0.0, 1.0
    for t in reversed(range(T)):
        signal, sigma = alpha_sigma(SCHEDULE, t, x0[:1])
        a, s = signal.item(), sigma.item()
        gain = a * std**2 / (a**2 * std**2 + s**2)

        def image(x_t, gain=gain, a=a):
            return mean + gain * (x_t - a * mean)

        def term(eps, t=t, s=s, image=image):
            x_t = q_sample(x0, t, SCHEDULE, eps=eps)
            if t == 0:
                return elbo.gaussian_log_likelihood(x0, image(x_t), s**2)
            return -elbo.consistency(x0, x_t, image(x_t), t, SCHEDULE)

        bound = bound + expected(x0, term)
        at = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
        if t > 0:
            line, variance = q_posterior(at, image(at), t, SCHEDULE)
            added = variance[0].item()
        else:
            line, added = image(at), s**2
        offset, slope = line[0].item(), (line[1] - line[0]).item()
        chain_mean, chain_var = offset + slope * chain_mean, slope**2 * chain_var + added
    exact = norm.logpdf(x0.numpy(), chain_mean, math.sqrt(chain_var)).sum(1)
    gap = exact - bound.numpy()
    assert (gap >= 0).all()
    assert (gap < 2).all()


def test_each_term_is_the_divergence_it_is_named_after():
    x0, image = images(2, 3), images(2, 3) + 0.1
    t = torch.tensor([3, 8])
    x_t = q_sample(x0, t, SCHEDULE, eps=images(2, 3) * 0.5)
    mean_q, var_q = q_posterior(x_t, x0, t, SCHEDULE)
    mean_p, _ = q_posterior(x_t, image, t, SCHEDULE)
    squared = ((mean_q - mean_p) ** 2).sum(1)
    torch.testing.assert_close(elbo.consistency(x0, x_t, image, t, SCHEDULE), squared / var_q / 2)
    var_p = 1 - SCHEDULE[t] / SCHEDULE[t - 1]
    wanted = (3 * (var_q / var_p - 1 - torch.log(var_q / var_p)) + squared / var_p) / 2
    for variance in ("fixed_large", var_p, var_p[:, None].expand(2, 3)):
        got = elbo.consistency(x0, x_t, image, t, SCHEDULE, variance=variance)
        torch.testing.assert_close(got, wanted)
    a, s = alpha_sigma(SCHEDULE, T - 1, x0)
    terms = s[:, None] ** 2 + (a[:, None] * x0) ** 2 - 1 - torch.log(s[:, None] ** 2)
    torch.testing.assert_close(elbo.prior_matching(x0, SCHEDULE), terms.sum(1) / 2)


def test_the_weight_of_consistency_is_half_the_loss_of_signal_to_noise():
    ratio = SCHEDULE / (1 - SCHEDULE)
    x0, image = torch.zeros(1, 1).double(), torch.ones(1, 1).double()
    for t in range(1, T):
        got = elbo.consistency(x0, x0, image, t, SCHEDULE)
        np.testing.assert_allclose(got, (ratio[t - 1] - ratio[t]) / 2, rtol=1e-9)


def test_probabilities_of_all_values_add_up_to_one():
    values = torch.linspace(-1, 1, 256, dtype=torch.float64)[:, None]  # [256, 1]
    for mean, variance in ((0.2, 0.01), (-0.999, 1e-6), (1.7, 0.3), (0.0, 1e4)):
        logs = elbo.discretized_log_likelihood(values, torch.full_like(values, mean), variance)
        assert torch.isfinite(logs).all()
        np.testing.assert_allclose(logs.exp().sum(), 1, rtol=1e-9)


def test_far_values_keep_their_probability():
    x0 = torch.tensor([[1.0], [0.5], [-1.0], [-0.25]], dtype=torch.float64)
    x0 = torch.round((x0 + 1) * 127.5) / 127.5 - 1
    mean = -x0
    got = elbo.discretized_log_likelihood(x0, mean, 1e-3).numpy()
    std, half = math.sqrt(1e-3), 1 / 255
    nearest = (np.abs(x0.numpy() - mean.numpy())[:, 0] - half) / std
    np.testing.assert_allclose(got, norm.logsf(nearest), rtol=1e-2)


def test_a_fine_decoder_is_a_density_times_the_width_of_a_bin():
    x0 = torch.round(images(4, 5).clamp(-0.9, 0.9) * 127.5 - 0.5) / 127.5 + 1 / 255
    mean = x0 + 0.05
    fine = elbo.discretized_log_likelihood(x0, mean, 0.04)
    density = elbo.gaussian_log_likelihood(x0, mean, 0.04)
    bits = elbo.bits_per_dimension(density, 5, bin_width=elbo.PIXEL)
    np.testing.assert_allclose(elbo.bits_per_dimension(fine, 5), bits, rtol=1e-4)


def test_the_decoder_has_a_gradient():
    x0 = torch.tensor([[-1.0, 1.0, 0.2 / 255]], dtype=torch.float64)
    mean = torch.tensor([[0.9, -0.9, 0.1]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda m: elbo.discretized_log_likelihood(x0, m, 0.02), mean, atol=1e-4
    )


@pytest.mark.parametrize("decoder", ["gaussian", "discretized"])
def test_the_bound_is_the_sum_of_its_terms_on_the_same_noise(decoder):
    pytest.importorskip("unsup_fast.kernels.randn")
    x0 = torch.round((images(3, 4) * 0.3).clamp(-1, 1) * 127.5 - 0.5) / 127.5 + 1 / 255
    bound = elbo.likelihood_bound(
        lambda x, t: 0.1 * x * t[:, None], x0, SCHEDULE, seed=5, decoder=decoder
    )
    assert bound.consistency.shape == (3, T - 1)
    total = bound.reconstruction - bound.prior - bound.consistency.sum(1)
    torch.testing.assert_close(bound.total, total)
    torch.testing.assert_close(bound.bits, -total / (4 * math.log(2)))
    x_t = q_sample(x0, 4, SCHEDULE, seed=5, stream=4)
    a, s = alpha_sigma(SCHEDULE, 4, x0)
    image = convert_prediction(0.4 * x_t, x_t, a, s, prediction_type="epsilon", to="sample")
    wanted = elbo.consistency(x0, x_t, image, 4, SCHEDULE)
    torch.testing.assert_close(bound.consistency[:, 3], wanted)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: elbo.consistency(x, x, x, 0, SCHEDULE), "is the reconstruction"),
        (
            lambda x: elbo.consistency(x, x, x, 1, SCHEDULE, variance="learned"),
            "variance='learned' is unknown",
        ),
        (
            lambda x: elbo.likelihood_bound(None, x, SCHEDULE, seed=0, decoder="laplace"),
            "decoder='laplace' is unknown",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(images(2, 3))
