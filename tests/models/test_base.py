"""What every model does, shown on the smallest family: a Gaussian with a learned mean."""

from dataclasses import dataclass

import pytest

torch = pytest.importorskip("torch")

from unsup_fast.models import diffusion  # noqa: E402
from unsup_fast.models.base import GenerativeModel, evaluating  # noqa: E402


@dataclass(frozen=True)
class Config:
    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()
    network: str = "mean"


class Toy(GenerativeModel[Config]):
    kind = "toy model"
    config_type = Config

    @staticmethod
    def network_of(config, seed):
        if config.network == "custom":
            raise ValueError("pass the network itself")
        network = torch.nn.Linear(config.shape[0], 1 + len(config.classes))
        with torch.no_grad():
            for weight in network.parameters():
                weight.fill_(seed)
        return network


def test_a_saved_model_comes_back(tmp_path):
    model = Toy.build(Config((3,), ("a", "b")), seed=7)
    model.save(tmp_path)
    loaded = Toy.load(tmp_path)
    assert type(loaded) is Toy
    assert loaded.config == model.config
    assert loaded.device == torch.device("cpu")
    assert torch.equal(loaded.network.weight, torch.full((3, 3), 7.0))
    assert not loaded.network.training
    assert not loaded.network.weight.requires_grad


def test_families_refuse_the_files_of_others(tmp_path):
    Toy.build(Config((3,))).save(tmp_path)
    with pytest.raises(ValueError, match="of kind 'toy model', and 'diffusion model' is needed"):
        diffusion.load(tmp_path)


def test_own_networks_take_the_weights(tmp_path):
    network = torch.nn.Linear(2, 1)
    Toy(network, Config((2,), network="custom")).save(tmp_path)
    with pytest.raises(ValueError, match="pass the network itself"):
        Toy.load(tmp_path)
    loaded = Toy.load(tmp_path, network=torch.nn.Linear(2, 1))
    assert torch.equal(loaded.network.weight, network.weight)


def test_labels_are_numbers_or_names():
    model = Toy.build(Config((3,), ("cat", "dog")))
    assert model.labels(None, 2) is None
    assert model.labels("dog", 2).tolist() == [1, 1]
    assert model.labels(["dog", 0], 2).tolist() == [1, 0]
    for label, message in ((2, "from 0 to 1"), ("cow", "is unknown"), ([0], "1 labels are given")):
        with pytest.raises(ValueError, match=message):
            model.labels(label, 2)


def test_modes_come_back():
    network = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Dropout())
    network[1].eval()
    with evaluating(network):
        assert not any(module.training for module in network.modules())
    assert [module.training for module in network.modules()] == [True, True, False]
