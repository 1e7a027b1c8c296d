"""Augmentations against loops over pixels, and the probability that is steered."""

import csv
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from safetensors.torch import load_file  # noqa: E402
from scipy import stats  # noqa: E402
from torch import nn  # noqa: E402

from unsup_fast.models import gan  # noqa: E402
from unsup_fast.models.gan import augment  # noqa: E402
from unsup_fast.models.gan.ada import Ada, signs  # noqa: E402
from unsup_fast.models.gan.augment import AUGMENTATIONS, augmented, n_draws  # noqa: E402
from unsup_fast.models.gan.updates import Updates  # noqa: E402
from unsup_fast.models.gan.view import View, blurred  # noqa: E402
from unsup_fast.models.training import StepContext, init_state  # noqa: E402
from unsup_fast.models.training.accelerator import accelerator_for  # noqa: E402

SIZES = [(1, 5, 7), (3, 9, 9), (4, 11, 6), (3, 16, 16), (1, 1, 3)]


def pictures(shape, n=6):
    """Return pictures, and numbers with the first and last that there are."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(n, *shape, generator=random, dtype=torch.float64)
    u = torch.rand(n, 2, generator=random)
    u[0], u[-1] = 0.0, 1 - 2**-24
    return x, u


def context_of(index=0, processes=1, process=0, **settings):
    accelerator, _ = accelerator_for(None, "float32", "cpu")
    config = gan.train_config(steps=20, **{"batch_size": 8, "seed": 3, **settings})
    if processes > 1:
        accelerator = SimpleNamespace(
            num_processes=processes, process_index=process, device=torch.device("cpu")
        )
    context = StepContext(accelerator, config)
    context.begin(index)
    return context


def test_numbers_below_one_never_round_to_a_shift_too_many():
    last = torch.tensor(1 - 2**-24)
    for n in range(1, 5000):
        assert int((last * n).long()) == n - 1


@pytest.mark.parametrize("shape", SIZES)
def test_translation_is_that_of_a_loop(shape):
    x, u = pictures(shape)
    out = augment.translate(x, u)
    _, height, width = shape
    for i, picture in enumerate(x):
        most = [int(side / 8 + 0.5) for side in (height, width)]
        down, right = (int(v * (2 * m + 1)) - m for v, m in zip(u[i].tolist(), most, strict=True))
        for r in range(height):
            for c in range(width):
                inside = 0 <= r - down < height and 0 <= c - right < width
                expected = picture[:, r - down, c - right] if inside else torch.zeros(shape[0])
                assert torch.equal(out[i, :, r, c], expected.double())


def test_all_shifts_are_as_likely():
    x = torch.zeros(20_000, 1, 17, 17)
    x[:, :, 8, 8] = 1
    u = torch.rand(20_000, 2, generator=torch.Generator().manual_seed(1))
    where = augment.translate(x, u).flatten(1).argmax(1)
    counts = torch.bincount(where, minlength=17 * 17).view(17, 17)
    assert counts[6:11, 6:11].sum() == 20_000
    assert stats.chisquare(counts[6:11, 6:11].flatten().numpy()).pvalue > 1e-3


@pytest.mark.parametrize("shape", SIZES)
def test_cutout_is_that_of_a_loop(shape):
    x, u = pictures(shape)
    out = augment.cut_out(x, u)
    _, height, width = shape
    for i, picture in enumerate(x):
        sides = [int(side / 2 + 0.5) for side in (height, width)]
        top, left = (
            int(v * side) - length // 2
            for v, side, length in zip(u[i].tolist(), (height, width), sides, strict=True)
        )
        for r in range(height):
            for c in range(width):
                cut = top <= r < top + sides[0] and left <= c < left + sides[1]
                expected = torch.zeros(shape[0]).double() if cut else picture[:, r, c]
                assert torch.equal(out[i, :, r, c], expected)


@pytest.mark.parametrize("shape", SIZES)
def test_colours_are_those_of_formulas(shape):
    x, u = pictures(shape)
    n_colours = min(shape[0], 3)
    for i, v in enumerate(u[:, 0].double().tolist()):
        one, number = x[i : i + 1], u[i : i + 1, :1]
        bright, saturated, contrasted = (
            function(one, number)[0].numpy()
            for function in (augment.brighten, augment.saturate, augment.contrast)
        )
        colours = one[0, :n_colours].numpy()
        np.testing.assert_allclose(bright[:n_colours], colours + v - 0.5, atol=1e-6)
        mean = colours.mean()
        expected = mean + (0.5 + v) * (colours - mean)
        np.testing.assert_allclose(contrasted[:n_colours], expected, atol=1e-6)
        if n_colours == 3:
            grey = colours.mean(0)
            expected = np.stack([grey + 2 * v * (colour - grey) for colour in colours])
            np.testing.assert_allclose(saturated[:3], expected, atol=1e-6)
        else:
            assert np.array_equal(saturated, one[0].numpy())
        for each in (bright, saturated, contrasted):
            assert np.array_equal(each[n_colours:], one[0, n_colours:].numpy())


def test_mirrored_and_turned_pictures():
    x, u = pictures((3, 5, 5), n=40)
    for i, (mirrored, turned) in enumerate(
        zip(augment.mirror(x, u[:, :1]), augment.turn(x, u[:, 1:]), strict=True)
    ):
        for r in range(5):
            for c in range(5):
                column = 4 - c if u[i, 0] < 0.5 else c
                assert torch.equal(mirrored[:, r, c], x[i, :, r, column])
                source = {0: (r, c), 1: (c, 4 - r), 2: (4 - r, 4 - c), 3: (4 - c, r)}
                a, b = source[int(4 * u[i, 1])]
                assert torch.equal(turned[:, r, c], x[i, :, a, b])
    x, u = pictures((3, 5, 7))
    assert torch.equal(augment.turn(x, u[:, :1]), x)


@pytest.mark.parametrize("name", ["diffaugment", "ada"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_gradients_of_all_augmentations(name, channels):
    x, _ = pictures((channels, 4, 4), n=2)
    kinds = AUGMENTATIONS[name]
    u = torch.rand(2, n_draws(kinds), generator=torch.Generator().manual_seed(2))
    p = torch.tensor(0.5) if name == "ada" else None
    x = x.requires_grad_()

    def cubes(x):
        return augmented(x, u, kinds, p).pow(3)

    assert torch.autograd.gradcheck(cubes, (x,))
    assert torch.autograd.gradgradcheck(cubes, (x,))


def test_a_probability_of_zero_is_the_identity_and_of_one_changes_all():
    x, _ = pictures((3, 9, 9), n=50)
    kinds = AUGMENTATIONS["ada"]
    u = torch.rand(50, n_draws(kinds), generator=torch.Generator().manual_seed(4))
    assert torch.equal(augmented(x, u, kinds, torch.tensor(0.0)), x)
    out = augmented(x, u, kinds, torch.tensor(1.0))
    assert torch.equal(out, augmented(x, u, kinds))
    assert ((out - x).abs().flatten(1).amax(1) > 0).all()


def test_the_probability_is_of_each_augmentation_and_picture():
    """Of two changes of brightness the sum shows which were applied."""
    kinds = (augment.COLOURS[0], augment.COLOURS[0])
    x = torch.zeros(4000, 1, 3, 3)
    u = torch.rand(4000, n_draws(kinds), generator=torch.Generator().manual_seed(5))
    u[:, 1], u[:, 3] = 0.75, 1 - 2**-24  # + 1/4 and + 1/2
    out = augmented(x, u, kinds, torch.tensor(0.3))[:, 0, 0, 0]
    counts = np.histogram(out.numpy(), [-0.1, 0.1, 0.3, 0.6, 0.9])[0]
    expected = 4000 * np.array([0.7 * 0.7, 0.3 * 0.7, 0.3 * 0.7, 0.3 * 0.3])
    assert stats.chisquare(counts, expected).pvalue > 1e-3


def test_draws_depend_on_seed_update_and_sample_alone():
    view = View(gan.Recipe(augment="diffaugment"), nn.Linear(1, 1))
    whole = view.draws("real", 5, context_of())
    assert whole.shape == (8, n_draws(AUGMENTATIONS["diffaugment"]))
    parts = [view.draws("real", 5, context_of(2, 4, process)) for process in range(4)]
    assert torch.equal(torch.cat(parts), whole)
    assert torch.equal(view.draws("real", 5, context_of(batch_size=16))[:8], whole)
    others = [
        view.draws("fake", 5, context_of()),
        view.draws("real", 6, context_of()),
        view.draws("real", 5, context_of(seed=4)),
    ]
    assert all(not (other == whole).any() for other in others)


def test_each_update_augments_real_and_generated_pictures_by_draws_of_its_own():
    """What a discriminator is shown, and what it gets from the augmentations directly."""
    seen = []

    class Critic(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1, 4, 4))

        def forward(self, x, label):
            seen.append(x.detach().clone())
            return (x * self.weight).sum((1, 2, 3))

    class Maker(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1, 4, 4))

        def forward(self, z, label):
            return z[:, :1, None, None] * self.weight

    pair = {"generator": Maker(), "discriminator": Critic()}
    optimizers = {name: torch.optim.SGD(each.parameters(), 0.0) for name, each in pair.items()}
    init_state(pair, optimizers, ema=())
    recipe = gan.Recipe(augment="diffaugment", n_critic=2)
    updates = Updates(*pair.values(), optimizers, recipe, latent=2, dtype=torch.float32)
    context = context_of(7, accumulation=2)
    real = torch.randn(16, 1, 4, 4)
    updates((real, None), context)
    assert len(seen) == 12
    view, kinds = View(recipe, pair["discriminator"]), AUGMENTATIONS["diffaugment"]
    for number, batch in enumerate((real[:8], real[8:], real[8:])):
        index = 7 * 3 + number
        inputs = updates._inputs(batch, None, number, context, penalized=False)
        z = updates._latents(inputs.seeds, context)
        fake = pair["generator"](z, None)
        a = augmented(batch, view.draws("real", index, context), kinds)
        b = augmented(fake, view.draws("fake", index, context), kinds)
        first = seen[4 * number : 4 * number + 4]
        if number == 2:  # the generator's update scores its own pictures first
            first = [first[1], first[0], first[3], first[2]]
        torch.testing.assert_close(torch.cat([first[0], first[2]]), a)
        torch.testing.assert_close(torch.cat([first[1], first[3]]), b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_penalties_are_of_the_gradient_through_augmentations(dtype):
    """D(x) = sum of x after augmentation: the gradient is the number of pixels that are left."""

    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, x, label):
            return self.weight * x.sum((1, 2, 3))

    critic = Sum()
    optimizers = {"discriminator": torch.optim.SGD(critic.parameters(), 0.1)}
    recipe = gan.Recipe(r1=1.0, augment="diffaugment", gradient_penalty=1.0)
    updates = Updates(critic, critic, optimizers, recipe, latent=2, dtype=dtype)
    context = context_of()
    real, fake = torch.randn(2, 8, 1, 9, 7)
    real = real.requires_grad_()
    inputs = updates._inputs(real, None, 0, context, penalized=True)
    draws = inputs.real_draws, inputs.fake_draws
    scores = [updates._score(x, None, u, context) for x, u in zip((real, fake), draws, strict=True)]
    penalties = updates._penalties(real, fake, *scores, inputs, context)
    squares = []
    for i in range(8):
        x = real[i : i + 1].detach().requires_grad_()
        y = augmented(x, draws[0][i : i + 1], AUGMENTATIONS["diffaugment"]).sum()
        squares.append(torch.autograd.grad(y, x)[0].square().sum())
    squares = torch.stack(squares)
    assert squares.std() > 1
    torch.testing.assert_close(penalties.parts["r1"], squares.mean())
    torch.testing.assert_close(
        penalties.parts["gradient_penalty"], (squares.sqrt() - 1).square().mean()
    )


def test_the_signs_that_steer():
    """Losses that compare scores have no zero of their own; least squares has it at 1/2."""
    a, b = torch.tensor([0.4, 0.6, -1.0, 3.0]), torch.tensor([0.5, 0.5, -2.0, 4.0])
    for loss in gan.LOSSES:
        expected = {
            "relativistic": [-1, 1, 1, -1],
            "wasserstein": [-1, 1, 1, -1],
            "least-squares": [-1, 1, -1, 1],
        }.get(loss, [1, 1, -1, 1])
        assert signs(loss, a, b).tolist() == expected


def test_the_probability_moves_as_by_hand():
    """Four updates of eight signs each: their mean against 0.5, by 32 of 320 samples."""
    critic = nn.Linear(1, 1)
    ada, context = Ada(critic, target=0.5, examples=320), context_of()
    positives = [8, 8, 8, 8, 8, 8, 8, 2, 4, 4, 4, 4, 6, 6, 6, 6, 4, 4, 4, 4]  # of eight signs
    expected = [0, 0, 0, 0.1, 0.1, 0.1, 0.1, 0.2, 0.2, 0.2, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1]
    expected += [0.1, 0.1, 0.1, 0.0]
    for update, (n, p) in enumerate(zip(positives, expected, strict=True)):
        values = torch.tensor([1.0] * n + [-1.0] * (8 - n))
        reported = ada.observe(values, update, context)
        assert float(reported["r_t"]) == (2 * n - 8) / 8
        assert float(reported["augment_p"]) == pytest.approx(p, abs=1e-7)
        assert float(critic.augment_p) == pytest.approx(p, abs=1e-7)
    for update in range(200):
        ada.observe(torch.full((8,), 1.0 if update < 100 else -1.0), update, context)
        if update == 99:
            assert float(ada.p) == 1
    assert float(ada.p) == 0


def test_processes_steer_by_the_signs_of_all():
    """Four slices of a batch, whose sums a stand-in for the processes adds."""
    random = torch.Generator().manual_seed(0)
    rows = torch.randn(8, 8, generator=random).sign()
    whole, parts = (Ada(nn.Linear(1, 1), 0.1, 100) for _ in range(2))
    for update, row in enumerate(rows):
        expected = whole.observe(row, update, context_of())
        context = context_of(processes=4)
        context.accelerator.reduce = lambda total, kind, row=row: row.sum()
        assert parts.observe(row[:2], update, context) == expected
        assert torch.equal(parts.p, whole.p)


def data_of(n=40):
    return np.random.default_rng(0).integers(0, 256, size=(n, 3, 8, 8), dtype=np.uint8)


def train(folder, recipe, options=None, shape=(3, 8, 8), **arguments):
    settings = {"steps": 6, "batch_size": 8, "warmup": 2, "save_every": 2, "seed": 4}
    arguments = {"progress": False, "device": "cpu", "precision": "float32", **arguments}
    return gan.train(
        arguments.pop("data", data_of()),
        folder,
        config=gan.Config(shape, network="dcgan", size="tiny", latent=4),
        options=options or gan.train_config("dcgan", **settings),
        recipe=recipe,
        **arguments,
    )


ADA = gan.Recipe(loss="hinge", augment="ada", augment_target=0.1, augment_examples=50, blur=1.0)


@pytest.mark.parametrize("stop", [2, 5])
def test_a_run_that_steers_resumes_to_the_same_bits(stop, tmp_path):
    """Stopped between two movements, and after one."""
    recipe = replace(ADA, n_critic=3 if stop == 5 else 1)
    train(tmp_path / "whole", recipe)
    halt = {"progress": lambda state, losses, rate: state.step >= stop - 1}
    train(tmp_path / "parts", recipe, **halt)
    names = ("network.discriminator.augment_p", "network.discriminator.augment_signs")
    between = load_file(tmp_path / "parts" / "checkpoint.safetensors")
    assert any(float(between[name]) != 0 for name in names)
    train(tmp_path / "parts", recipe)
    states = [load_file(tmp_path / each / "checkpoint.safetensors") for each in ("whole", "parts")]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    with (tmp_path / "whole" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["augment_p"]) >= 0
    assert -1 <= float(rows[-1]["r_t"]) <= 1


def test_diffaugment_changes_the_training_and_stores_nothing(tmp_path):
    states = []
    for name in ("none", "diffaugment"):
        train(tmp_path / name, gan.Recipe(augment=name))
        states.append(load_file(tmp_path / name / "checkpoint.safetensors"))
    assert states[0].keys() == states[1].keys()
    assert any(not torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_the_blur_falls_with_the_step():
    recipe = gan.Recipe(blur=2.0, blur_examples=160, n_critic=2)
    view = View(recipe, nn.Linear(1, 1))
    sigmas = [view.sigma(context_of(index)) for index in (0, 5, 9, 10, 19)]
    assert sigmas == pytest.approx([2.0, 1.0, 0.2, 0.0, 0.0])
    x = torch.randn(2, 3, 7, 5)
    context = context_of(5)
    out = view(x, view.draws("real", 0, context), context)
    torch.testing.assert_close(out, blurred(x, 1.0))
    context = context_of(10)
    assert view(x, view.draws("real", 0, context), context) is x


def test_blurred_pictures_are_those_of_a_loop():
    x, _ = pictures((2, 6, 9), n=1)
    out = blurred(x, 1.3)
    for r in range(6):
        for c in range(9):
            total, weights = torch.zeros(2, dtype=torch.float64), 0.0
            for i in range(6):
                for j in range(9):
                    weight = np.exp(-((r - i) ** 2 + (c - j) ** 2) / (2 * 1.3**2))
                    total, weights = total + weight * x[0, :, i, j], weights + weight
            torch.testing.assert_close(out[0, :, r, c], total / weights)
    one = torch.ones(1, 1, 6, 9, dtype=torch.float64)
    torch.testing.assert_close(blurred(one, 0.01), one)
    torch.testing.assert_close(blurred(x, 0.05), x)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"augment": "all"}, "augment='all' is unknown"),
        ({"augment_target": 1.0}, "augment_target=1.0 must be between 0 and 1"),
        ({"augment_examples": 0}, "augment_examples=0 must be at least 1"),
        ({"blur": -1.0}, "blur=-1.0 must be at least 0"),
        ({"blur_examples": 0.5}, "blur_examples=0.5 must be a whole number"),
        ({"discriminator": "other"}, "discriminator='other' is unknown"),
    ],
)
def test_refused_recipes(settings, message):
    with pytest.raises(ValueError, match=message):
        gan.Recipe(**settings)


def test_refused_trainings(tmp_path):
    with pytest.raises(ValueError, match=r"must be \(C, H, W\) with C of 1, 3 or 4 for augment"):
        train(
            tmp_path,
            gan.Recipe(augment="ada", blur=1.0),
            shape=(2, 8, 8),
            data=data_of().repeat(2, 1)[:, :2],
        )
    options = gan.train_config("r3gan", steps=2, batch_size=8, shards=2)
    with pytest.raises(ValueError, match="shards=2 allows no such"):
        train(tmp_path, gan.Recipe(augment="ada"), options)
