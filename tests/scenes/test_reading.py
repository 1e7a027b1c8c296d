"""The reader is right on scenes, also noisy ones, and on nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from unsup_fast import scenes

SCORES = ("background", "count", "colour", "shape", "size", "binding", "position", "all")


def as_bytes(x):
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def drawn():
    return scenes.draw(2000, seed=2, split="any")


def right(images, captions):
    return scenes.score(images, captions).means()["all"]


@pytest.mark.parametrize(("side", "n"), [(32, 4000), (64, 1000)])
@pytest.mark.parametrize("split", ["train", "held"])
def test_clean_scenes_are_all_right(side, n, split):
    images, captions, specs = scenes.draw(n, seed=1, side=side, split=split)
    scores = scenes.score(images, captions)
    assert scores.means() == dict.fromkeys(SCORES, 1.0)
    assert scenes.score(images, specs).means() == scores.means()


@settings(max_examples=40)
@given(st.integers(0, 2**64 - 1), st.integers(24, 96))
def test_clean_scenes_of_any_seed_and_side_are_all_right(seed, side):
    images, captions, _ = scenes.draw(20, seed=seed, side=side, split="any")
    assert right(images, captions) == 1


def test_readings_are_the_objects(drawn):
    readings = scenes.read(drawn.images)
    specs = drawn.specifications
    assert np.array_equal(readings.background, specs.background)
    assert readings.background_error.max() == 0
    assert readings.background_noise.max() < 1  # edges of which a pixel has a few percent
    assert np.array_equal(np.bincount(readings.picture), specs.n_objects)
    one = specs.n_objects == 1
    first = one[readings.picture]
    for name in ("noun", "colour", "size"):
        assert np.array_equal(getattr(readings, name)[first], getattr(specs, name)[one, 0])
    for name in ("x", "y"):
        error = getattr(readings, name)[first] - getattr(specs, name)[one, 0]
        assert np.abs(error).max() < 0.25 / 32
    assert readings.overlap.min() > 0.85
    assert readings.colour_error.max() < 25
    assert len(readings) == 2000
    assert repr(readings).startswith("<Readings of 2,000 pictures with ")


def test_readings_do_not_depend_on_the_batch(drawn):
    noisy = as_bytes(drawn.images + np.random.default_rng(0).normal(0, 22, drawn.images.shape))
    whole = scenes.score(noisy[:600], drawn.captions[:600])
    for rows in (slice(0, 1), slice(5, 300), slice(400, 600)):
        part = scenes.score(noisy[rows], drawn.captions[rows])
        assert all(
            np.array_equal(getattr(part, name), getattr(whole[rows], name)) for name in SCORES
        )


@pytest.mark.parametrize("side", [32, 64])
def test_noise_of_16_is_read(side):
    images, captions, _ = scenes.draw(1000, seed=4, side=side, split="any")
    noise = np.random.default_rng(1).normal(0, 16, images.shape)
    assert right(as_bytes(images + noise), captions) >= 0.998


@pytest.mark.parametrize("deviation", [24, 32, 64, 128])
def test_more_noise_fails(drawn, deviation):
    noise = np.random.default_rng(1).normal(0, deviation, drawn.images.shape)
    assert right(as_bytes(drawn.images + noise), drawn.captions) < 0.1


@pytest.mark.parametrize(("width", "least", "most"), [(0.4, 0.998, 1), (1.5, 0, 0.03)])
def test_blur_fails(drawn, width, least, most):
    blurred = ndimage.gaussian_filter(drawn.images.astype(np.float32), (0, 0, width, width))
    assert least <= right(as_bytes(blurred), drawn.captions) <= most


def test_blends_and_pale_pictures_fail(drawn):
    x = drawn.images.astype(np.float32)
    for share in (0.5, 0.7):
        assert right(as_bytes(share * x + (1 - share) * x[::-1]), drawn.captions) < 0.04
    pale = 0.5 * x + 0.5 * x[:, :, :1, :1]
    assert right(as_bytes(pale), drawn.captions) < 0.05


def test_captions_of_other_scenes_fail(drawn):
    means = scenes.score(drawn.images, np.roll(drawn.captions, 1).tolist()).means()
    assert means["all"] < 0.01
    assert means["binding"] < 0.02
    assert 0.4 < means["background"] < 0.6


def wrong(drawn, picture, caption):
    """Return the scores that are false for a picture of one caption and the words of another."""
    i = drawn.captions.index(picture)
    scores = scenes.score(drawn.images[i : i + 1], caption)
    return {name for name in SCORES if not getattr(scores, name)[0]}


def test_each_score_measures_its_attribute():
    drawn = scenes.draw(20_000, split="any")
    captions = set(drawn.captions)
    single = "a small red circle at the top left on grey"
    assert single in captions
    for caption, expected in (
        (single, set()),
        (single.replace("grey", "black"), {"background"}),
        (single.replace("red", "green"), {"colour", "binding"}),
        (single.replace("circle", "ring"), {"shape", "binding"}),
        (single.replace("small", "large"), {"size", "binding"}),
        (single.replace("left", "right"), {"position"}),
        ("two small red circles on grey", {"count", "colour", "shape", "size", "binding"}),
    ):
        assert wrong(drawn, single, caption) == expected | ({"all"} if expected else set())


def test_relations_and_binding():
    """A pair of captions with the attributes swapped differs in binding, or in position."""
    drawn = scenes.draw(4000, split="any")
    specs = drawn.specifications
    pairs = np.flatnonzero((specs.kind == 1) & (specs.noun[:, 0] != specs.noun[:, 1]))
    pairs = pairs[specs.colour[pairs, 0] != specs.colour[pairs, 1]]
    arrays = {name: array.copy() for name, array in specs[pairs].stated().arrays().items()}
    said = scenes.Specifications(**arrays)
    images = drawn.images[pairs]
    said.colour[:, :2] = said.colour[:, 1::-1]
    swapped = scenes.score(images, said)
    assert swapped.colour.all()
    assert swapped.shape.all()
    assert not swapped.binding.any()
    assert not swapped.position.any()
    for name in ("noun", "size"):
        getattr(said, name)[:, :2] = getattr(said, name)[:, 1::-1]
    inverse = scenes.score(images, said)
    assert inverse.binding.all()
    assert not inverse.position.any()
    for name in ("noun", "size", "colour"):
        getattr(said, name)[:, :2] = getattr(said, name)[:, 1::-1]
    said.relation[:] = 1 - said.relation
    assert not scenes.score(images, said).position.any()


def test_pictures_without_objects_and_full_of_them():
    captions = ["two small red circles on black"] * 2
    empty = np.full((2, 3, 32, 32), 12, np.uint8)
    scores = scenes.score(empty, captions)
    assert scores.background.all()
    assert not scores.count.any()
    rows = np.arange(32)
    rows = rows[np.isin(rows % 6, (1, 2, 3)) & (rows < 30)]
    spots = empty.copy()
    spots[:, :, rows[:, None], rows] = 250
    assert len(scenes.read(spots).picture) == 2 * 25
    assert not scenes.score(spots, captions).all.any()


def test_scores_print_and_slice(drawn):
    scores = scenes.score(drawn.images[:30], drawn.captions[:30])
    assert repr(scores[:10]).startswith("<Scores of 10 pictures: background 100.0%")
    none = scenes.score(drawn.images[:0], [])
    assert len(none) == 0
    assert repr(none).startswith("<Scores of 0 pictures: background nan%")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 3, 32, 32)), r"\(2, 3, 32, 32\) of float64; pass bytes"),
        (np.zeros((2, 32, 32, 3), np.uint8), "has shape"),
        (np.zeros((2, 3, 32, 33), np.uint8), "has shape"),
        (np.zeros((2, 3, 8, 8), np.uint8), "side=8 must be from 16"),
        (np.zeros((3, 3, 32, 32), np.uint8), "2 captions for 3 images; pass one for each"),
    ],
)
def test_errors(images, message):
    with pytest.raises(ValueError, match=message):
        scenes.score(images, ["two small red circles on black"] * 2)


def test_tensors_are_read(drawn):
    torch = pytest.importorskip("torch")
    assert scenes.score(torch.from_numpy(drawn.images[:9]), drawn.captions[:9]).all.all()
