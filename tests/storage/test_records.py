"""JSON files with a checksum."""

import json

import numpy as np
import pytest

from unsup_fast.storage import records
from unsup_fast.storage.records import DamagedError

RECORD = {"numbers": [1, 2.5, None], "name": "ü\n", "deep": {"a": {"b": []}}}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "record.json"
    records.write(path, RECORD, kind="test", what="the record")
    return path


def test_records_come_back(path):
    assert records.read(path, kind="test") == RECORD
    text = json.loads(path.read_text())
    assert list(text)[:4] == ["sha256", "format", "kind", "version"]
    assert {name: text[name] for name in RECORD} == RECORD


def test_every_bit_is_covered(path):
    content = path.read_bytes()
    for i in range(len(content)):
        changed = bytearray(content)
        changed[i] ^= 1 << (i % 8)
        path.write_bytes(changed)
        with pytest.raises(DamagedError, match="changed by hand"):
            records.read(path, kind="test")
    for changed in (content[:-1], content + b"\n", b"", b"{}", b"\xff" * 99):
        path.write_bytes(changed)
        with pytest.raises(DamagedError, match="changed by hand"):
            records.read(path, kind="test")


def test_another_kind(path):
    with pytest.raises(DamagedError, match="its content is of kind 'test', and 'other' is needed"):
        records.read(path, kind="other")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float64("nan")])
def test_numbers_that_json_cannot_hold(path, value):
    before = path.read_bytes()
    with pytest.raises(ValueError, match="cannot save the record: it holds NaN or an infinite"):
        records.write(path, {"x": [value]}, kind="test", what="the record")
    assert path.read_bytes() == before
    assert records.finite({"x": [value, 1.5], "y": (2,)}) == {"x": [None, 1.5], "y": [2]}
    assert records.finite([value], as_text=True) == [str(float(value))]


@pytest.mark.parametrize("text", ["[" * 10**6, "NaN", "[1e400]", "9" * 5000, "{"])
def test_json_that_is_refused(text):
    with pytest.raises(ValueError, match=r"\w"):
        records.loads(text)


def test_reasons_in_messages_are_short():
    error = DamagedError("m", "x " * 10**6)
    assert len(str(error)) < 600
    assert error.why.endswith("...")


def test_values_in_messages_are_short():
    for value in ("x" * 10**7, list(range(10**5)), 10**100, {"a": "y" * 1000}):
        assert len(records.shown(value)) <= 82
