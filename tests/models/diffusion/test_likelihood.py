"""`nll_bits_per_dim`: the bound of `elbo` for a trained model, on all types of data."""

import math

import numpy as np
import pytest
import torch

from unsup_fast.models.diffusion import Config, Diffusion, elbo
from unsup_fast.models.diffusion.likelihood import _reverse, _timesteps, nll_bits_per_dim
from unsup_fast.models.diffusion.process import convert_prediction
from unsup_fast.models.training.draws import spread_seed

PIXELS = np.random.default_rng(0).integers(0, 256, (7, 2, 4, 4), dtype=np.uint8)


class Simple(torch.nn.Module):
    """An untrained network that depends on all of its inputs."""

    def __init__(self, n_classes=0):
        super().__init__()
        self.layer = torch.nn.Conv2d(2, 2, 3, padding=1)
        self.dropout = torch.nn.Dropout(0.5)
        self.label = torch.nn.Embedding(n_classes + 1, 2)
        self.n_classes, self.seen = n_classes, []

    def forward(self, x, time, label=None):
        self.seen.append((x.dtype, time.clone(), label))
        label = torch.tensor(self.n_classes).expand(len(x)) if label is None else label
        output = self.dropout(self.layer(x)) + self.label(label)[..., None, None]
        return output + 1e-3 * time[:, None, None, None]


def model(objective="v_prediction", n_timesteps=20, classes=(), **options):
    torch.manual_seed(0)
    config = Config(
        (2, 4, 4),
        classes,
        network="custom",
        objective=objective,
        n_timesteps=n_timesteps,
        **options,
    )
    return Diffusion(Simple(len(classes)).eval(), config)


def abar_of(levels):
    return levels.signal**2 / (levels.signal**2 + levels.sigma**2)


@pytest.mark.parametrize("variance", elbo.VARIANCES)
@pytest.mark.parametrize("objective", ["sample", "epsilon", "v_prediction", "flow_prediction"])
def test_all_timesteps_are_the_bound_of_elbo(objective, variance):
    """Where levels do not preserve variance, the bound's samples are scaled for the network."""
    one = model(objective)
    x0 = torch.from_numpy(PIXELS).float() / 127.5 - 1
    levels, size = one.objective, torch.from_numpy(np.hypot(*one.objective[2:4]))

    def vp_model(x, t):
        times = torch.from_numpy(levels.times)[t].float()
        scaled = (x * size[t][:, None, None, None]).float()
        a, s = (torch.from_numpy(v)[t] for v in levels[2:4])
        output = one.network(scaled, times)
        return convert_prediction(
            output, scaled, a, s, prediction_type=levels.prediction, to="sample"
        )

    with torch.no_grad():
        bound = elbo.likelihood_bound(
            vp_model, x0, abar_of(levels), seed=spread_seed(3, 7), prediction="sample",
            variance=variance, decoder="gaussian",
        )  # fmt: skip
    likelihood = nll_bits_per_dim(one, PIXELS, decoder="gaussian", variance=variance, seed=3)
    per_bit = 32 * math.log(2)
    np.testing.assert_allclose(likelihood.per_sample, bound.bits, rtol=1e-5)
    assert likelihood.bits_per_dim == pytest.approx(likelihood.per_sample.mean())
    assert likelihood.prior == pytest.approx(bound.prior.mean().item() / per_bit, rel=1e-5)
    assert likelihood.reconstruction == pytest.approx(
        -bound.reconstruction.mean().item() / per_bit, rel=1e-5
    )
    assert likelihood.consistency == pytest.approx(
        bound.consistency.sum(1).mean().item() / per_bit, rel=1e-5
    )
    assert likelihood.standard_error == pytest.approx(likelihood.per_sample.std(ddof=1) / 7**0.5)
    assert likelihood.variance == variance


@pytest.mark.parametrize("variance", elbo.VARIANCES)
def test_terms_are_a_number_and_a_multiple_of_the_squared_error(variance):
    abar = abar_of(model("flow_prediction").objective)
    reverse = _reverse(abar, variance)
    x0 = torch.zeros(1, 3, dtype=torch.float64)
    rest = 0.0
    for t in range(1, 20):
        at = [elbo.consistency(x0, x0, x0 + e, t, abar, variance=variance).item() for e in (0, 0.5)]
        assert at[1] - at[0] == pytest.approx(reverse.factors[t - 1] * 0.75)
        rest += at[0]
    assert 3 * reverse.rest == pytest.approx(rest, abs=1e-12)


@pytest.mark.parametrize("count", [1, 3, 19])
def test_drawn_timesteps_and_their_weights_have_the_right_mean(count):
    abar = abar_of(model("epsilon").objective)
    steps, weights = _timesteps(abar, 40_000, count, seed=0)
    assert steps.shape == weights.shape == (40_000, count)
    means = np.bincount(steps.ravel(), weights.ravel(), minlength=20)[1:] / 40_000
    np.testing.assert_allclose(means, 1, atol=0.15)
    assert means.mean() == pytest.approx(1, abs=0.02)
    fewest, most = ((steps == 5).sum(axis=1).min(), (steps == 5).sum(axis=1).max())
    assert most - fewest <= 2


@pytest.mark.parametrize("n_timesteps", [None, 4])
def test_an_image_does_not_depend_on_its_batch(n_timesteps):
    wanted = nll_bits_per_dim(model(), PIXELS, n_timesteps=n_timesteps, variance="fixed_small")
    for size, n in ((3, 7), (1, 2), (7, 5)):
        actual = nll_bits_per_dim(
            model(), PIXELS[:n], n_timesteps=n_timesteps, batch_size=size, variance="fixed_small"
        )
        np.testing.assert_allclose(actual.per_sample, wanted.per_sample[:n], rtol=1e-5)
    other = nll_bits_per_dim(model(), PIXELS, n_timesteps=n_timesteps, seed=1)
    assert not np.allclose(other.per_sample, wanted.per_sample, rtol=1e-5)


@pytest.mark.parametrize("n_timesteps", [None, 4])
def test_the_better_variance_is_taken(n_timesteps):
    best = nll_bits_per_dim(model(), PIXELS, n_timesteps=n_timesteps)
    each = [
        nll_bits_per_dim(model(), PIXELS, n_timesteps=n_timesteps, variance=variance)
        for variance in elbo.VARIANCES
    ]
    assert best.bits_per_dim == min(one.bits_per_dim for one in each)
    assert best.variance == min(each, key=lambda one: one.bits_per_dim).variance


def test_kinds_of_data():
    wanted = nll_bits_per_dim(model(), PIXELS)
    floats = PIXELS.astype(np.float32) / np.float32(127.5) - 1
    frozen = PIXELS.copy()
    frozen.setflags(write=False)
    for data in (torch.from_numpy(PIXELS), frozen, PIXELS[:, ::1]):
        assert nll_bits_per_dim(model(), data).bits_per_dim == wanted.bits_per_dim
    for data in (floats, floats.astype(np.float64), torch.from_numpy(floats).double()):
        actual = nll_bits_per_dim(model(), data, decoder="discretized")
        assert actual.bits_per_dim == pytest.approx(wanted.bits_per_dim, rel=1e-5)
    actual = nll_bits_per_dim(model(), floats)
    wanted = nll_bits_per_dim(model(), PIXELS, decoder="gaussian")
    np.testing.assert_array_equal(actual.per_sample, wanted.per_sample)
    assert math.isnan(nll_bits_per_dim(model(), PIXELS[:1]).standard_error)


def test_the_network_keeps_its_mode_and_runs_without_autocast():
    one = model(classes=("a", "b"))
    one.network.train()
    one.network.layer.eval()
    calls = []
    with torch.autocast("cpu", dtype=torch.bfloat16):
        first = nll_bits_per_dim(
            one, PIXELS, labels=np.arange(7) % 2, n_timesteps=2, batch_size=4,
            progress=lambda done, total: calls.append((done, total)),
        )  # fmt: skip
    assert one.network.training
    assert not one.network.layer.training
    assert calls == [(i, 6) for i in range(1, 7)]
    assert {kind for kind, _, _ in one.network.seen} == {torch.float32}
    assert [label.tolist() for _, _, label in one.network.seen[3:]] == [[0, 1, 0]] * 3
    again = nll_bits_per_dim(
        model(classes=("a", "b")), PIXELS, labels=torch.arange(7) % 2, n_timesteps=2
    )
    np.testing.assert_allclose(first.per_sample, again.per_sample, rtol=1e-5)
    anyone = nll_bits_per_dim(model(classes=("a", "b")), PIXELS, n_timesteps=2)
    assert abs(anyone.per_sample - again.per_sample).min() > 1e-4


@pytest.mark.parametrize(("decoder", "first"), [("discretized", 4), ("gaussian", 0)])
def test_pixels_are_decoded_from_noise_of_half_their_distance(decoder, first):
    one = model("flow_prediction", n_timesteps=1000)
    nll_bits_per_dim(one, PIXELS, n_timesteps=1, decoder=decoder)
    assert one.network.seen[0][1][0].item() == pytest.approx(one.objective.times[first])


@pytest.mark.parametrize("objective", ["v_prediction", "flow_prediction"])
def test_pixels_of_independent_normal_values(objective):
    """Their entropy is known, and the best network of the normal values is that of the pixels."""
    spread = 0.3
    x = np.random.default_rng(0).normal(0, spread, (400, 32))
    pixels = np.clip(np.round((x + 1) * 127.5), 0, 255).astype(np.uint8)
    config = Config((32,), network="custom", objective=objective)
    levels = config.training_objective()

    class Best(torch.nn.Module):
        def forward(self, x, time, label=None):
            level = np.abs(levels.times - time.numpy()[:, None]).argmin(axis=1)  # [B]
            a, s = (torch.from_numpy(v[level]) for v in levels[2:4])
            gain = (a * spread**2 / (a**2 * spread**2 + s**2)).float()
            return convert_prediction(
                gain[:, None] * x, x, a, s, prediction_type="sample", to=levels.prediction
            )

    likelihood = nll_bits_per_dim(Diffusion(Best(), config), pixels, n_timesteps=40, batch_size=400)
    entropy = math.log2(spread * math.sqrt(2 * math.pi * math.e) / elbo.PIXEL)
    assert -4 * likelihood.standard_error < likelihood.bits_per_dim - entropy < 0.08
    assert likelihood.standard_error < 0.02


def broken(one, value):
    one.network.layer.weight.data.fill_(value)
    return one


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nll_bits_per_dim(model(), PIXELS.tolist()), TypeError, "must be an ndarray"),
        (lambda: nll_bits_per_dim(model(), PIXELS.astype(int)), TypeError, "got int64"),
        (lambda: nll_bits_per_dim(model(), PIXELS[:, :1]), ValueError, r"knows \(N, 2, 4, 4\)"),
        (lambda: nll_bits_per_dim(model(), PIXELS[0]), ValueError, r"knows \(N, 2, 4, 4\)"),
        (lambda: nll_bits_per_dim(model(), PIXELS[:0]), ValueError, "holds no image"),
        (lambda: nll_bits_per_dim(model(), PIXELS, n_timesteps=0), ValueError, "from 1 to 19"),
        (lambda: nll_bits_per_dim(model(), PIXELS, n_timesteps=20), ValueError, "from 1 to 19"),
        (lambda: nll_bits_per_dim(model(), PIXELS, n_timesteps=1.5), ValueError, "from 1 to 19"),
        (lambda: nll_bits_per_dim(model(), PIXELS, batch_size=0), ValueError, "at least 1"),
        (lambda: nll_bits_per_dim(model(), PIXELS, decoder="laplace"), ValueError, "is unknown"),
        (lambda: nll_bits_per_dim(model(), PIXELS, variance="learned"), ValueError, "is unknown"),
        (lambda: nll_bits_per_dim(model(), PIXELS, decoder_variance=0), ValueError, "above 0"),
        (lambda: nll_bits_per_dim(model(), PIXELS, labels=[0] * 7), ValueError, "without classes"),
        (
            lambda: nll_bits_per_dim(model(classes=("a", "b")), PIXELS, labels=[2] * 7),
            ValueError,
            "classes from 0 to 1",
        ),
        (
            lambda: nll_bits_per_dim(model(classes=("a", "b")), PIXELS, labels=[1] * 6),
            ValueError,
            "for each of 7 images",
        ),
        (
            lambda: nll_bits_per_dim(model(), np.full((5, 2, 4, 4), np.nan), batch_size=2),
            ValueError,
            "rows 0 to 2 of data hold NaN",
        ),
        (
            lambda: nll_bits_per_dim(model(), PIXELS / 255, decoder="discretized"),
            ValueError,
            "takes 8-bit values",
        ),
        (
            lambda: nll_bits_per_dim(model(), PIXELS / 1.0, decoder="discretized"),
            ValueError,
            "takes 8-bit values",
        ),
        (
            lambda: nll_bits_per_dim(broken(model(), math.inf), PIXELS),
            FloatingPointError,
            "are not finite",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_predicted_noise_is_refused_without_signal():
    one = model("epsilon")
    signal = np.append(one.objective.signal[:-1], 0.0)
    one.objective = one.objective._replace(signal=signal, sigma=np.sqrt(1 - signal**2))
    with pytest.raises(ValueError, match="a level without signal"):
        nll_bits_per_dim(one, PIXELS)
    one.objective = one.objective._replace(prediction="v_prediction")
    assert math.isfinite(nll_bits_per_dim(one, PIXELS).bits_per_dim)
