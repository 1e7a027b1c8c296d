"""`distill`: losses that exact models make zero, runs that resume to the bit, and errors."""

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from unsup_fast.metrics import Judge  # noqa: E402
from unsup_fast.models import diffusion  # noqa: E402
from unsup_fast.models.diffusion import Config, Diffusion, sample  # noqa: E402
from unsup_fast.models.diffusion.distillation import (  # noqa: E402
    consistency,
    progressive,
    stages,
)
from unsup_fast.models.diffusion.distillation.levels import image  # noqa: E402
from unsup_fast.models.diffusion.model import student_steps  # noqa: E402
from unsup_fast.models.training import TrainConfig, checkpoint  # noqa: E402
from unsup_fast.solvers.prediction import output_weights  # noqa: E402

OBJECTIVES = ("epsilon", "v_prediction", "flow_prediction")
CONFIG = Config((2,), ("a", "b"), network="custom", clip=None)
OPTIONS = TrainConfig(steps=12, batch_size=16, warmup=1, save_every=3, ema=0.9, seed=3)


class Killed(Exception):
    """The end of a run, in its midst."""


class Network(torch.nn.Module):
    """A small network of points, time and class."""

    def __init__(self, classes=2):
        super().__init__()
        self.label = torch.nn.Embedding(classes + 1, 8)
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(11, 16), torch.nn.SiLU(), torch.nn.Linear(16, 2)
        )
        self.classes = classes

    def forward(self, x, time, label=None):
        if label is None:
            label = torch.full((len(x),), self.classes)
        time = time.expand(len(x))[:, None] / 1000
        return self.layers(torch.cat([x, time, self.label(label)], 1))


def points(n=64):
    random = np.random.default_rng(1)
    labels = random.integers(2, size=n)
    return (random.normal(size=(n, 2)) + 3 * labels[:, None]).astype(np.float32), labels


@pytest.fixture
def teacher():
    torch.manual_seed(0)
    return Diffusion(Network().eval(), CONFIG)


def distill(teacher, folder, **arguments):
    data, labels = points()
    data = arguments.pop("data", data)
    arguments = {
        "labels": labels,
        "options": OPTIONS,
        "steps": (1, 2),
        "teacher_steps": 4,
        "device": "cpu",
        "n_samples": 0,
        **arguments,
    }
    return diffusion.distill(teacher, data, folder, **arguments)


def killed_at(step, teacher, folder, **arguments):
    """Distill until a step is saved, and no further."""
    save = checkpoint.save

    def save_and_die(folder, state, *rest):
        save(folder, state, *rest)
        if state.step == step:
            raise Killed

    options = replace(OPTIONS, save_every=step)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "save", save_and_die)
        with pytest.raises(Killed):
            distill(teacher, folder, options=options, **arguments)


def weights(model):
    return dict(model.network.state_dict())


def same(one, other):
    return all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())


def at_point(config, center):
    """Return the exact network for data that are all one point, whatever it is asked."""
    objective = config.training_objective()
    angles = np.arctan2(objective.sigma, objective.signal)

    def network(x, time):
        number = np.interp(time.double(), objective.times, np.arange(len(angles)))
        angle = np.interp(number, np.arange(len(angles)), angles)
        sigma, signal = np.sin(angle), np.cos(angle)
        if config.objective == "flow_prediction":
            sigma = time.double().numpy() / 1000
            signal = 1 - sigma
        sigma, signal = (torch.from_numpy(value).to(x)[:, None] for value in (sigma, signal))
        of_image, of_noise = output_weights(objective.prediction, signal, sigma)
        return of_image * center + of_noise * (x - signal * center) / sigma.clamp(min=1e-30)

    return network


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("k", [1, 2, 8])
def test_the_target_leads_where_two_steps_of_the_teacher_lead(objective, k):
    """The student whose DDIM step ends where the library's sampler ends has no loss."""
    config = replace(CONFIG, objective=objective, schedule="linear", classes=())
    stage = progressive.halving(config, k)
    torch.manual_seed(k)
    mix = torch.randn(2, 2, dtype=torch.float64)

    def teacher(x, time):
        return torch.tanh(x @ mix + time[:, None] / 500)

    images = torch.rand(3 * k, 2, dtype=torch.float64) - 0.5
    index = torch.arange(k).repeat(3)
    seeds = torch.arange(3 * k)
    prediction = config.training_objective().prediction
    path = config.path(2 * k, "ddim")
    wanted = []

    def student(x, time):
        """Return outputs that lead, in one step, where `sample` leads in two."""
        for row, i in enumerate(index.tolist()):
            part = type(path)(
                *(values[2 * i : 2 * i + 2] for values in path[:-1]), path.init_noise_sigma
            )
            table = diffusion.samplers.ddim(part, prediction=prediction)
            end = sample(teacher, table, x[row : row + 1])
            a, s = path.signal[2 * i], path.sigma[2 * i]
            a2, s2 = path.next_signal[2 * i + 1], path.next_sigma[2 * i + 1]
            estimate = (end - s2 / s * x[row : row + 1]) / (a2 - s2 / s * a)
            of_image, of_noise = output_weights(prediction, a, s)
            wanted.append(of_image * estimate + of_noise * (x[row : row + 1] - a * estimate) / s)
        return torch.cat(wanted[-len(index) :])

    arguments = {"index": index, "seed": seeds}
    loss = progressive.progressive_loss(student, teacher, images, stage, **arguments)
    assert loss < 1e-20
    loss = progressive.progressive_loss(
        lambda x, time: student(x, time) + 0.5, teacher, images, stage, **arguments
    )
    assert loss.item() == pytest.approx(0.25 * stage.loss.mean(), rel=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_exact_model_of_a_point_has_no_loss(objective):
    config = replace(CONFIG, objective=objective, schedule="linear", classes=())
    center = torch.tensor([0.3, -0.6], dtype=torch.float64)
    exact, images = at_point(config, center), center.expand(40, 2).clone()
    at = consistency.trajectory(config).at
    seeds, generator = torch.arange(40), torch.Generator().manual_seed(0)
    index = consistency.draw_levels(consistency.trajectory(config).probs, 40, generator)
    for stage in range(consistency.N_STAGES):
        below = torch.from_numpy(consistency.nearer_levels(at, stage))[index]
        arguments = {"index": index, "below": below, "seed": seeds}
        loss = consistency.tuning_loss(exact, exact, images, at, **arguments)
        assert abs(loss) < 1e-9
        loss = consistency.distilling_loss(exact, exact, exact, images, at, **arguments)
        assert abs(loss) < 1e-9

    def wrong(x, time):
        return exact(x, time) + 0.1

    loss = consistency.tuning_loss(wrong, exact, images, at, **arguments)
    assert loss > 1e-4


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_estimate_is_the_sample_where_no_noise_is_left(objective):
    at = consistency.trajectory(replace(CONFIG, objective=objective, schedule="linear")).at
    x = torch.randn(5, 2)
    estimate = image(lambda x, time: 100 + x, at, torch.zeros(5, dtype=torch.int64), x)
    assert torch.equal(estimate, x)


def test_targets_come_nearer_stage_by_stage():
    at = consistency.trajectory(CONFIG).at
    levels = np.arange(1, len(at.times))
    before = np.zeros_like(levels)
    for stage in range(consistency.N_STAGES):
        below = consistency.nearer_levels(at, stage)[1:]
        assert ((below >= before) & (below < levels)).all()
        before = below
    gap = (levels - before) / levels
    assert (consistency.nearer_levels(at, 0)[:100] == 0).all()  # the image itself: denoising
    assert gap[100:].max() < 0.02


def test_levels_are_drawn_with_their_probabilities():
    probs = consistency.trajectory(CONFIG).probs
    assert probs.sum() == pytest.approx(1)
    drawn = consistency.draw_levels(probs, 200_000, torch.Generator().manual_seed(0))
    share = np.bincount(drawn.numpy(), minlength=len(probs) + 1)[1:] / 200_000
    assert np.abs(share - probs).max() < 1 / 200_000 + 1e-9


@pytest.mark.parametrize("n", [1, 7, 64])
def test_each_step_of_the_student_is_drawn_evenly(n):
    stage = progressive.halving(CONFIG, 4)
    drawn = progressive.draw_levels(stage, n, torch.Generator().manual_seed(2))
    counts = np.bincount(drawn.numpy(), minlength=4)
    assert counts.sum() == n
    assert np.ptp(counts) <= 1


def test_stages_share_the_steps():
    options = stages.staged(replace(OPTIONS, steps=70), 5)
    assert options.stages == (0, 10, 20, 30, 50, 70)
    assert [options.stage(step) for step in (0, 9, 10, 49, 50, 69, 70)] == [0, 0, 1, 3, 4, 4, 4]
    assert options.rate(50) == options.rate(0) == 1.0  # a warm-up of one step
    assert options.rate(69) == pytest.approx(0.1)  # one of twenty is left, of ten that decay
    assert options.averaging(10) == options.averaging(0)
    assert stages.halvings(16, (1, 4)) == (8, 4, 2, 1)
    assert stages.halvings(12, (3, 6)) == (6, 3)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("progressive", {"guidance": 2.0}),
        ("tune", {}),
        ("distill", {"guidance": 2.0}),
    ],
)
@pytest.mark.parametrize("stop", [3, 4, 6])  # within a stage, at its end, within the next
def test_a_killed_run_resumes_to_the_same_bits(teacher, tmp_path, method, arguments, stop):
    whole = distill(teacher, tmp_path / "whole", method=method, **arguments)
    before = {name: value.clone() for name, value in weights(teacher).items()}
    killed_at(stop, teacher, tmp_path / "cut", method=method, **arguments)
    resumed = distill(teacher, tmp_path / "cut", method=method, **arguments)
    assert same(whole, resumed)
    assert all(torch.equal(value, before[name]) for name, value in weights(teacher).items())
    if method == "progressive":
        for steps in (1, 2):
            loaded = [
                diffusion.load(tmp_path / name, steps=steps, network=Network())
                for name in ("whole", "cut")
            ]
            assert loaded[0].config.steps == steps
            assert same(*loaded)


def test_the_student_has_its_sampler_and_the_folder_its_comparison(teacher, tmp_path):
    student = distill(teacher, tmp_path, n_samples=20)
    assert (student.config.sampler, student.config.steps) == ("ddim", 1)
    assert student.sample(3, label=1).shape == (3, 2)
    result = json.loads((tmp_path / "distilled.json").read_text())
    assert [quality["steps"] for quality in result["student"]] == [1, 2]
    assert [quality["steps"] for quality in result["teacher"]] == [1, 2, 4, 8, 20, 50]
    labels = [i % 2 for i in range(20)]
    data, classes = points()
    judge = Judge(data, classes)
    for quality, steps in ((result["student"][1], 2), (result["teacher"][5], 50)):
        model = diffusion.load(tmp_path, steps=2, network=Network()) if steps == 2 else teacher
        samples = model.sample(20, sampler="ddim", steps=steps, label=labels)
        assert quality["distance"] == pytest.approx(judge.distance(samples))
        assert quality["accuracy"] == judge.accuracy(samples, labels)
        assert quality["images_per_second"] > 0
    assert result["real"]["accuracy"] == judge.real_accuracy


@pytest.mark.parametrize("network", ["unet", "dit"])
def test_a_student_takes_the_weight_of_guidance(tmp_path, network):
    config = Config((1, 4, 4), ("a", "b"), network=network, size="tiny", patch=2)
    teacher = Diffusion.build(config, seed=1)
    random = np.random.default_rng(0)
    for weight in teacher.network.parameters():  # a new network predicts zero
        weight.data += 0.02 * torch.from_numpy(random.normal(size=weight.shape)).float()
    data, labels = random.integers(256, size=(8, 1, 4, 4), dtype=np.uint8), np.arange(8) % 2
    options = TrainConfig(steps=1, batch_size=4, learning_rate=1e-12, ema=0)
    arguments = {"method": "distill", "labels": labels, "options": options, "n_samples": 0}
    arguments |= {"guidance": (1, 3), "device": "cpu"}
    student = diffusion.distill(teacher, data, tmp_path, **arguments)
    x, time, label = torch.randn(3, 1, 4, 4), torch.tensor([5.0, 70, 900]), torch.tensor([0, 1, 2])
    with torch.no_grad():
        before = teacher.network(x, time, label)
        after = student.network(x, time, label, torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-4)
    for weight in student.network.condition.guidance.parameters():
        weight.data.normal_()
    student.save(tmp_path)
    loaded = diffusion.load(tmp_path)
    assert loaded.config.guidance == (1.0, 3.0)
    low, high, middle, default = (
        loaded.sample(2, label="a", seed=1, **each)
        for each in ({"guidance": 1}, {"guidance": 3}, {"guidance": 2}, {})
    )
    assert not torch.equal(low, high)
    assert torch.equal(middle, default)
    with pytest.raises(ValueError, match="outside the weights from 1 to 3"):
        loaded.sample(2, label="a", guidance=4)
    with pytest.raises(ValueError, match="guidance is an input of this network"):
        loaded.network(x, time, label)
    with pytest.raises(ValueError, match="takes no guidance"):
        teacher.network(x, time, label, torch.tensor(2.0))
    with pytest.raises(ValueError, match="distill its teacher"):
        diffusion.distill(loaded, data, tmp_path / "again", **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "magic"}, "method='magic' is unknown"),
        ({"steps": ()}, "must be whole numbers of at least 1"),
        ({"steps": (3, 2)}, "cannot all be reached by halving"),
        ({"teacher_steps": 1024, "steps": (256, 512)}, "needs a teacher of"),
        ({"method": "tune", "guidance": 2.0}, "no teacher to guide"),
        ({"guidance": (1, 3)}, "is a range"),
        ({"method": "distill", "guidance": (1, 3)}, "network is one of your own"),
        ({"method": "distill", "guidance": float("nan")}, "must be finite"),
        ({"options": TrainConfig(steps=3)}, "too few for 2 stages"),
        ({"labels": None}, "labels and config.classes go together"),
        ({"n_samples": 1}, "n_samples=1 must be"),
    ],
)
def test_what_cannot_be_done_is_said(teacher, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        distill(teacher, tmp_path, **arguments)
    assert not (tmp_path / "checkpoint.safetensors").exists()


@pytest.mark.parametrize("method", ["tune", "distill"])
def test_a_network_that_predicts_the_image_is_no_consistency_model(tmp_path, method):
    teacher = Diffusion(Network().eval(), replace(CONFIG, objective="sample"))
    with pytest.raises(ValueError, match="no consistency model"):
        distill(teacher, tmp_path, method=method)


@pytest.mark.parametrize("method", ["progressive", "tune", "distill"])
def test_noise_that_says_nothing_of_the_image_is_refused(tmp_path, method):
    teacher = Diffusion(Network().eval(), replace(CONFIG, objective="epsilon"))
    with pytest.raises(ValueError, match="says next to nothing of the image"):
        distill(teacher, tmp_path, method=method)


def test_another_teacher_is_refused(teacher, tmp_path):
    distill(teacher, tmp_path)
    torch.manual_seed(1)
    other = Diffusion(Network().eval(), CONFIG)
    with pytest.raises(ValueError, match="teacher="):
        distill(other, tmp_path)


def test_a_missing_student_is_named(teacher, tmp_path):
    distill(teacher, tmp_path)
    with pytest.raises(ValueError, match=r"no student of steps=4, but those of \[1, 2\] steps"):
        diffusion.load(tmp_path, steps=4)
    teacher.save(tmp_path / "plain")
    with pytest.raises(ValueError, match="a model without students"):
        diffusion.load(tmp_path / "plain", steps=4)


def test_a_resumed_stage_needs_the_student_before_it(teacher, tmp_path):
    killed_at(stages.staged(OPTIONS, 2).stages[1] + 1, teacher, tmp_path)
    (tmp_path / "students" / "2" / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="cannot resume without the student of 2 steps"):
        distill(teacher, tmp_path)


@pytest.mark.parametrize("method", ["progressive", "distill"])
def test_a_guided_teacher_in_bfloat16(tmp_path, method):
    config = Config((1, 4, 4), ("a", "b"), network="dit", size="tiny", patch=2)
    data = np.random.default_rng(0).integers(256, size=(8, 1, 4, 4), dtype=np.uint8)
    arguments = {"labels": np.arange(8) % 2, "options": TrainConfig(steps=2, batch_size=4)}
    arguments |= {"steps": (1,), "teacher_steps": 2, "n_samples": 0, "device": "cpu"}
    student = diffusion.distill(
        Diffusion.build(config),
        data,
        tmp_path,
        method=method,
        guidance=2.0,
        precision="bfloat16",
        **arguments,
    )
    assert student.sample(2, label="a").isfinite().all()


def test_a_run_that_is_killed_at_its_last_step_has_all_students(teacher, tmp_path):
    killed_at(OPTIONS.steps, teacher, tmp_path)
    assert student_steps(tmp_path) == [1, 2]


def test_data_that_cannot_be_compared_are_refused_before_training(teacher, tmp_path):
    data, _ = points(12)
    with pytest.raises(ValueError, match="labels have one class"):
        distill(teacher, tmp_path, data=data, labels=np.zeros(12, int), n_samples=10)
    with pytest.raises(ValueError, match="comparing needs 10"):
        distill(teacher, tmp_path, data=data[:6], labels=np.arange(6) % 2, n_samples=10)
