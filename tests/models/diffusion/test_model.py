"""`Diffusion`: sampling, saving, loading."""

import json
import re
import shutil
from dataclasses import asdict

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from unsup_fast._memory import left_in_groups  # noqa: E402
from unsup_fast.models import diffusion, training  # noqa: E402
from unsup_fast.models.diffusion import (  # noqa: E402
    Config,
    Diffusion,
    initial_noise,
    sample,
)
from unsup_fast.models.diffusion import model as modelling  # noqa: E402
from unsup_fast.models.diffusion.config import CUSTOM, NETWORKS, SAMPLERS, SCHEDULES  # noqa: E402
from unsup_fast.models.diffusion.objective import OBJECTIVES  # noqa: E402
from unsup_fast.models.training.draws import spread_seed  # noqa: E402
from unsup_fast.storage import tensors as files  # noqa: E402

CLASSES = ("cat", "dog", "hen")
SMALL = {"shape": (1, 8, 8), "size": "tiny", "patch": 2}


def untrained(**changed):
    """Return a model whose last layer is not zero, unlike that of an untrained model."""
    model = Diffusion.build(Config(**{**SMALL, **changed}), seed=1)
    random = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=random)
    return model


@pytest.fixture(scope="module")
def model():
    return untrained(classes=CLASSES)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_sampler_samples_every_objective(sampler, objective):
    samples = untrained(objective=objective).sample(2, sampler=sampler, steps=4)
    assert samples.isfinite().all()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_samples(schedule):
    assert untrained(schedule=schedule).sample(2, steps=4).isfinite().all()


@pytest.mark.parametrize("network", NETWORKS)
def test_samples_are_those_of_the_loop_underneath(network):
    model = untrained(network=network, classes=CLASSES)
    table = model.config.table("dpm++2m_sde", 5)
    seeds = spread_seed(3, 4)
    label = torch.tensor([2, 0, 1, 1])

    def conditional(x, t):
        return model.network(x, t, label)

    def unconditional(x, t):
        return model.network(x, t, None)

    model.network.eval()
    x = initial_noise(table, (4, 1, 8, 8), seed=seeds)
    wanted = sample(conditional, table, x, seed=seeds, guidance=2.0, uncond=unconditional)
    samples = model.sample(
        sampler="dpm++2m_sde",
        steps=5,
        label=["hen", 0, "dog", 1],
        guidance=2.0,
        seed=3,
        precision="float32",
    )
    torch.testing.assert_close(samples, wanted, rtol=1e-4, atol=1e-4)


def test_samples_do_not_depend_on_their_batch(model):
    whole = model.sample(7, label=1, steps=6, sampler="ddpm", seed=5, precision="float32")
    parts = model.sample(
        7, label=1, steps=6, sampler="ddpm", seed=5, precision="float32", batch_size=3
    )
    torch.testing.assert_close(parts, whole, rtol=1e-3, atol=1e-3)


def test_fewer_samples_are_the_first_of_more(model):
    more = model.sample(4, steps=3, precision="float32")
    fewer = model.sample(2, steps=3, precision="float32")
    torch.testing.assert_close(fewer, more[:2], rtol=1e-3, atol=1e-3)


def test_a_seed_for_each_sample(model):
    one, other = (model.sample(steps=3, seed=[s], precision="float32") for s in (8, 9))
    both = model.sample(steps=3, seed=[8, 9], precision="float32")
    torch.testing.assert_close(both, torch.cat([one, other]), rtol=1e-3, atol=1e-3)


def test_guidance_of_one_is_none(model):
    plain = model.sample(2, label=0, steps=4, precision="float32")
    guided = model.sample(2, label=0, guidance=1.0, steps=4, precision="float32")
    torch.testing.assert_close(guided, plain, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("one_call", [True, False])
def test_guidance_in_an_interval_calls_the_network_less(model, one_call, monkeypatch):
    """The levels of 4 steps are 20291, 2.4, 1 and 0.4; one call may take both halves of a batch."""
    if not one_call:
        monkeypatch.setattr(modelling, "ONE_CALL", 0)
    batches = []
    handle = model.network.register_forward_hook(lambda _, x, y: batches.append(len(y)))
    options = {"label": 0, "steps": 4, "precision": "float32", "sampler": "ddim", "batch_size": 2}
    both = [4] if one_call else [2, 2]
    for guidance, wanted in (
        ({"guidance": 1.0}, [2] * 4),
        ({"guidance": 3.0}, both * 4),
        ({"guidance": 3.0, "guidance_interval": (0.5, 5.0)}, [2, *both, *both, 2]),
    ):
        batches.clear()
        model.sample(2, **options, **guidance)
        assert batches == wanted
    handle.remove()


def test_one_call_of_both_makes_the_same_samples(model, monkeypatch):
    options = {"label": [1, 2, 0], "guidance": 3.0, "steps": 5, "precision": "float32"}
    one = model.sample(3, **options)
    monkeypatch.setattr(modelling, "ONE_CALL", 0)
    torch.testing.assert_close(one, model.sample(3, **options), rtol=1e-4, atol=1e-4)


def test_labels_of_one_call_do_not_affect_the_next(model):
    first = model.sample(2, label=0, steps=3, precision="float32")
    model.sample(2, label=1, steps=3, precision="float32")
    assert torch.equal(model.sample(2, label=0, steps=3, precision="float32"), first)


def test_bfloat16_is_near_float32(model):
    exact = model.sample(4, steps=5, precision="float32")
    short = model.sample(4, steps=5, precision="bfloat16")
    assert 0 < (short - exact).abs().mean() < 0.1


def test_samples_of_pictures_lie_between_the_bounds(model):
    assert model.sample(8, steps=5).abs().max() <= 1


def test_progress_counts_the_rows_of_all_batches(model):
    reports = []
    model.sample(5, steps=4, batch_size=2, progress=lambda *report: reports.append(report))
    assert [report[:2] for report in reports] == [(i + 1, 12) for i in range(12)]
    assert reports[-1][2] == 0


def test_a_line_of_progress_on_stderr(model, capsys):
    model.sample(2, steps=3, progress=True)
    assert "3/3 steps" in capsys.readouterr().err


def test_the_callback_sees_each_row(model):
    rows = []
    model.sample(2, steps=3, callback=lambda row, x: rows.append((row, x.shape)))
    assert rows == [(row, (2, 1, 8, 8)) for row in range(3)]


@pytest.mark.parametrize("training", [False, True])
def test_sampling_does_not_change_the_network(training):
    model = untrained()
    model.network.train(training)
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    model.sample(2, steps=2)
    assert model.network.training is training
    assert all(
        torch.equal(value, before[name]) for name, value in model.network.state_dict().items()
    )
    frozen = next(model.network.children()).train(not training)
    model.sample(2, steps=2)
    assert frozen.training is not training
    assert model.network.training is training


def test_a_replaced_network_is_used(model):
    other = Diffusion(model.network, model.config)
    other.sample(2, label=[0, 1], steps=2)
    other.network = untrained(classes=CLASSES, objective="flow_prediction").network
    with torch.no_grad():
        for parameter in other.network.parameters():
            parameter.mul_(0.5)
    wanted = Diffusion(other.network, model.config).sample(2, label=[0, 1], steps=2)
    assert torch.equal(other.sample(2, label=[0, 1], steps=2), wanted)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"n": 0}, "n=0 must be at least 1"),
        ({"n": 2, "sampler": "ddmp"}, "sampler='ddmp' is unknown"),
        ({"n": 2, "steps": 0}, "steps=0 must be between 1 and 1000"),
        ({"n": 2, "label": "cow"}, "label='cow' is unknown"),
        ({"n": 2, "label": 3}, "label=3 is unknown"),
        ({"n": 2, "label": -1}, "label=-1 is unknown"),
        ({"label": 1.7}, "label=1.7 is unknown"),
        ({"label": [None]}, "label=None is unknown"),
        ({"label": []}, "n=0 must be at least 1"),
        ({"n": 2, "label": [1, 2, 0]}, "3 labels are given for 2 samples"),
        ({"n": 2, "seed": [1, 2, 0]}, "3 seeds are given for 2 samples"),
        ({"n": 2, "guidance": 2.0}, "guidance needs a label"),
        ({"label": 1, "guidance": float("nan")}, "guidance=nan must be finite"),
        ({"n": 2, "batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"n": 2, "precision": "float8"}, "precision='float8' is unknown"),
    ],
)
def test_refusals(model, arguments, said):
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        model.sample(**arguments)


def test_labels_are_refused_without_classes():
    with pytest.raises(ValueError, match="trained without classes"):
        untrained().sample(2, label=0)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"network": "vit"}, "network='vit' is unknown"),
        ({"size": "huge"}, "size='huge' is unknown"),
        ({"objective": "x1"}, "objective='x1' is unknown"),
        ({"schedule": "none"}, "schedule='none' is unknown"),
        ({"shape": (8, 8)}, r"must be \(C, H, W\)"),
        ({"shape": (1, 0, 8)}, "numbers of at least 1"),
        ({"shape": (1, 9, 8)}, "9 x 8 pixels do not fit"),
        ({"n_timesteps": 1}, "n_timesteps=1 must be at least 2"),
        ({"dropout": 1.0}, "dropout=1.0 must be"),
        ({"clip": 0.0}, "clip=0.0 must be above 0"),
        ({"classes": ("a", "a")}, "must be different names"),
    ],
)
def test_settings_that_cannot_be_built(changed, said):
    with pytest.raises(ValueError, match=said):
        Diffusion.build(Config(**{**SMALL, **changed}))


@pytest.mark.parametrize("network", NETWORKS)
def test_a_saved_model_samples_the_same(network, tmp_path):
    model = untrained(network=network, classes=CLASSES, objective="flow_prediction", clip=None)
    model.save(tmp_path / "new" / "folder")
    loaded = diffusion.load(tmp_path / "new" / "folder")
    assert loaded.config == model.config
    wanted = model.sample(3, label=[0, 1, 2], steps=3)
    assert torch.equal(loaded.sample(3, label=[0, 1, 2], steps=3), wanted)


def test_the_settings_can_be_read_as_json(model, tmp_path):
    model.save(tmp_path)
    read = json.loads((tmp_path / "model.json").read_text())
    assert read["config"]["classes"] == list(CLASSES)


def test_a_model_of_ones_own_network(tmp_path):
    class Linear(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 3)

        def forward(self, x, time, label):
            return self.layer(torch.cat([x, time[:, None] / 1000], dim=1))

    config = Config(shape=(3,), network=CUSTOM, clip=None)
    model = Diffusion(Linear(), config)
    model.save(tmp_path)
    loaded = diffusion.load(tmp_path, network=Linear())
    assert torch.equal(loaded.sample(5), model.sample(5))
    with pytest.raises(ValueError, match="one of your own; pass the network itself"):
        diffusion.load(tmp_path)


class Tied(torch.nn.Module):
    """Two layers of the same weights."""

    def __init__(self):
        super().__init__()
        self.one, self.two = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
        self.two.weight = self.one.weight

    def forward(self, x, time, label):
        """Return the prediction."""
        return self.two(self.one(x).tanh())


def test_weights_may_be_tied(tmp_path):
    pytest.importorskip("accelerate")
    config = Config(shape=(3,), network=CUSTOM, clip=None)
    options = training.TrainConfig(steps=3, batch_size=4, save_every=1)
    data = torch.randn(8, 3)
    trained = diffusion.train(
        data, tmp_path, config=config, options=options, network=Tied(), device="cpu"
    )
    loaded = diffusion.load(tmp_path, network=Tied())
    assert torch.equal(loaded.sample(5), trained.sample(5))
    again = diffusion.train(
        data, tmp_path, config=config, options=options, network=Tied(), device="cpu"
    )
    assert torch.equal(again.sample(5), trained.sample(5))


@pytest.mark.parametrize(
    ("line", "subfolder", "files"),
    [
        ("0::/inner", "inner", ("memory.max", "memory.current", "inactive_file")),
        ("0::/not/here", ".", ("memory.max", "memory.current", "inactive_file")),
        (
            "4:cpu,memory:/inner",
            "cpu,memory/inner",
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ),
    ],
)
def test_limits_of_containers_are_read(tmp_path, line, subfolder, files):
    own, folder = tmp_path / "own", tmp_path / "groups" / subfolder
    assert list(left_in_groups(tmp_path / "groups", own)) == []
    own.write_text(f"1:pids:/\n{line}\n")
    folder.mkdir(parents=True)
    limit, use, idle = files
    (folder / limit).write_text("1000\n")
    (folder / use).write_text("800\n")
    (folder / "memory.stat").write_text(f"anon 1\n{idle} 300\n")
    assert list(left_in_groups(tmp_path / "groups", own)) == [500]
    (folder / limit).write_text("max\n")
    assert list(left_in_groups(tmp_path / "groups", own)) == []


def test_a_missing_folder_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        diffusion.load(tmp_path)


@pytest.mark.parametrize("size", [0, 10, 2000])
def test_a_truncated_file_is_refused(model, tmp_path, size):
    model.save(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match="no complete"):
        diffusion.load(tmp_path)


def test_a_file_of_another_kind_is_refused(tmp_path):
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="not one that unsup_fast saved"):
        diffusion.load(tmp_path)


def test_weights_of_another_network_are_refused(model, tmp_path):
    model.save(tmp_path)
    other = Diffusion.build(Config(**{**SMALL, "size": "small"})).network
    with pytest.raises(ValueError, match="of another network"):
        diffusion.load(tmp_path, network=other)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    model = untrained()
    with torch.no_grad():
        next(model.network.parameters())[0] = float("nan")
    with pytest.raises(ValueError, match=r"cannot save the model: .* holds NaN"):
        model.save(tmp_path)
    assert not list(tmp_path.iterdir())
    weights = dict(model.network.state_dict())
    note = {"config": asdict(model.config)}
    path = tmp_path / "model.safetensors"
    files.write(path, weights, note, kind="diffusion model", what="a model")
    with pytest.raises(ValueError, match="not finite"):
        diffusion.load(tmp_path)


def test_a_full_disk_leaves_the_previous_model(model, tmp_path, monkeypatch):
    model.save(tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="the disk is full"):
        untrained().save(tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


def test_a_model_can_be_moved(model, tmp_path):
    model.save(tmp_path / "one")
    shutil.move(tmp_path / "one", tmp_path / "two")
    assert diffusion.load(tmp_path / "two").config == model.config


@pytest.mark.parametrize("name", ["model.safetensors", "model.json"])
def test_flipped_bits_are_refused(model, tmp_path, name):
    model.save(tmp_path)
    content = (tmp_path / name).read_bytes()
    for position in np.linspace(0, len(content) - 1, 60).astype(int):
        changed = bytearray(content)
        changed[position] ^= 1 << int(position % 8)
        (tmp_path / name).write_bytes(changed)
        with pytest.raises(ValueError, match=rf"cannot load .*{re.escape(name)}"):
            diffusion.load(tmp_path)


def test_settings_of_another_model(model, tmp_path):
    model.save(tmp_path / "one")
    untrained().save(tmp_path / "two")
    shutil.copy(tmp_path / "two/model.json", tmp_path / "one")
    with pytest.raises(ValueError, match=r"it has other settings than model\.safetensors"):
        diffusion.load(tmp_path / "one")
    (tmp_path / "one/model.json").unlink()
    assert diffusion.load(tmp_path / "one").config == model.config


def test_other_readers_of_the_weights(model, tmp_path):
    from safetensors.torch import load_file

    model.save(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    assert weights.keys() == model.network.state_dict().keys()
    for name, value in model.network.state_dict().items():
        assert torch.equal(weights[name], value)


@pytest.mark.parametrize(
    "changed",
    [
        {"shape": [1, 10**9, 10**9]},
        {"shape": [10**9, 8, 8]},
        {"shape": [-1, 8, 8]},
        {"shape": [1.0, 8, 8]},
        {"shape": "188"},
        {"shape": [10**400, 8, 8]},
        {"shape": []},
        {"classes": ["a", 1]},
        {"classes": "ab"},
        {"classes": [str(i) for i in range(10_000)]},
        {"network": ["unet"]},
        {"network": "x" * 10**6},
        {"network": "dit"},
        {"size": {}},
        {"size": "gigantic"},
        {"patch": 10**9},
        {"patch": "2"},
        {"dropout": "0"},
        {"objective": None},
        {"schedule": "none"},
        {"n_timesteps": 10**15},
        {"n_timesteps": 1000.0},
        {"clip": "1"},
        {"more": 1},
    ],
    ids=lambda changed: str(changed)[:40],
)
def test_forged_settings_end_in_one_line(model, tmp_path, changed):
    model.save(tmp_path)
    path = tmp_path / "model.safetensors"
    weights, note = files.read(path, kind="diffusion model", torch=True)
    note["config"] |= changed
    files.write(path, weights, note, kind="diffusion model", what="a model")
    (tmp_path / "model.json").unlink()
    with pytest.raises(ValueError, match=r"cannot load .*model\.safetensors") as caught:
        diffusion.load(tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("note", [{}, {"config": 3}, {"config": {}}, {"config": {"shape": [1]}}])
def test_forged_notes_end_in_one_line(tmp_path, note):
    path = tmp_path / "model.safetensors"
    files.write(path, {}, note, kind="diffusion model", what="a model")
    with pytest.raises(ValueError, match="its settings are not valid"):
        diffusion.load(tmp_path)


def test_forged_tensors_end_in_one_line(model, tmp_path):
    model.save(tmp_path)
    path = tmp_path / "model.safetensors"
    weights, note = files.read(path, kind="diffusion model", torch=True)
    name = next(iter(weights))
    for changed in (
        {**weights, "more": torch.ones(1)},
        {key: value for key, value in weights.items() if key != name},
        {**weights, name: weights[name].int()},
        {**weights, name: weights[name][..., :1]},
        {**weights, name: weights[name] * float("inf")},
    ):
        files.write(path, changed, note, kind="diffusion model", what="a model")
        with pytest.raises(ValueError, match="is missing, not finite or of another network"):
            diffusion.load(tmp_path)


def test_buffers_may_be_infinite(tmp_path):
    class Masked(Tied):
        def __init__(self):
            super().__init__()
            self.register_buffer("mask", torch.full((3,), -torch.inf))

    model = Diffusion(Masked(), Config(shape=(3,), network=CUSTOM, clip=None))
    model.save(tmp_path)
    assert torch.equal(diffusion.load(tmp_path, network=Masked()).network.mask, model.network.mask)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (1, 8, 8.5)}, "shape=8.5 must be a whole number"),
        ({"classes": (0, 1)}, "must be names, as strings"),
        ({"n_timesteps": 10**7}, "must be at most 1000000"),
        ({"shape": (1, 1 << 15, 1 << 15)}, "has more than"),
        ({"clip": float("inf")}, "must be above 0"),
        ({"size": None}, "size=None must be a name"),
    ],
)
def test_settings_that_no_file_could_hold(options, message):
    with pytest.raises(ValueError, match=message):
        Config(**{**SMALL, **options})


def test_settings_become_plain_numbers(tmp_path):
    config = Config(**{**SMALL, "shape": tuple(np.array(SMALL["shape"])), "patch": np.int64(1)})
    Diffusion.build(config).save(tmp_path)
    assert diffusion.load(tmp_path).config == config
