"""Scenes of digits, drawn from pictures of them, and read with a classifier."""

import numpy as np
import pytest

from unsup_fast import scenes
from unsup_fast.scenes._glyphs import resample

SEGMENTS = ("abcdef", "bc", "abdeg", "abcdg", "bcfg", "acdfg", "acdefg", "abc", "abcdefg", "abcdfg")
STROKES = {
    "a": np.s_[2:5, 6:18],
    "b": np.s_[2:13, 15:18],
    "c": np.s_[11:22, 15:18],
    "d": np.s_[19:22, 6:18],
    "e": np.s_[11:22, 6:9],
    "f": np.s_[2:13, 6:9],
    "g": np.s_[11:14, 6:18],
}


@pytest.fixture(scope="module")
def digits():
    """Return pictures [20, 28, 24] of two styles of each digit, as of seven segments."""
    images = np.zeros((20, 28, 24), np.uint8)
    for i, image in enumerate(images):
        for segment in SEGMENTS[i % 10]:
            image[STROKES[segment]] = 250 if i < 10 else 130
    images[10:] = np.roll(images[10:], (4, 3), axis=(1, 2))
    return images, np.arange(20) % 10


@pytest.fixture(scope="module")
def classify():
    """Return a classifier that compares with crops of single digits of other scenes."""

    def nearest(digits, side):
        seen = []

        def remember(crops):
            seen.append(crops)
            return np.zeros(len(crops), int)

        images, _, specs = scenes.draw(400, seed=9, side=side, digits=digits, split="any")
        one = specs.kind == 0
        scenes.read(images[one], classify=remember)
        known = np.concatenate(seen).reshape(one.sum(), -1)
        labels = specs.noun[one, 0] - 6

        def of(crops):
            assert crops.shape[1:] == (28, 28)
            assert crops.dtype == np.float32
            x = crops.reshape(len(crops), -1)
            squared = ((x[:, None] - known) ** 2).sum(axis=2)
            return labels[squared.argmin(axis=1)]

        return of

    return nearest


@pytest.mark.parametrize("side", [32, 64])
def test_clean_digits_are_all_right(digits, classify, side):
    images, captions, specs = scenes.draw(300, side=side, digits=digits, split="any")
    assert (specs.noun[specs.noun >= 0] >= 6).all()
    assert (specs.size == -1).all()
    scores = scenes.score(images, captions, classify=classify(digits, side))
    assert scores.all.all(), scores
    assert scenes.score(images, captions[::-1], classify=classify(digits, side)).all.mean() < 0.03
    pale = (0.5 * images + 0.5 * images[:, :, :1, :1]).astype(np.uint8)
    assert scenes.score(pale, captions, classify=classify(digits, side)).all.mean() < 0.1


def test_captions_and_shapes_together(digits, classify):
    of_digits = scenes.draw(20, side=48, digits=digits)
    of_shapes = scenes.draw(20, side=48)
    images = np.concatenate([of_digits.images, of_shapes.images])
    captions = of_digits.captions + of_shapes.captions
    assert scenes.score(images, captions, classify=classify(digits, 48)).all.all()
    with pytest.raises(ValueError, match="caption 0 names digits, and classify is None"):
        scenes.score(images, captions)


def test_a_scene_does_not_depend_on_its_batch_or_side(digits):
    whole = scenes.draw(60, seed=4, digits=digits, side=40)
    part = scenes.draw(20, seed=4, digits=digits, side=40, start=30)
    assert np.array_equal(part.images, whole.images[30:50])
    other = scenes.draw(60, seed=4, digits=digits, side=80)
    assert other.captions == whole.captions
    assert np.array_equal(other.specifications.glyph, whole.specifications.glyph)
    assert np.array_equal(scenes.render(whole.specifications, 40, digits=digits), whole.images)
    labels = digits[1][whole.specifications.glyph]
    is_there = whole.specifications.noun >= 0
    assert np.array_equal(labels[is_there] + 6, whole.specifications.noun[is_there])
    assert len(np.unique(whole.specifications.glyph[is_there])) > 15


def test_held_out_digits():
    random = np.random.default_rng(0).random((10, 8, 8))
    train = scenes.draw(2000, digits=(random, np.arange(10))).specifications
    held = scenes.draw(500, digits=(random, np.arange(10)), split="held").specifications

    def pairs(specs):
        is_there = specs.noun >= 0
        return set(zip(specs.noun[is_there].tolist(), specs.colour[is_there].tolist(), strict=True))

    out = {(6 + k, c) for k in range(10) for c in range(8) if (3 * k + 5 * c) % 8 == 3}
    assert len(out) == 10
    assert pairs(train) & out == set()
    assert len(pairs(train)) == 70
    assert pairs(held) >= out


def test_resampling_at_the_pixels_is_the_picture():
    ink = np.random.default_rng(0).random((2, 5, 7)).astype(np.float32)
    x = np.tile(np.arange(7, dtype=np.float32) + 0.5, (2, 1))
    y = np.tile(np.arange(5, dtype=np.float32) + 0.5, (2, 1))
    np.testing.assert_allclose(resample(ink, x, y), ink, rtol=1e-6)
    np.testing.assert_allclose(
        resample(ink, x[:, :-1] + 0.5, y), (ink[:, :, :-1] + ink[:, :, 1:]) / 2, rtol=1e-6
    )
    assert not resample(ink, x + 20, y).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: x, "digits is of type ndarray; pass a tuple"),
        (lambda x, y: (x[0], y), r"images \(28, 24\) of uint8; pass \[M, H, W\]"),
        (lambda x, y: (x, y[:3]), r"labels \(3,\) of int64; pass one integer"),
        (lambda x, y: (x, y / 2), "of float64; pass one integer"),
        (lambda x, y: (x, y + 1), "labels from 1 to 10; pass digits from 0 to 9"),
        (lambda x, y: (x[:7], y[:7]), "no image of seven, eight, nine; pass images of all ten"),
        (lambda x, y: (x * 0, y), "some of each image above 0"),
        (lambda x, y: (x - 1.0, y), "values from -1"),
    ],
)
def test_errors(digits, change, message):
    with pytest.raises((ValueError, TypeError), match=message):
        scenes.draw(2, digits=change(*digits))


def test_render_and_read_refuse_what_does_not_fit(digits):
    images, _, specs = scenes.draw(20, digits=digits)
    with pytest.raises(ValueError, match="name digits, and digits is None"):
        scenes.render(specs)
    with pytest.raises(ValueError, match=r"name image 1\d of digits, which has 10"):
        scenes.render(specs, digits=(digits[0][:10], digits[1][:10]))
    with pytest.raises(ValueError, match=r"classify returned int64 of shape \(3,\); it must"):
        scenes.read(images, classify=lambda crops: np.arange(3))
    with pytest.raises(ValueError, match="classify returned"):
        scenes.read(images, classify=lambda crops: np.full(len(crops), 10))
