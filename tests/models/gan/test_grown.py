"""What is said of a generator whose training ended before it had grown to full resolution."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from unsup_fast.models import gan  # noqa: E402
from unsup_fast.models.gan.growing import grown  # noqa: E402
from unsup_fast.models.gan.players import generator_of  # noqa: E402

SHAPE = (1, 16, 12)  # 4 x 3, 8 x 6, 16 x 12


def model_at(level):
    config = gan.Config(SHAPE, network="progressive", size="tiny", latent=4)
    network = generator_of(config, 0)
    network.body.set_level(level)
    return gan.GAN(network, config)


@pytest.mark.parametrize(
    ("level", "words"),
    [
        (0.0, "grown to 4 x 3 of 16 x 12"),
        (0.25, "grown to 4 x 3 of 16 x 12 (8 x 6 is 25% faded in)"),
        (1.0, "grown to 8 x 6 of 16 x 12"),
        (1.5, "grown to 8 x 6 of 16 x 12 (16 x 12 is 50% faded in)"),
    ],
)
def test_a_model_says_how_far_it_has_grown(level, words):
    model = model_at(level)
    assert model.grown == words
    assert f"4 latents, {words}, " in repr(model)


def test_a_model_that_is_done_says_nothing():
    model = model_at(2.0)
    assert model.grown == ""
    assert "grown" not in repr(model)
    other = generator_of(gan.Config(SHAPE, size="tiny", latent=4), 0)
    assert grown(other) == ""
    assert grown(torch.nn.Linear(2, 2)) == ""  # a network of a user's own


def test_training_warns_once_until_it_is_done(tmp_path):
    pytest.importorskip("accelerate")
    pixels = np.random.default_rng(0).integers(256, size=(8, *SHAPE), dtype=np.uint8)

    def train(steps, stop=None):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = gan.train(
                pixels,
                tmp_path,
                config=gan.Config(SHAPE, network="progressive", size="tiny", latent=4),
                recipe=gan.FAMILIES["progressive"],
                options=gan.train_config(
                    "progressive", steps=steps, batch_size=4, save_every=1, decay=0, ema=0.5
                ),
                device="cpu",
                progress=lambda state, losses, rate: stop is not None and state.step >= stop - 1,
            )
        said = [each for each in caught if "grown" in str(each.message)]
        assert all(each.category is RuntimeWarning for each in said)
        assert all(each.filename == __file__ for each in said)
        return model, [str(each.message) for each in said]

    model, said = train(8, stop=2)  # the networks grow in the first 4 of 8 steps
    assert said == [
        f"samples are {model.grown}, and enlarged: training ended after step 2, and the networks "
        "grow until step 4; resume it"
    ]
    assert model.grown == "grown to 4 x 3 of 16 x 12"
    model, said = train(8)
    assert said == []
    assert model.grown == ""
