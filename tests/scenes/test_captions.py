"""Captions say what scenes hold, and are read back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unsup_fast import scenes


@given(st.integers(0, 2**64 - 1), st.sampled_from(scenes.SPLITS))
def test_parse_returns_what_was_stated(seed, split):
    _, captions, specs = scenes.draw(20, seed=seed, split=split)
    expected = specs.stated().arrays()
    for name, array in scenes.parse(captions).arrays().items():
        if name == "wording":  # which captions of two equal objects, or of the middle, do not show
            continue
        assert np.array_equal(array, expected[name], equal_nan=array.dtype.kind == "f"), name
        assert array.dtype == expected[name].dtype


def test_captions_are_varied_sentences():
    captions = scenes.draw(4000).captions
    assert len(set(captions[:1000])) > 850
    vocabulary = {word for caption in captions for word in caption.split()}
    assert 35 <= len(vocabulary) <= 55
    assert not any(" a orange" in f" {caption}" for caption in captions)


@pytest.mark.parametrize(
    ("caption", "columns"),
    [
        (
            "A large orange  ring at the top left on GREY.",
            {"kind": 0, "n_objects": 1, "background": 1, "position": [0, -1, -1, -1], "size": [1]},
        ),
        (
            "a small red cross below a large blue square on black",
            {"kind": 1, "relation": 1, "noun": [1, 3, -1, -1], "colour": [2, 0, -1, -1]},
        ),
        (
            "four small white crosses on black",
            {"kind": 2, "n_objects": 4, "noun": [3, 3, 3, 3], "size": [0, 0, 0, 0]},
        ),
        (
            "two red sixes on grey",
            {"kind": 2, "n_objects": 2, "noun": [12, 12, -1, -1], "size": [-1] * 4},
        ),
        (
            "a red seven right of a blue two on grey",
            {"kind": 1, "relation": 0, "noun": [8, 13, -1, -1], "colour": [2, 0, -1, -1]},
        ),
        (
            "a green zero and an orange one on black",
            {"kind": 3, "relation": -1, "noun": [6, 7, -1, -1], "colour": [1, 6, -1, -1]},
        ),
    ],
)
def test_sentences(caption, columns):
    specs = scenes.parse(caption).arrays()
    for name, expected in columns.items():
        value = specs[name][0].tolist()
        assert value == expected or value[: len(expected)] == expected, name


@pytest.mark.parametrize(
    ("caption", "message"),
    [
        ("a tiny red circle in the middle on black", "'tiny' is none of its words"),
        ("a red circle in the middle on black", "with a size of every shape"),
        ("a small red seven in the middle on black", "without a size of digits"),
        ("a small red circle and a red seven on black", "is none of a scene"),
        ("a small red circle", "is none of a scene: write sentences such as"),
        ("five small red circles on black", "'five' is none|is none of a scene"),
        ("", "caption 1, '', is none of a scene"),
        ("word " * 100, r"word\.\.\.'|word '\.\.\.|is none of a scene"),
    ],
)
def test_other_sentences_are_refused(caption, message):
    with pytest.raises(ValueError, match=message) as error:
        scenes.parse(["two small red circles on black", caption])
    assert str(error.value).startswith("caption 1, ")
    assert len(str(error.value)) < 600
