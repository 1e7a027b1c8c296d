"""Losses against their formulas in float64 with the same noise, and their minimisers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unsup_fast.kernels.randn import randn
from unsup_fast.models.diffusion import alphas_cumprod, cosine_betas, linear_betas
from unsup_fast.models.diffusion.elbo import likelihood_bound
from unsup_fast.models.diffusion.objective import (
    OBJECTIVES,
    build,
    epsilon,
    flow_prediction,
    loss,
    min_snr,
    sample_levels,
    sample_prediction,
    v_prediction,
)
from unsup_fast.models.diffusion.process import convert_prediction
from unsup_fast.models.training.draws import spread_seed

SCHEDULE = alphas_cumprod(linear_betas(20, beta_start=0.01, beta_end=0.3))
SNR = SCHEDULE / (1 - SCHEDULE)
OF_BOUND = np.append(1 / (1 - SCHEDULE[0]), SNR[:-1] - SNR[1:]) / 2
CHANCES = OF_BOUND * (1 - SCHEDULE) / (OF_BOUND * (1 - SCHEDULE)).sum() / 2 + 0.5 / len(SCHEDULE)
ROOTS = np.sqrt(SCHEDULE), np.sqrt(1 - SCHEDULE)


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def network(x, time, label):
    each = (-1, *[1] * (x.ndim - 1))
    output = 0.3 * x + 0.01 * time.view(each)
    return output if label is None else output + 0.1 * label.view(each)


def along(values, like):
    return values.reshape(-1, *[1] * (like.ndim - 1))


def formula(name, images, levels, seed, model=network, label=None):
    """Return each image's loss from the definition, in float64."""
    shape, seeds = images.shape, spread_seed(seed, len(images))
    eps = randn(tuple(shape), seed=seeds, dtype=images.dtype).double()
    t, images = levels.numpy(), images.double()
    if name == "flow_prediction":
        sigma = torch.from_numpy((t + 0.5) / len(SCHEDULE))
        signal, times = 1 - sigma, 1000 * sigma
    else:
        signal, sigma = (torch.from_numpy(root[t]) for root in ROOTS)
        times = levels.double()
    x_t = along(signal, images) * images + along(sigma, images) * eps
    v = along(signal, images) * eps - along(sigma, images) * images
    target, weight = {
        "sample": (images, (OF_BOUND / OF_BOUND.mean() / (len(SCHEDULE) * CHANCES))[t]),
        "epsilon": (eps, 1),
        "v_prediction": (v, 1),
        "min_snr": (v, np.minimum(SNR[t], 5) / (SNR[t] + 1)),
        "flow_prediction": (eps - images, 1),
    }[name]
    error = (model(x_t, times, label) - target).square().flatten(1).mean(1)
    return error * torch.as_tensor(weight)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("shape", [(5, 1, 3, 7), (3, 2), (1, 33)])
@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_loss_is_its_formula(name, shape, dtype, error):
    images, levels = draw(*shape).to(dtype), torch.tensor([0, 7, 19, 3, 12])[: shape[0]]
    label = torch.arange(shape[0])
    actual = loss(network, images, label, build(name, SCHEDULE), noise_levels=levels, seed=11)
    assert actual.dtype == dtype
    assert actual.shape == ()
    wanted = formula(name, images, levels, 11, label=label).mean()
    np.testing.assert_allclose(actual, wanted, rtol=error)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_loss_of_half_precision_is_summed_in_float32(name):
    images, levels = draw(4, 1, 5, 5).bfloat16(), torch.tensor([0, 7, 19, 3])
    actual = loss(network, images, None, build(name, SCHEDULE), noise_levels=levels, seed=3)
    assert actual.dtype == torch.float32
    np.testing.assert_allclose(actual, formula(name, images, levels, 3).mean(), rtol=0.05)


def test_weights_of_the_image_are_those_of_the_bound():
    objective, images = sample_prediction(SCHEDULE), draw(3, 1, 4, 5)
    levels, size = len(SCHEDULE), images[0].numel()

    def model(x, t):
        return network(x, t.double(), None)

    bound = likelihood_bound(
        model, images, SCHEDULE, seed=5, prediction="sample", decoder="gaussian"
    )
    signal, sigma = ROOTS
    terms = []
    for t in range(levels):
        eps = randn(tuple(images.shape), seed=5, stream=t, dtype=torch.float64)
        residual = model(signal[t] * images + sigma[t] * eps, torch.tensor(t)) - images
        terms.append(objective.weights[t] * residual.square().flatten(1).mean(1))
    terms = torch.stack(terms, 1) * size  # [B, T]
    scale = float(bound.consistency[0, 0] / terms[0, 1])
    torch.testing.assert_close(scale * terms[:, 1:], bound.consistency)
    constant = size * np.log(2 * np.pi * (1 - SCHEDULE[0])) / 2
    torch.testing.assert_close(scale * terms[:, 0] + constant, -bound.reconstruction)
    # scaled to a mean of 1, as the docstring says
    np.testing.assert_allclose(objective.weights.mean(), 1)


PREDICTIONS = {"sample": "sample", "epsilon": "epsilon", "v_prediction": "v_prediction"}
REWEIGHTED = {
    # squared error of v / squared error of the prediction
    "sample": 1 + SNR,
    "epsilon": (1 + SNR) / SNR,
}


@pytest.mark.parametrize("name", ["sample", "epsilon"])
def test_losses_are_one_regression_reweighted(name):
    signal, sigma = ROOTS
    images, levels = draw(4, 6), torch.tensor([0, 5, 13, 19])
    objective = build(name, SCHEDULE)

    def as_v(x, time, label):
        t = time.long()
        a, s = (along(torch.from_numpy(root[t]), x) for root in (signal, sigma))
        output = network(x, time, label)
        return convert_prediction(
            output, x, a, s, prediction_type=PREDICTIONS[name], to="v_prediction"
        )

    for level in levels:
        t = level.expand(4)
        one = loss(network, images, None, objective, noise_levels=t, seed=2)
        one *= len(SCHEDULE) * objective.level_probs[level] / objective.weights[level]
        other = loss(as_v, images, None, v_prediction(SCHEDULE), noise_levels=t, seed=2)
        np.testing.assert_allclose(one * REWEIGHTED[name][level], other, rtol=1e-9)


def test_min_snr_weighs_the_error_of_the_image_by_at_most_gamma():
    for gamma in (1.0, 5.0, 1e9):
        of_image = min_snr(SCHEDULE, gamma=gamma).weights * (1 + SNR)
        np.testing.assert_allclose(of_image, np.minimum(SNR, gamma))
    # with no limit it is the simple loss of the noise
    unlimited = min_snr(SCHEDULE, gamma=1e9).weights
    np.testing.assert_allclose(unlimited * REWEIGHTED["epsilon"], 1)


class Affine(torch.nn.Module):
    """The best prediction for normal data at each level; slope and offset have gradients."""

    def __init__(self, objective, mean, std):
        super().__init__()
        signal, sigma = objective.signal, objective.sigma
        gain = signal * std**2 / (signal**2 * std**2 + sigma**2)
        rest = mean * (1 - signal * gain)  # x_0 = gain x + rest
        noise_gain, noise_rest = (1 - signal * gain) / sigma, -signal * rest / sigma
        of_image, of_noise = {
            "sample": (1, 0),
            "epsilon": (0, 1),
            "v_prediction": (-sigma, signal),
            "flow_prediction": (-1, 1),
        }[objective.prediction]
        self.times = torch.from_numpy(objective.times)
        self.slope = torch.nn.Parameter(torch.from_numpy(of_image * gain + of_noise * noise_gain))
        self.offset = torch.nn.Parameter(torch.from_numpy(of_image * rest + of_noise * noise_rest))

    def forward(self, x, time, label):
        t = torch.searchsorted(self.times, time.contiguous())
        return self.slope[t, None] * x + self.offset[t, None]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_no_loss_moves_the_best_denoiser(name):
    objective = build(name, SCHEDULE)
    model, n = Affine(objective, 0.7, 0.5), 4000
    sums = []
    for seed in range(10):
        images = 0.7 + 0.5 * draw(n, 1, seed=seed)
        levels = sample_levels(objective, n, torch.Generator().manual_seed(seed))
        value = loss(model, images, None, objective, noise_levels=levels, seed=seed)
        sums.append(torch.stack(torch.autograd.grad(value, [model.slope, model.offset])))
    means, errors = torch.stack(sums).mean(0), torch.stack(sums).std(0) / 10**0.5
    assert (means.abs() / errors).median() < 1.5
    assert (means.abs() < 6 * errors).all()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_best_denoiser_has_the_least_loss(name):
    objective = build(name, SCHEDULE)
    images = 0.7 + 0.5 * draw(4000, 1)
    levels = sample_levels(objective, 4000, torch.Generator().manual_seed(0))

    def at(std, mean):
        model = Affine(objective, mean, std)
        return float(loss(model, images, None, objective, noise_levels=levels, seed=1).detach())

    least = at(0.5, 0.7)
    assert all(at(*moved) > least for moved in [(0.4, 0.7), (0.6, 0.7), (0.5, 0.5), (0.5, 0.9)])


@pytest.mark.parametrize("name", OBJECTIVES)
def test_slices_of_a_batch_average_to_its_loss(name):
    objective = build(name, SCHEDULE)
    images, label = draw(6, 3), torch.arange(6)
    levels = sample_levels(objective, 6, torch.Generator().manual_seed(1))
    seeds = spread_seed(7, 6)
    whole = loss(network, images, label, objective, noise_levels=levels, seed=7)
    parts = [
        loss(network, images[s], label[s], objective, noise_levels=levels[s], seed=seeds[s])
        for s in (slice(0, 2), slice(2, 4), slice(4, 6))
    ]
    torch.testing.assert_close(torch.stack(parts).mean(), whole)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 70), st.integers(1, 50), st.integers(0, 2**31))
def test_levels_are_spread_over_the_batch(n, n_levels, seed):
    levels = sample_levels(flow_prediction(n_levels), n, torch.Generator().manual_seed(seed))
    assert levels.shape == (n,)
    assert levels.dtype == torch.int64
    counts = np.bincount(levels.numpy(), minlength=n_levels)
    assert len(counts) == n_levels
    assert counts.max() - counts.min() <= 1


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 200), st.integers(0, 2**31))
def test_levels_are_drawn_in_proportion_to_their_probability(n, seed):
    objective = sample_prediction(SCHEDULE)
    levels = sample_levels(objective, n, torch.Generator().manual_seed(seed))
    counts = np.bincount(levels, minlength=len(SCHEDULE))
    assert (abs(counts - n * objective.level_probs) < 1 + 1e-9).all()


def test_a_level_has_its_probability_at_every_position():
    generator, n, n_levels = torch.Generator().manual_seed(0), 3, 5
    objective = sample_prediction(SCHEDULE[::4])
    levels = torch.stack([sample_levels(objective, n, generator) for _ in range(6000)])
    expected = 6000 * objective.level_probs
    for position in range(n):
        counts = np.bincount(levels[:, position], minlength=n_levels)
        assert ((counts - expected) ** 2 / expected).sum() < 23  # chi squared, 4 degrees: p = 1e-4


@pytest.mark.parametrize("name", OBJECTIVES)
def test_spread_levels_lower_the_variance_of_the_loss(name):
    objective = build(name, alphas_cumprod(cosine_betas(100)))
    spread, independent = [], []
    for seed in range(200):
        images, generator = draw(16, 64, seed=seed), torch.Generator().manual_seed(seed)
        alone = torch.cat([sample_levels(objective, 1, generator) for _ in range(16)])
        for into, levels in (
            (spread, sample_levels(objective, 16, generator)),
            (independent, alone),
        ):
            into.append(
                float(loss(network, images, None, objective, noise_levels=levels, seed=seed))
            )
    assert np.var(spread) < 0.8 * np.var(independent)
    np.testing.assert_allclose(
        np.mean(spread),
        np.mean(independent),
        atol=4 * np.hypot(np.std(spread), np.std(independent)) / 200**0.5,
    )


def test_levels_follow_from_the_generator():
    one, other = (
        sample_levels(epsilon(SCHEDULE), 9, torch.Generator().manual_seed(4)) for _ in "ab"
    )
    assert torch.equal(one, other)


def test_flow_lies_on_straight_paths():
    objective = flow_prediction(4)
    np.testing.assert_allclose(objective.sigma, [0.125, 0.375, 0.625, 0.875])
    np.testing.assert_allclose(objective.signal + objective.sigma, 1)
    np.testing.assert_allclose(objective.times, 1000 * objective.sigma)
    shifted = flow_prediction(4, shift=3.0)
    np.testing.assert_allclose(shifted.sigma, 3 * objective.sigma / (1 + 2 * objective.sigma))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_levels_of_an_objective_are_finite(name):
    objective = build(name, alphas_cumprod(cosine_betas(1000)))
    assert all(part.shape == (1000,) and np.isfinite(part).all() for part in objective[1:])
    assert (objective.weights > 0).all()
    np.testing.assert_allclose(objective.level_probs.sum(), 1)


def test_what_is_wrong_is_refused():
    with pytest.raises(ValueError, match=r"objective='eps' is unknown; pass one of \['sample'"):
        build("eps", SCHEDULE)
    with pytest.raises(ValueError, match=r"gamma=0 must be above 0"):
        min_snr(SCHEDULE, gamma=0)
    with pytest.raises(ValueError, match=r"alphas_cumprod .* 1"):
        sample_prediction([1.0, 0.5])
    with pytest.raises(ValueError, match=r"n_levels=0 must be at least 1"):
        flow_prediction(0)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (torch.tensor([0, 1]), r"levels have shape \(2,\); .* each of 3"),
        (torch.tensor([0, 1, 20]), "levels lie between 0 and 20; .* 0 to 19"),
        (torch.tensor([-1, 1, 2]), "levels lie between -1 and 2"),
    ],
)
def test_levels_that_do_not_fit_are_refused(levels, message):
    with pytest.raises(ValueError, match=message):
        loss(network, draw(3, 2), None, epsilon(SCHEDULE), noise_levels=levels, seed=0)
