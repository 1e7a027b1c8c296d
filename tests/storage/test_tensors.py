"""Files of tensors: nothing lost, nothing wrong read, and nothing allocated by a forged size."""

import hashlib
import json
import os
import stat
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unsup_fast.storage import records, tensors
from unsup_fast.storage.records import DamagedError

safetensors_numpy = pytest.importorskip("safetensors.numpy")

NOTE = {"text": 'quoted "ü"', "numbers": [1, 0.1, None], "empty": {}}
SHAPES = [(), (0,), (1,), (17,), (3, 0, 2), (2, 3, 5)]
NUMPY = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]


def write(path, arrays, note=NOTE):
    tensors.write(path, arrays, note, kind="test", what="the file")


def read(path, **options):
    return tensors.read(path, kind="test", **options)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.safetensors"


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "file"
    write(path, {"a": np.arange(7, dtype=np.int16), "b": np.eye(3), "c": np.zeros((0, 2))})
    return path.read_bytes()


def test_arrays_of_all_types_come_back(path):
    random = np.random.default_rng(0)
    arrays = {
        f"{kind}{shape}": random.integers(0, 100, shape).astype(kind)
        for kind in NUMPY
        for shape in SHAPES
    }
    cube = random.random((2, 3, 4))
    arrays |= {"transposed": cube.T, "strided": cube[..., ::2], "swapped": cube.astype(">f8")}
    arrays["odd"] = np.array([np.nan, np.inf, -0.0])
    write(path, arrays)
    actual, note = read(path)
    assert note == NOTE
    for other in (actual, safetensors_numpy.load_file(path)):
        assert other.keys() == arrays.keys()
        for name, array in arrays.items():
            assert other[name].dtype == array.dtype.newbyteorder("=")
            np.testing.assert_array_equal(other[name], array, err_msg=name)
            assert other[name].shape == array.shape


def test_tensors_of_all_types_come_back(path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    names = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8"]
    draw = torch.Generator().manual_seed(0)
    by_name = {
        f"{name}{shape}": torch.randint(-100, 100, shape, generator=draw).to(getattr(torch, name))
        for name in [*names, "uint8", "bool"]
        for shape in SHAPES
    }
    image = torch.randn(2, 3, 4, 5)
    by_name |= {"transposed": image.mT, "strided": image[..., ::2], "tied": image, "again": image}
    by_name["channels_last"] = image.to(memory_format=torch.channels_last)
    by_name["parameter"] = torch.nn.Parameter(image)
    by_name["odd"] = torch.tensor([float("nan"), float("inf"), -0.0])
    write(path, by_name)
    for other in (read(path, torch=True)[0], load_file(path)):
        assert other.keys() == by_name.keys()
        for name, value in by_name.items():
            torch.testing.assert_close(
                other[name], value.detach(), rtol=0, atol=0, equal_nan=True, msg=name
            )
    with pytest.raises(DamagedError, match="NumPy has no bfloat16"):
        read(path)


def test_what_the_header_says(path):
    write(path, {"a": np.ones(3)})
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    meta = json.loads(content[8 : 8 + size])["__metadata__"]
    assert meta["data_sha256"] == hashlib.sha256(np.ones(3).tobytes()).hexdigest()
    assert json.loads(meta["unsup_fast"]) == {
        "format": "unsup_fast",
        "kind": "test",
        "version": 1,
        **NOTE,
    }
    assert tensors.read_note(path, kind="test") == NOTE


@pytest.mark.parametrize("array", [np.ones(1, complex), np.array(["a"]), np.ones(1, "M8[s]")])
def test_types_without_a_name(path, array):
    with pytest.raises(TypeError, match=r"x is of .*, which the file cannot hold"):
        write(path, {"x": array})
    assert not path.exists()


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_numbers_that_json_cannot_hold(path, value):
    with pytest.raises(ValueError, match="cannot save the file: it holds NaN or an infinite"):
        write(path, {}, {"deep": [{"x": value}]})
    assert not path.exists()


def test_permissions_follow_the_umask(path):
    before = os.umask(0o022)
    try:
        write(path, {})
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert read(path) == ({}, NOTE)


def test_every_bit_is_covered(path, content):
    for i in range(len(content)):
        changed = bytearray(content)
        changed[i] ^= 1 << (i % 8)
        path.write_bytes(changed)
        with pytest.raises(DamagedError, match="cannot load"):
            read(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cut=st.floats(0, 1, exclude_max=True), more=st.binary(min_size=1, max_size=9))
def test_lost_and_added_bytes_are_refused(path, content, cut, more):
    for changed in (content[: int(cut * len(content))], content + more, more + content):
        path.write_bytes(changed)
        with pytest.raises(DamagedError, match="cannot load"):
            read(path)


def test_another_kind_or_version(path, monkeypatch):
    write(path, {})
    with pytest.raises(DamagedError, match="its content is of kind 'test', and 'other' is needed"):
        tensors.read(path, kind="other")
    monkeypatch.setattr(records, "VERSION", 2)
    with pytest.raises(DamagedError, match="format version 1, and this unsup_fast reads version 2"):
        read(path)


def entry(**changes):
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}


STAMP = {"format": "unsup_fast", "kind": "test", "version": 1}
ENTRIES = [
    [],
    None,
    "text",
    {},
    entry(dtype="F99"),
    entry(dtype=["F32"]),
    entry(dtype=None),
    entry(shape=[-2]),
    entry(shape=[2.0]),
    entry(shape=[True, 2]),
    entry(shape="2"),
    entry(shape=[1 << 61]),
    entry(shape=[1 << 62, 4], data_offsets=[0, 0]),
    entry(shape=[1 << 40], data_offsets=[0, 1 << 42]),
    entry(shape=[10**400]),
    entry(shape=[1] * 33 + [2]),
    entry(data_offsets=[8, 0]),
    entry(data_offsets=[0, 4]),
    entry(data_offsets=[0]),
    entry(data_offsets=[-8, 0]),
    entry(data_offsets=["0", "8"]),
    entry(data_offsets={"0": 0, "8": 8}),
    entry(shape=[3], data_offsets=[0, 12]),
    entry(shape=[1], data_offsets=[4, 8]),
    entry(shape=[0, 1 << 62, 1 << 62], data_offsets=[0, 0]),
]


@pytest.mark.parametrize("forged", ENTRIES, ids=str)
def test_forged_entries_end_in_one_line(path, sealed, forged):
    path.write_bytes(
        sealed({"__metadata__": {"unsup_fast": json.dumps(STAMP)}, "a": forged}, b"8 bytes!")
    )
    tracemalloc.start()
    with pytest.raises(DamagedError, match="cannot load") as caught:
        read(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_overlapping_tensors(path, sealed):
    header = {"__metadata__": {"unsup_fast": json.dumps(STAMP)}, "a": entry(), "b": entry()}
    path.write_bytes(sealed(header, b"8 bytes!"))
    with pytest.raises(DamagedError, match="its header is not valid"):
        read(path)


@pytest.mark.parametrize(
    "note",
    [
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        json.dumps({**STAMP, "version": 10**300}),
        json.dumps({**STAMP, "version": "9" * 10**6}),
        json.dumps({**STAMP, "kind": "k" * 10**6}),
        json.dumps(STAMP)[:-1] + ', "x": NaN}',
        json.dumps(STAMP)[:-1] + ', "x": -Infinity}',
        json.dumps(STAMP)[:-1] + ', "x": 1e999}',
        json.dumps(STAMP)[:-1] + f', "x": {"9" * 5000}}}',
        "[1]",
        "1",
        "",
        "\\ud800",
    ],
    ids=range(13),
)
def test_forged_notes_end_in_one_line(path, sealed, note):
    path.write_bytes(sealed({"__metadata__": {"unsup_fast": note}}))
    with pytest.raises(DamagedError, match="cannot load") as caught:
        read(path)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("meta", [{}, {"unsup_fast": 3}, {"unsup_fast": None}])
def test_forged_metadata(path, sealed, meta):
    path.write_bytes(sealed({"__metadata__": meta}))
    with pytest.raises(DamagedError, match="its header is not valid"):
        read(path)


def test_headers_of_any_length(path):
    for size in (0, 1, 2, 8, 1 << 20, 1 << 62, (1 << 64) - 1):
        path.write_bytes(size.to_bytes(8, "little") + b"{" * 100)
        with pytest.raises(DamagedError, match=r"\.safetensors file"):
            read(path)
