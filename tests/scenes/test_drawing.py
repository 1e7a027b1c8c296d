"""Scenes follow from seed and index alone, at any resolution, and splits hold what they say."""

import itertools

import numpy as np
import pytest

from unsup_fast import scenes
from unsup_fast.scenes._drawing import coverage
from unsup_fast.scenes._philox import words
from unsup_fast.scenes._vocabulary import GROUNDS, PALETTE, RADII


def equal(one, other):
    return all(
        np.array_equal(array, other.arrays()[name], equal_nan=array.dtype.kind == "f")
        for name, array in one.arrays().items()
    )


def philox(counter, key):
    """Return the four words of a counter, as the paper's algorithm says, in plain integers."""
    a, b, c, d = counter
    for i in range(10):
        left, right = a * 0xD2511F53, c * 0xCD9E8D57
        k0, k1 = (
            (k + i * w) & 0xFFFFFFFF for k, w in zip(key, (0x9E3779B9, 0xBB67AE85), strict=True)
        )
        a, b, c, d = (
            (right >> 32) ^ b ^ k0,
            right & 0xFFFFFFFF,
            (left >> 32) ^ d ^ k1,
            left & 0xFFFFFFFF,
        )
    return [a, b, c, d]


def test_random_words_are_those_of_philox():
    """The first row is a known answer of Random123, Philox4x32-10 of zeros."""
    assert words(0, np.zeros(1, np.uint64), 4).tolist() == [
        [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    ]
    seed, samples = 0xA4093822299F31D0, np.array([0, 5, 2**32 + 7, 2**62], np.uint64)
    key = (seed % 2**32, seed >> 32)
    expected = [
        [word for block in (0, 1) for word in philox((block, 0, i % 2**32, i >> 32), key)]
        for i in samples.tolist()
    ]
    assert words(seed, samples, 8).tolist() == expected


@pytest.mark.parametrize("split", scenes.SPLITS)
def test_a_scene_does_not_depend_on_its_batch(split):
    whole = scenes.draw(300, seed=7, split=split)
    for start, n in ((0, 1), (0, 17), (41, 100), (299, 1)):
        part = scenes.draw(n, seed=7, split=split, start=start)
        rows = slice(start, start + n)
        assert np.array_equal(part.images, whole.images[rows])
        assert part.captions == whole.captions[rows]
        assert equal(part.specifications, whole.specifications[rows])


def test_a_scene_does_not_depend_on_the_side():
    small, large = scenes.draw(50, seed=3, side=24), scenes.draw(50, seed=3, side=96)
    assert small.captions == large.captions
    assert equal(small.specifications, large.specifications)
    averaged = large.images.reshape(50, 3, 24, 4, 24, 4).mean(axis=(3, 5))
    difference = np.abs(averaged - small.images)
    assert difference.max() < 70  # corners, where coverage is of first order
    assert difference.mean() < 0.5


def test_seeds_differ_and_far_indices_are_allowed():
    images = [scenes.draw(20, seed=seed).images for seed in (0, 1, 2**64 - 1)]
    assert not any(np.array_equal(a, b) for a, b in itertools.combinations(images, 2))
    assert scenes.draw(2, start=2**62).images.shape == (2, 3, 32, 32)
    assert scenes.draw(0).images.shape == (0, 3, 32, 32)


def test_splits_have_their_combinations():
    assert len(scenes.HELD) == 6
    assert {shape for _, shape in scenes.HELD} == set(scenes.SHAPES)
    assert len({colour for colour, _ in scenes.HELD}) == 6

    def combinations(split):
        specs = scenes.draw(4000, split=split).specifications
        return [
            {
                (scenes.COLOURS[c], scenes.SHAPES[s])
                for c, s in zip(colours, nouns, strict=True)
                if s >= 0
            }
            for colours, nouns in zip(specs.colour.tolist(), specs.noun.tolist(), strict=True)
        ]

    every = set(itertools.product(scenes.COLOURS, scenes.SHAPES))
    assert set().union(*combinations("train")) == every - scenes.HELD
    held = combinations("held")
    assert all(each & scenes.HELD for each in held)
    assert set().union(*held) == every
    assert set().union(*combinations("any")) == every


def test_kinds_and_attributes_are_as_frequent_as_documented():
    specs = scenes.draw(20_000, split="any").specifications
    for k, share in enumerate((0.35, 0.35, 0.2, 0.1)):
        assert abs((specs.kind == k).mean() - share) < 0.015
    for array, n in (
        (specs.background, 2),
        (specs.noun[:, 0], 6),
        (specs.colour[:, 0], 8),
        (specs.size[:, 0], 2),
        (specs.position[specs.kind == 0, 0], 5),
        (specs.relation[specs.kind == 1], 2),
        (specs.n_objects[specs.kind == 2] - 2, 3),
    ):
        shares = np.bincount(array, minlength=n) / len(array)
        assert len(shares) == n
        assert np.abs(shares - 1 / n).max() < 0.02
    pair = specs[(specs.kind == 1) | (specs.kind == 3)]
    assert not (
        (pair.noun[:, 0] == pair.noun[:, 1]) & (pair.colour[:, 0] == pair.colour[:, 1])
    ).any()


def test_pixels_are_those_of_a_loop():
    """Each picture is drawn object by object over the whole picture in float64."""
    side = 33
    images, _, specs = scenes.draw(60, seed=5, side=side)
    points = np.arange(side) + 0.5
    for i in range(len(specs)):
        picture = np.empty((3, side, side))
        picture[:] = GROUNDS[specs.background[i]][:, None, None]
        for k in range(specs.n_objects[i]):
            x = points[None, :] - float(specs.x[i, k]) * side
            y = points[:, None] - float(specs.y[i, k]) * side
            r = np.float64(RADII[specs.size[i, k]] * np.float32(side))
            cover = coverage(specs.noun[i, k], x, y, r)
            picture = picture * (1 - cover) + PALETTE[specs.colour[i, k]][:, None, None] * cover
        assert np.abs(np.rint(picture) - images[i]).max() <= 1


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        ("circle", np.pi),
        ("square", 4 * 0.88**2),
        ("triangle", 0.75 * 3**0.5 * 1.2**2),
        ("cross", 4 * 1.05 * 0.36 * 2 - 4 * 0.36**2),
        ("ring", np.pi * (1 - 0.4**2)),
        ("diamond", 2 * 1.15**2),
    ],
)
def test_coverage_has_the_area_and_the_centre_of_the_shape(shape, area):
    r, points = 60.0, np.arange(-100, 100) + 0.5
    x, y = points[None, :], points[:, None]
    cover = coverage(scenes.SHAPES.index(shape), x, y, np.float64(r))
    assert cover.sum() == pytest.approx(area * r * r, rel=3e-3)
    assert abs((cover * x).sum() / cover.sum()) < 1e-6
    assert abs((cover * y).sum() / cover.sum()) < 0.1


def test_objects_keep_two_pixels_between_them():
    """No pixel has two objects, and no two objects have neighbouring pixels."""
    from scipy import ndimage

    for side in (24, 32):
        images, _, specs = scenes.draw(3000, seed=11, side=side, split="any")
        ground = images[:, :, :1, :1]
        for mask, n in zip((images != ground).any(axis=1), specs.n_objects, strict=True):
            assert ndimage.label(mask, np.ones((3, 3)))[1] == n


def test_render_repeats_the_images():
    images, _, specs = scenes.draw(40, seed=2, side=48)
    assert np.array_equal(scenes.render(specs, 48), images)
    assert np.array_equal(scenes.render(specs[10:20], 48), images[10:20])
    again = scenes.Specifications.of(specs.arrays())
    assert np.array_equal(scenes.render(again, 48), images)
    assert repr(specs) == "<Specifications of 40 scenes>"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": -1}, "n=-1 must be from 0"),
        ({"n": 1.5}, r"n=1\.5 is no whole number"),
        ({"n": True}, "n=True is no whole number"),
        ({"seed": 2**64}, "seed=18446744073709551616 must be from 0 to 18446744073709551615"),
        ({"start": -1}, "start=-1 must be"),
        ({"split": "test"}, "split='test' is not one of train, held, any"),
        ({"side": 15}, "side=15 must be from 16 to 1024"),
        ({"side": "32"}, "side='32' is no number of pixels"),
    ],
)
def test_errors_say_what_is_allowed(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        scenes.draw(**{"n": 2, **arguments})


def test_render_refuses_what_it_cannot_draw():
    with pytest.raises(ValueError, match="lack coordinates"):
        scenes.render(scenes.parse("a small red circle in the middle on black"))
    arrays = scenes.draw(2).specifications.arrays()
    del arrays["kind"]
    with pytest.raises(ValueError, match="specifications lack kind; pass kind, background"):
        scenes.Specifications.of(arrays)
