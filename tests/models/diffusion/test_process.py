"""The forward process and its posterior against Bayes' rule, and conversions of outputs."""

import itertools

import numpy as np
import pytest
import torch

from unsup_fast.models.diffusion import alphas_cumprod, linear_betas
from unsup_fast.models.diffusion.process import (
    alpha_sigma,
    convert_prediction,
    q_posterior,
    q_sample,
)
from unsup_fast.solvers.prediction import PREDICTIONS, output_weights

SCHEDULE = torch.from_numpy(alphas_cumprod(linear_betas(50, beta_end=0.2)))


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def test_forward_is_the_weighted_sum_with_each_target():
    x0, eps, t = draw(3, 2, 5), draw(3, 2, 5, seed=1), torch.tensor([0, 7, 49])
    signal, sigma = (w.view(3, 1, 1) for w in alpha_sigma(SCHEDULE, t, x0))
    np.testing.assert_allclose(signal**2 + sigma**2, 1, rtol=1e-14)
    targets = {
        "epsilon": eps,
        "v_prediction": signal * eps - sigma * x0,
        "flow_prediction": eps - x0,
    }
    for target, wanted in targets.items():
        x_t, actual = q_sample(x0, t, SCHEDULE, eps=eps, target=target)
        torch.testing.assert_close(x_t, signal * x0 + sigma * eps)
        torch.testing.assert_close(actual, wanted)


def test_many_small_steps_are_the_forward_process():
    """Composing q(x_t | x_(t-1)) of all steps gives abar_t as the product of the alphas (7)."""
    signal, variance = 1.0, 0.0
    for t, beta in enumerate(linear_betas(50, beta_end=0.2)):
        signal, variance = np.sqrt(1 - beta) * signal, (1 - beta) * variance + beta
        a, s = alpha_sigma(SCHEDULE, t, torch.zeros(1))
        np.testing.assert_allclose([a.item(), s.item() ** 2], [signal, variance], rtol=1e-12)


def test_noise_at_the_first_timesteps_is_there_in_bfloat16():
    x0 = torch.zeros(4, 1000, dtype=torch.bfloat16)
    schedule = alphas_cumprod(linear_betas())
    eps = torch.ones_like(x0)
    x_t = q_sample(x0, torch.arange(4), schedule, eps=eps)
    wanted = np.sqrt(1 - schedule[:4])
    np.testing.assert_allclose(x_t[:, 0].double(), wanted, rtol=4e-3)


@pytest.mark.parametrize("gap", [1, 4])
def test_the_posterior_is_bayes_rule_on_a_grid(gap):
    t = 20
    u = t - gap
    x0, x_t = torch.tensor([[[0.3]], [[-0.8]]], dtype=torch.float64)
    mean, variance = q_posterior(x_t, x0, t, SCHEDULE, previous=u)
    grid = np.linspace(-8, 8, 200001)
    ratio = (SCHEDULE[t] / SCHEDULE[u]).item()
    before = SCHEDULE[u].item()
    log_density = -((-0.8 - np.sqrt(ratio) * grid) ** 2) / (2 * (1 - ratio)) - (
        grid - np.sqrt(before) * 0.3
    ) ** 2 / (2 * (1 - before))
    weights = np.exp(log_density - log_density.max())
    weights /= weights.sum()
    np.testing.assert_allclose(mean.item(), weights @ grid, rtol=1e-9)
    np.testing.assert_allclose(variance.item(), weights @ (grid - weights @ grid) ** 2, rtol=1e-9)
    if gap == 1:
        torch.testing.assert_close(q_posterior(x_t, x0, t, SCHEDULE)[0], mean)


def test_the_posterior_of_the_first_timestep_is_the_image():
    x0, x_t = draw(2, 3), draw(2, 3, seed=1)
    mean, variance = q_posterior(x_t, x0, torch.zeros(2, dtype=torch.int64), SCHEDULE)
    torch.testing.assert_close(mean, x0)
    assert (variance == 0).all()


@pytest.mark.parametrize(
    ("source", "wanted"), list(itertools.product((*PREDICTIONS, "flow_prediction"), PREDICTIONS))
)
@pytest.mark.parametrize("kind", ["vp", "ve", "flow"])
def test_conversions(source, wanted, kind):
    x0, eps = draw(3, 2, 2), draw(3, 2, 2, seed=1)
    s = torch.tensor([0.2, 0.6, 0.9], dtype=torch.float64)
    a = {"vp": torch.sqrt(1 - s**2), "ve": torch.ones(3).double(), "flow": 1 - s}[kind]
    wide = a.view(3, 1, 1), s.view(3, 1, 1)
    x_t = wide[0] * x0 + wide[1] * eps

    def output(prediction):
        of_image, of_noise = output_weights(prediction, *wide)
        return of_image * x0 + of_noise * eps

    converted = convert_prediction(output(source), x_t, a, s, prediction_type=source, to=wanted)
    torch.testing.assert_close(converted, output(wanted))


def test_conversions_keep_the_type():
    x = draw(2, 3).bfloat16()
    a, s = alpha_sigma(SCHEDULE, torch.tensor([3, 4]), x)
    converted = convert_prediction(x, x, a, s, prediction_type="epsilon", to="sample")
    assert converted.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda x: alpha_sigma(SCHEDULE.float(), 0, x),
            TypeError,
            "float64 vector, got torch.float32",
        ),
        (lambda x: alpha_sigma(SCHEDULE, 0.5, x), TypeError, "an int or an int64 vector"),
        (lambda x: alpha_sigma(SCHEDULE, 50, x), ValueError, "those from 0 to 49"),
        (
            lambda x: alpha_sigma(SCHEDULE, torch.tensor([1, 2, 3]), x),
            ValueError,
            "3 timesteps are given",
        ),
        (
            lambda x: convert_prediction(x, x, 1.0, 1.0, prediction_type="epsilon", to="score"),
            ValueError,
            "prediction='score' is unknown",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call(draw(2, 3))
