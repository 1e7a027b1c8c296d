"""A linear autoencoder with a Gaussian likelihood, against probabilistic PCA.

Its best evidence lower bound is the likelihood of probabilistic PCA (Tipping & Bishop 1999; Lucas
et al. 2019), which follows from the eigenvalues that our `PCA` returns.
"""

import math

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from sklearn.datasets import load_digits

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from torch import nn  # noqa: E402

from unsup_fast import PCA  # noqa: E402
from unsup_fast.models import vae  # noqa: E402
from unsup_fast.models.training import TrainConfig  # noqa: E402

LATENTS = 3


class Linear(nn.Module):
    """Matrices to means and to values; one log variance for each latent."""

    def __init__(self, n_values):
        super().__init__()
        self.means, self.values = nn.Linear(n_values, LATENTS), nn.Linear(LATENTS, n_values)
        self.log_variance = nn.Parameter(torch.zeros(LATENTS))

    def encode(self, x, label):
        means = self.means(x)
        return torch.cat([means, self.log_variance.expand_as(means)], 1)

    def decode(self, z, label):
        return self.values(z)


@pytest.fixture(scope="module")
def rows():
    """Digits pooled to 4 x 4 pixels, [1797, 16]."""
    images = load_digits().images / 16
    return images.reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(-1, 16).astype(np.float32)


@pytest.fixture(scope="module")
def exact(rows):
    """The log likelihood a sample of probabilistic PCA, and the principal components."""
    n, d = rows.shape
    pca = PCA(d).fit(rows.astype(np.float64))
    values = pca.explained_variance_ * (n - 1) / n
    rest = values[LATENTS:].mean()
    logs = np.log(values[:LATENTS]).sum() + (d - LATENTS) * math.log(rest)
    return -(d * math.log(2 * math.pi) + logs + d) / 2, pca.components_[:LATENTS]


def config(rows):
    shape = rows.shape[1:]
    return vae.Config(shape, network="custom", latent=LATENTS, likelihood="gaussian")


def expected_bound(network, rows):
    """Return the evidence lower bound a sample, its mean over z in closed form."""
    x = torch.from_numpy(rows).double()
    q = vae.DiagonalGaussian.from_moments(network.encode(x, None))
    d = x.shape[1]
    residual = (x - network.decode(q.mean, None)).square().sum(1)
    spread = (q.variance * network.body.values.weight.square().sum(0)).sum(1)
    variance = (2 * network.log_std).exp()
    constant = d / 2 * (math.log(2 * math.pi) + 2 * network.log_std)
    fit = -(residual + spread) / variance / 2 - constant  # [N]
    return (fit - q.kl().sum(1)).mean()


@pytest.fixture(scope="module")
def fitted(rows):
    """A model whose bound was maximised by L-BFGS, in float64."""
    torch.manual_seed(0)
    model = vae.VAE(Linear(rows.shape[1]), config(rows))
    network = model.network.double()
    optimizer = torch.optim.LBFGS(
        network.parameters(), max_iter=400, line_search_fn="strong_wolfe", tolerance_change=1e-12
    )

    def closure():
        optimizer.zero_grad()
        loss = -expected_bound(network, rows)
        loss.backward()
        return loss

    optimizer.step(closure)
    bound = float(expected_bound(network, rows).detach())
    model.network.float()
    return model, bound


def angle(model, components):
    """Return the largest angle between the decoder's span and the principal one, in degrees."""
    span = model.network.body.values.weight.detach().double().numpy()
    return math.degrees(subspace_angles(span, components.T).max())


def test_the_best_bound_is_the_likelihood_of_probabilistic_pca(fitted, exact):
    model, bound = fitted
    assert bound == pytest.approx(exact[0], abs=0.02)
    assert bound < exact[0] + 1e-6
    assert angle(model, exact[1]) < 1


def test_importance_samples_of_an_exact_posterior_agree(fitted, exact, rows):
    model, _ = fitted
    nats = model.nll(rows, n_samples=20)
    assert float(-nats.mean()) == pytest.approx(exact[0], abs=0.02)
    assert float(model.elbo(rows).elbo.double().mean()) == pytest.approx(exact[0], abs=0.3)


def test_adam_with_drawn_latents_comes_near(rows, exact, tmp_path):
    torch.manual_seed(0)
    options = TrainConfig(
        steps=1000, batch_size=1024, learning_rate=1e-2, warmup=50, decay=700, ema=0.99
    )
    model = vae.train(
        rows,
        tmp_path,
        config=config(rows),
        options=options,
        network=Linear(rows.shape[1]),
        device="cpu",
        progress=False,
    )
    with torch.no_grad():
        bound = float(expected_bound(model.network.double(), rows))
    assert bound == pytest.approx(exact[0], abs=0.1)
    assert angle(model, exact[1]) < 1
