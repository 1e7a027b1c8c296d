"""Pictures in Parquet files, with and without the metadata of Hugging Face's `datasets`."""

import json

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("PIL")

from unsup_fast import pictures  # noqa: E402
from unsup_fast.blocks import DataError  # noqa: E402

LABELS = [2, 0, 2, 1, 0, 2, 1]
NAMES = ["zebra", "ant", "bee"]


@pytest.fixture
def rows(colours, encode):
    return [{"bytes": encode(picture), "path": f"{i}.png"} for i, picture in enumerate(colours)]


def written(path, columns, names=None, group=3):
    table = pa.table(columns)
    if names is not None:
        features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
        table = table.replace_schema_metadata(metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path, row_group_size=group)
    return path


def same(actual, colours, labels, classes):
    np.testing.assert_array_equal(actual.pixels, colours.transpose(0, 3, 1, 2))
    assert actual.classes == classes
    if labels is None:
        assert actual.labels is None
    else:
        assert actual.labels.dtype == np.int64
        np.testing.assert_array_equal(actual.labels, labels)


def test_a_data_set(tmp_path, rows, colours):
    path = written(tmp_path / "x.parquet", {"image": rows, "label": LABELS}, NAMES)
    seen = []
    actual = pictures.load(path, progress=lambda *at: seen.append(at))
    same(actual, colours, LABELS, tuple(NAMES))
    assert (actual.name, actual.skipped, seen[-1]) == (str(path), [], (7, 7))


def test_several_files_in_a_folder(tmp_path, rows, colours):
    columns = {"image": rows, "label": LABELS}
    for part, rows_of in (("1", slice(4, 7)), ("0", slice(0, 4))):
        few = {name: values[rows_of] for name, values in columns.items()}
        written(tmp_path / "data" / f"train-{part}.parquet", few, NAMES)
    (tmp_path / ".cache.parquet").write_bytes(b"")
    same(pictures.load(tmp_path), colours, LABELS, tuple(NAMES))


def test_a_folder_of_pictures_and_a_table(tmp_path, rows):
    written(tmp_path / "x.parquet", {"image": rows})
    (tmp_path / "a.png").write_bytes(rows[0]["bytes"])
    assert len(pictures.load(tmp_path).pixels) == 1


@pytest.mark.parametrize("kind", ["integers", "text", "dictionary", "large text"])
def test_kinds_of_labels(tmp_path, rows, colours, kind):
    text = pa.array([NAMES[i] for i in LABELS])
    labels = {
        "integers": pa.array(LABELS, pa.int8()),
        "text": text,
        "dictionary": text.dictionary_encode(),
        "large text": text.cast(pa.large_string()),
    }[kind]
    path = written(tmp_path / "x.parquet", {"img": rows, "fine": labels, "i": range(7)})
    same(pictures.load(path), colours, None, ())
    if kind == "integers":
        expected = LABELS, ("0", "1", "2")
    else:
        expected = [(2, 0, 1)[i] for i in LABELS], ("ant", "bee", "zebra")
    same(pictures.load(path, label_key="fine"), colours, *expected)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_columns_of_bytes(tmp_path, rows, colours, kind):
    files = pa.array([row["bytes"] for row in rows], kind)
    columns = {"text": ["a"] * 7, "jpg": files, "mask": files, "class": LABELS}
    path = written(tmp_path / "x.parquet", columns)
    for key in (None, "jpg", "mask"):
        same(pictures.load(path, key=key), colours, LABELS, ("0", "1", "2"))


def test_rows_without_pictures_are_left_out(tmp_path, rows, colours):
    rows[1] = None
    rows[3]["bytes"] = None
    rows[6]["bytes"] = b"no picture"
    path = written(tmp_path / "x.parquet", {"image": rows, "label": LABELS}, NAMES)
    with pytest.warns(
        UserWarning, match=r"3 of 7 files .* row 1 \(has no bytes\); row 3"
    ) as caught:
        actual = pictures.load(path)
    assert caught[0].filename == __file__
    same(actual, colours[[0, 2, 4, 5]], [2, 2, 0, 2], tuple(NAMES))
    assert actual.skipped[2] == "row 6 (is no picture)"


@pytest.mark.parametrize("missing", [None, -1])
def test_no_row_has_a_label(tmp_path, rows, colours, missing):
    labels = pa.array([missing] * 7, pa.int64())
    path = written(tmp_path / "x.parquet", {"image": rows, "label": labels}, NAMES)
    same(pictures.load(path), colours, None, ())


@pytest.mark.parametrize(
    "metadata", [b"", b"{", b"[]", b"[" * 10**5, b'{"info": {"features": [1]}}', b"\xff"]
)
def test_metadata_that_says_nothing(tmp_path, rows, colours, metadata):
    table = pa.table({"image": rows, "label": LABELS})
    table = table.replace_schema_metadata({b"huggingface": metadata})
    parquet.write_table(table, tmp_path / "x.parquet")
    same(pictures.load(tmp_path / "x.parquet"), colours, LABELS, ("0", "1", "2"))


LABEL = {"label_key": "label"}
BAD = {
    "no pictures": ({"image": list("abcdefg")}, {}, "no column of pictures .* only image"),
    "key": ({"image": LABELS}, {"key": "x"}, "has no column 'x'; it has image"),
    "kind": ({"a": LABELS}, {"key": "a"}, "column 'a' holds int64, not pictures"),
    "label_key": ({"image": [b""] * 7}, {"label_key": "x"}, "has no column 'x'; it has image"),
    "no rows": ({"image": pa.array([], pa.binary())}, {}, "has no rows"),
    "none read": ({"image": [b""] * 7}, {}, r"no picture could be read \(row 0 \(is no picture"),
    "few labels": (
        {"image": [b""] * 7, "label": [1, None, 0, 0, 0, 0, 0]}, LABEL, "lacks 1 of 7 labels",
    ),
    "outside": (
        {"image": [b""] * 7, "label": [0, 1, 3, 0, 0, 0, 0]}, LABEL, "row 2 is 3, and there are 3",
    ),
    "lists": ({"image": [b""] * 7, "label": [[1]] * 7}, LABEL, "labels are integers or text"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_tables(tmp_path, name):
    columns, options, message = BAD[name]
    path = written(tmp_path / "x.parquet", columns, NAMES)
    with pytest.raises(DataError, match=message):
        pictures.load(path, **options)


def test_files_that_differ(tmp_path, rows):
    written(tmp_path / "a.parquet", {"image": rows})
    written(tmp_path / "b.parquet", {"image": rows, "label": LABELS})
    with pytest.raises(DataError, match=r"b.parquet: has other columns than a.parquet"):
        pictures.load(tmp_path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_damaged_files(tmp_path, rows, share):
    path = written(tmp_path / "x.parquet", {"image": rows, "label": LABELS})
    content = bytearray(path.read_bytes())
    at = int(len(content) * share)
    path.write_bytes(content[:at])
    with pytest.raises(
        DataError, match=r"x.parquet: is not a Parquet file, or is truncated"
    ) as one:
        pictures.load(path)
    assert "\n" not in str(one.value)
