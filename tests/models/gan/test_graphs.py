"""Updates as CUDA graphs, on the CPU by a stand-in; `graphs_on_gpu.py` captures real ones."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from safetensors.torch import load_file  # noqa: E402

from unsup_fast.models import gan  # noqa: E402
from unsup_fast.models.gan import graphs, training  # noqa: E402
from unsup_fast.models.networks import r3gan, resample, stylegan  # noqa: E402

tape = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("tape.py"))))
CLASSES = ("dark", "bright")
RECIPES = {
    "r3gan": replace(gan.FAMILIES["r3gan"], penalty_every=2, r1=0.3, r_final=0.2),
    "stylegan2": replace(
        gan.FAMILIES["stylegan2"], penalty_every=2, path_every=3, augment="ada", augment_examples=99
    ),
    "stylegan": gan.FAMILIES["stylegan"],
    "wgan-gp": replace(gan.FAMILIES["wgan-gp"], n_critic=2, augment="diffaugment"),
    "dcgan": gan.FAMILIES["dcgan"],
    "biggan": replace(gan.FAMILIES["biggan"], n_critic=1, orthogonal=1e-3),
}
OPTIONS = ("clip", "accumulation", "learning_rate", "warmup")
N_GRAPHS = {"r3gan": 3, "stylegan2": 4, "stylegan": 3, "wgan-gp": 2, "dcgan": 2, "biggan": 2}


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    labels = random.integers(2, size=20)
    pixels = random.integers(0, 60, size=(20, 3, 8, 8), dtype=np.uint8)
    pixels[labels == 1] += 180
    return pixels, labels


@pytest.fixture
def on_tape(monkeypatch):
    """Capture on the CPU, with the resampling of a GPU, and poison the inputs after each replay."""
    tape.install(monkeypatch)
    monkeypatch.setattr(training, "check_graphs", lambda *_: None)
    monkeypatch.setattr(graphs, "WARM_UP", 1)
    for network in (r3gan, stylegan):
        monkeypatch.setattr(network, "double", resample.filtered_double)
        monkeypatch.setattr(network, "halve", resample.filtered_halve)
    recorded, run = [], graphs.Graphs.run

    def poisoned(self, name, penalized, update, inputs, context):
        out = run(self, name, penalized, update, inputs, context)
        for value in self._captured[name, penalized].inputs:
            if value is not None:
                tape.poison(value)
        if self not in recorded:
            recorded.append(self)
        return out

    monkeypatch.setattr(graphs.Graphs, "run", poisoned)
    return recorded


def train(data, folder, family, steps=6, **arguments):
    """Rates are numbers of float32, as in a graph."""
    config = gan.Config((3, 8, 8), CLASSES, gan.NETWORKS[family], size="tiny", latent=5)
    options = {
        **{"steps": steps, "batch_size": 4, "learning_rate": 2**-9, "warmup": 4, "decay": 0},
        **{key: arguments.pop(key) for key in OPTIONS if key in arguments},
    }
    arguments = {"progress": False, **arguments}
    return gan.train(
        data[0],
        folder,
        config=config,
        options=gan.train_config(family, save_every=2, seed=4, **options),
        labels=data[1],
        recipe=RECIPES[family],
        device="cpu",
        precision="float32",
        **arguments,
    )


def differences(one, other):
    states = [load_file(folder / "checkpoint.safetensors") for folder in (one, other)]
    assert states[0].keys() == states[1].keys()
    return [key for key, value in states[0].items() if not torch.equal(value, states[1][key])]


@pytest.mark.parametrize("family", RECIPES)
def test_graphs_train_to_the_same_bits(family, data, tmp_path, on_tape):
    more = {"accumulation": 2, "clip": 0.1} if family == "r3gan" else {}
    train(data, tmp_path / "plain", family, **more)
    assert not on_tape
    train(data, tmp_path / "graphs", family, graphs=True, **more)
    assert not differences(tmp_path / "plain", tmp_path / "graphs")
    (recorded,) = on_tape
    replays = {key: each.graph.replays for key, each in recorded._captured.items()}
    assert len(replays) == N_GRAPHS[family]
    assert sum(replays.values()) == 6 * (1 + RECIPES[family].n_critic)
    for optimizer in recorded._optimizers.values():
        (group,) = optimizer.param_groups
        assert group["lr"] == 2**-9
        assert not group["capturable"]


def test_a_run_resumes_with_and_without_graphs(data, tmp_path, on_tape):
    train(data, tmp_path / "whole", "stylegan2")
    for first in (True, False):
        folder = tmp_path / f"graphs first {first}"
        stop = {"progress": lambda state, losses, rate: state.step >= 2}
        stopped = train(data, folder, "stylegan2", graphs=first, **stop)
        assert differences(tmp_path / "whole", folder)
        train(data, folder, "stylegan2", graphs=not first)
        assert not differences(tmp_path / "whole", folder)
        assert stopped.config.network == "stylegan2"
    assert len(on_tape) == 2


def test_reported_numbers_are_those_of_each_step(data, tmp_path, on_tape, monkeypatch):
    """All of them are read after the last step."""
    seen, call = [], training.Updates.__call__

    def watched(self, *arguments):
        seen.append(call(self, *arguments))
        return seen[-1]

    monkeypatch.setattr(training.Updates, "__call__", watched)
    for use in (False, True):
        train(data, tmp_path / str(use), "r3gan", graphs=use)
    plain, graphed = seen[:6], seen[6:]
    assert [list(each) for each in plain] == [list(each) for each in graphed]
    assert "r1" in plain[0]
    assert "r1" not in plain[1]
    for one, other in zip(plain, graphed, strict=True):
        assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_loss_that_is_not_finite_ends_training(data, tmp_path, on_tape):
    with pytest.raises(FloatingPointError, match="training has diverged"):
        train(data, tmp_path, "r3gan", graphs=True, learning_rate=1e30, warmup=0)
    assert on_tape


def test_a_warm_up_changes_nothing(data, tmp_path, on_tape, monkeypatch):
    """A single step, after which all that Adam stores is of one update."""
    monkeypatch.setattr(graphs, "WARM_UP", 3)
    train(data, tmp_path / "graphs", "r3gan", steps=1, graphs=True)
    train(data, tmp_path / "plain", "r3gan", steps=1)
    assert not differences(tmp_path / "plain", tmp_path / "graphs")
    (recorded,) = on_tape
    steps = {
        float(entries["step"])
        for optimizer in recorded._optimizers.values()
        for entries in optimizer.state.values()
    }
    assert steps == {1.0}


@pytest.mark.parametrize(
    "of_the_host", [lambda x: torch.tensor(1.0), lambda x: x.sum() * x.sum().item(), torch.nonzero]
)
def test_what_cannot_be_captured_is_an_error(of_the_host, on_tape):
    network = torch.nn.Linear(2, 1)
    networks = {"generator": network, "discriminator": network}
    optimizers = {
        name: torch.optim.Adam(each.parameters(), fused=True) for name, each in networks.items()
    }
    recorded = graphs.Graphs(networks, optimizers)
    x = torch.ones(3, 2)
    inputs = graphs.Inputs(x, None, torch.arange(3), x, x)
    message = r"generator's update cannot be captured in a CUDA graph \(.*\); pass graphs=False"
    with pytest.raises(RuntimeError, match=message):
        recorded.run("generator", False, lambda own: {"out": of_the_host(own.real)}, inputs, None)
    (group,) = optimizers["generator"].param_groups
    assert group["lr"] == 1e-3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"device": "cpu"}, "the device 'cpu', only with CUDA"),
        ({"num_processes": 2}, "2 processes"),
        ({"shards": 4}, "4 shards"),
        ({"growth": 0.5}, "a network that grows"),
        ({"blur": 2.0}, "blur"),
        ({"optimizer": "rmsprop"}, "RMSprop"),
        ({"discriminator": "projected"}, "a projected discriminator"),
        ({"network": "custom"}, "networks of your own"),
    ],
)
def test_settings_that_are_not_captured(change, message):
    device = torch.device(change.pop("device", "cuda"))
    accelerator = SimpleNamespace(device=device, num_processes=change.pop("num_processes", 1))
    config = gan.Config((3, 8, 8), network=change.pop("network", "r3gan"))
    options = gan.train_config("r3gan", steps=1, shards=change.pop("shards", 0))
    recipe = replace(gan.FAMILIES["r3gan"], **change)
    with pytest.raises(ValueError, match=f"graphs=True does not go with {message}; pass graphs=F"):
        graphs.check_graphs(config, recipe, options, accelerator)


def test_settings_that_are_captured():
    accelerator = SimpleNamespace(device=torch.device("cuda"), num_processes=1)
    options = gan.train_config("stylegan2", steps=1, accumulation=2)
    for family, recipe in RECIPES.items():
        config = gan.Config((3, 8, 8), network=gan.NETWORKS[family])
        graphs.check_graphs(config, recipe, options, accelerator)


def test_graphs_on_a_cpu_are_refused(data, tmp_path):
    with pytest.raises(ValueError, match="the device 'cpu', only with CUDA; pass"):
        train(data, tmp_path, "r3gan", graphs=True)
    assert not (tmp_path / "metrics.csv").exists()
