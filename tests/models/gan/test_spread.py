"""The spread of samples over that of the data, within classes."""

import csv

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from unsup_fast.models import gan  # noqa: E402
from unsup_fast.models.gan.updates import spread  # noqa: E402


def test_the_spread_is_within_classes():
    """Against loops: of samples that are one a class it is zero, though classes differ."""
    torch.manual_seed(0)
    label = torch.tensor([2, 0, 2, 1, 0, 2, 3])
    real, fake = torch.randn(7, 1, 3, 2), torch.randn(4, 1, 3, 2)[label]

    def deviation(x):
        residuals = [x[label == c] - x[label == c].mean(0) for c in range(4)]
        return (torch.cat(residuals).square().sum(0) / (7 - 4)).sqrt().mean()

    noisy = fake + 0.1 * torch.randn_like(fake)
    assert float(spread(fake, real, label)) == pytest.approx(0, abs=1e-6)
    expected = float(deviation(noisy) / deviation(real))
    assert float(spread(noisy, real, label)) == pytest.approx(expected, rel=1e-5)
    expected = float(noisy.std(0).mean() / real.std(0).mean())
    assert float(spread(noisy, real, None)) == pytest.approx(expected, rel=1e-5)
    assert float(spread(noisy, real, torch.arange(7))) == 1


def test_the_spread_of_constant_data_is_not_known(tmp_path):
    gan.train(
        np.ones((20, 3), np.float32),
        tmp_path,
        config=gan.Config((3,), network="mlp", size="tiny", latent=2),
        options=gan.train_config("r3gan", steps=1, batch_size=8),
        device="cpu",
        progress=False,
    )
    with (tmp_path / "metrics.csv").open() as file:
        assert [row["spread"] for row in csv.DictReader(file)] == ["1.0"]
