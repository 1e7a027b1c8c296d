"""CSV files of many dialects, against the rows they were written from."""

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unsup_fast.blocks import DataError, _csv_head, _csv_text, source
from unsup_fast.blocks._csv_fields import records, unquoted

pytest.importorskip("pyarrow")


@pytest.fixture
def csv(tmp_path):
    """Return a function that opens text as a CSV file."""

    def opened(text, name="d.csv", **options):
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return source(tmp_path / name, **options)

    return opened


WRITTEN = {  # the rows [[1, 2.5], [3, 4.5]] of columns a and b
    "plain": ("a,b\n1,2.5\n3,4.5\n", {}),
    "no line end": ("a,b\n1,2.5\n3,4.5", {}),
    "crlf": ("a,b\r\n1,2.5\r\n3,4.5\r\n", {}),
    "cr": ("a,b\r1,2.5\r3,4.5\r", {}),
    "mark": (b"\xef\xbb\xbfa,b\n1,2.5\n3,4.5\n", {}),
    "blank first line": ("\n \na,b\n1,2.5\n3,4.5\n", {}),
    "blank lines": ("a,b\n\n1,2.5\n   \n\n3,4.5\n\n\n", {}),
    "semicolon": ("a;b\n1;2.5\n3;4.5\n", {}),
    "decimal comma": ("a;b\n1;2,5\n3;4,5\n", {}),
    "bar": ("a|b\n1|2.5\n3|4.5\n", {}),
    "tab": ("a\tb\n1\t2.5\n3\t4.5\n", {}),
    "other": ("a b\n1 2.5\n3 4.5\n", {"separator": " "}),
    "stated": ("a;b\n1;2.5\n3;4.5\n", {"separator": ";"}),
    "declared": ("sep=;\na;b\n1;2.5\n3;4.5\n", {}),
    "comments": ("# by hand\n#\na,b\n1,2.5\n3,4.5\n", {}),
    "commented names": ("# by hand\n# a,b\n1,2.5\n3,4.5\n", {}),
    "index": (",a,b\n0,1,2.5\n1,3,4.5\n", {}),
    "index again": ("Unnamed: 0,a,b\n0,1,2.5\n1,3,4.5\n", {}),
    "last separator": ("a,b,\n1,2.5,\n3,4.5,\n", {}),
    "quotes": ('"a","b"\n"1","2.5"\n"3","4.5"\n', {}),
    "spaces": ("a,b\n 1, 2.5\n 3, 4.5\n", {}),
    "text with line ends": ('t,a,b\n"x\n\ny, ""z",1,2.5\n"\n",3,4.5\n', {}),
    "quote in text": ('t,a,b\n5" pipe,1,2.5\n3" pipe,3,4.5\n', {}),
    "latin-1 text": (b"t,a,b\ncaf\xe9,1,2.5\nm\xe9l\xe9e,3,4.5\n", {}),
    "latin-1 name": (b"caf\xe9,a,b\nx,1,2.5\ny,3,4.5\n", {}),
}


@pytest.mark.parametrize("name", ["d.csv", "d.csv.gz", "d.tsv", "d.tsv.gz"])
@pytest.mark.parametrize("kind", WRITTEN)
def test_the_same_rows(csv, kind, name):
    text, options = WRITTEN[kind]
    rows = csv(text, name, **options)
    np.testing.assert_array_equal(rows.to_array(), [[1, 2.5], [3, 4.5]])
    assert rows.names == ("a", "b")
    assert rows.kind == "csv"


def test_what_is_left_out_is_noted(csv):
    def notes(text):
        rows = csv(text)
        assert rows.n_rows == 2
        return " ".join(rows.notes)

    assert "Blank lines were skipped" in notes("a,b\n1,2\n\n3,4\n")
    assert "Blank lines were skipped" in notes("a\n1\n3\n\n\n")
    assert "Blank lines at the top" in notes("\na,b\n1,2\n3,4\n")
    assert "A line of separators at the top" in notes(",\na,b\n1,2\n3,4\n")
    assert "begin with # were skipped" in notes("# x\na,b\n1,2\n3,4\n")
    assert "Left out the index of a pandas frame: Unnamed: 0" in notes(",a,b\n0,1,2\n1,3,4\n")
    assert "without values: e" in notes("a,e\n1,\n2,\n")
    assert "separated by ';'" in notes("a;b\n1;2\n3;4\n")
    assert "decimal comma" in notes("a;b\n1,5;2\n3;4\n")
    assert notes('t,a\n"x\n\ny",1\nz,2\n') == "Skipped columns that are not numbers: t."
    assert notes("a,b\n1,2\n3,4\n") == ""


def test_the_index_can_be_chosen_by_name(csv):
    rows = csv(",a\n7,1\n8,2\n", columns=["Unnamed: 0", "a"])
    np.testing.assert_array_equal(rows.to_array(), [[7, 1], [8, 2]])


REFUSED = {
    "short row": ("a,b\n1,2\n3\n", "Row #3: Expected 2 columns, got 1: 3"),
    "long row": ("a,b\n1,2\n3,4,5\n", "Row #3: Expected 2 columns, got 3: 3,4,5"),
    "row cut off": ("a,b,c\n1,2,3\n4,5", "Row #3: Expected 3 columns, got 2: 4,5"),
    "value cut off": ("a,b\n1,2\n3,", "row 1, column 'b' is missing"),
    "comment below": ("a,b\n1,2\n# c\n3,4\n", "Row #3: Expected 2 columns, got 1: # c"),
    "commented row": ("a,b\n1,2\n#3,4\n5,6\n", "row 1, column 'a' is '#3', not a number"),
    "blank line of one column": ("a\n1\n\n3\n", "row 1, column 'a' is missing"),
    "open quote": ('a,t\n1,x\n2,"y\n3,z\n', "a quote that opens a value is never closed"),
    "open quote at first": ('"a,b\n1,2\n', "a quote in the first line is not closed"),
    "utf-16": ("a,b\n1,2\n".encode("utf-16"), "is not UTF-8 text"),
    "utf-16 without a mark": ("a,b\n1,2\n".encode("utf-16-le"), "is not UTF-8 text"),
    "packed": (gzip.compress(b"a,b\n1,2\n"), "is packed by gzip; name it .csv.gz"),
    "hexadecimal": ("a\n1\n0x1F\n", "row 1, column 'a' is '0x1F', not a number"),
    "long row, Latin-1": ("a,b\n1,2\n\xe9,4,5\n".encode("latin-1"), "Row #3: Expected 2 columns"),
    "value, Latin-1": (
        "a,b\n1,2\n3\xb0,4\n".encode("latin-1"),
        "row 1, column 'a' is '3°', not a n",
    ),
    "no-break space": ("a,b\n1,2\n\xa03,4\n", r"row 1, column 'a' is '\xa03', not a number"),
    "only a mark": (b"\xef\xbb\xbf", "is empty"),
    "only blank": ("\n \n", "is empty"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(csv, kind):
    text, said = REFUSED[kind]
    with pytest.raises(DataError) as error:
        csv(text).to_array()
    assert said in str(error.value)


def test_damaged_gzip(tmp_path):
    packed = gzip.compress(b"a,b\n" + b"1,2\n" * 1000)
    for data in (packed[:-20], b"a,b\n1,2\n"):
        (tmp_path / "d.csv.gz").write_bytes(data)
        with pytest.raises(DataError, match=r"d\.csv\.gz: is not a \.gz file, or is truncated"):
            source(tmp_path / "d.csv.gz").to_array()


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_text_that_is_not_utf8(csv, monkeypatch):
    """Letters of several bytes are cut anywhere, and Latin-1 stands between them."""
    text = "".join(f"{i},{'é€x'[i % 3 :]}\n" for i in range(30)).encode()
    text = b"a,t\n" + text.replace(b"29,", b"x,\xe9\xff")
    for step in (1, 2, 5, 1 << 20):
        monkeypatch.setattr(_csv_text, "STEP", step)
        with pytest.raises(DataError, match="row 29, column 'a' is 'x', not a number"):
            csv(text, columns=["a"]).to_array()
        assert csv(text.replace(b"x,\xe9", b"2,\xe9")).to_array().shape == (30, 1)
        with pytest.raises(DataError, match="row 0, column 't' is 'é€x', not a number"):
            csv(text, columns=["t"])
        with pytest.raises(DataError, match="Row #32: Expected 2 columns, got 1: éÿ"):
            csv(text + b"\xe9\xff\n").to_array()


def test_a_row_without_values_is_one_where_no_names_follow(csv):
    rows = csv(",\n1,2\n3,4\n", missing="drop")
    np.testing.assert_array_equal(rows.row_indices, [1, 2])
    rows = csv(",\na,b\n1,2\n3,4\n", header=True)
    assert rows.names == ("a", "b")


def test_decimal_commas_after_many_integers(csv):
    rows = csv("a;b\n" + "0;7\n" * 150 + "1,5;-2,25\n")
    np.testing.assert_array_equal(rows.to_array()[-1], [1.5, -2.25])
    with pytest.raises(DataError, match="'1,5', not a number"):
        csv("a;b\n" + "0;7\n" * 150 + "1.5;1\n1,5;2\n")


@pytest.mark.parametrize("word", ["", "NA", "NaN", "null", "?", "None", "<NA>", " ?", " NA", " "])
@pytest.mark.parametrize("late", [False, True])
def test_missing_values_are_missing_wherever_they_stand(csv, word, late, monkeypatch):
    monkeypatch.setattr(_csv_head, "SAMPLE", 64)
    rows = [f"{i},{i}" for i in range(60)]
    where = 55 if late else 0
    rows[where] = f"7,{word}"
    with pytest.raises(DataError, match=f"row {where}, column 'b' is missing"):
        csv("\n".join(["a,b", *rows])).to_array()


@pytest.mark.parametrize(("value", "names"), [("1.5", "missing"), ("x", ("a",)), ("", ("a",))])
def test_a_column_that_begins_empty(csv, value, names, monkeypatch):
    """It is of numbers, of text or empty by the first value, however far below."""
    monkeypatch.setattr(_csv_head, "SAMPLE", 64)
    monkeypatch.setattr(_csv_head, "SMALLEST_BLOCK", 128)
    text = "a,b\n" + "1,\n" * 200 + f"1,{value}\n" * 3
    if names == "missing":
        with pytest.raises(DataError, match="row 0, column 'b' is missing"):
            csv(text).to_array()
    else:
        rows = csv(text)
        assert rows.names == names
        assert rows.shape == (203, 1)


def test_rows_that_are_longer_than_a_block(csv, monkeypatch):
    monkeypatch.setattr(_csv_head, "SMALLEST_BLOCK", 64)
    monkeypatch.setattr(_csv_head, "ROWS_OF_BLOCK", 1)
    texts = ["x", "y\n" * 400, "z", '""' * 3000, *["x"] * 30, "," * 900]
    lines = [f'"{text}",{i}' for i, text in enumerate(texts)]
    rows = csv("\n".join(["t,a", *lines]), chunk_size=7)
    np.testing.assert_array_equal(rows.to_array()[:, 0], np.arange(len(texts)))
    np.testing.assert_array_equal(rows.take([34, 1])[:, 0], [34, 1])


def test_many_columns(csv):
    X = np.random.default_rng(0).random((5, 3000)).round(6)
    text = "\n".join([",".join(f"c{j}" for j in range(3000)), *(",".join(map(str, x)) for x in X)])
    np.testing.assert_array_equal(csv(text).to_array(), X)
    np.testing.assert_array_equal(csv(text, columns=["c2999", "c5"]).to_array(), X[:, [2999, 5]])


def test_arguments(csv, tmp_path):
    with pytest.raises(ValueError, match="separator=';;' is not one character"):
        csv("a;b\n", separator=";;")
    with pytest.raises(ValueError, match="header and separator are for CSV files"):
        source(np.eye(2), header=True)
    np.save(tmp_path / "x.npy", np.eye(2))
    with pytest.raises(DataError, match=r"--header is for \.csv and \.tsv; this is a \.npy file"):
        source(tmp_path / "x.npy", header=False)


FIELD = st.text(st.sampled_from('ab1,;" \n'), max_size=6)


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(st.lists(FIELD, min_size=2, max_size=2), min_size=1, max_size=6))
def test_records_are_those_of_the_csv_module(rows):
    import csv as csv_module
    from io import StringIO

    text = StringIO()
    csv_module.writer(text, lineterminator="\n", quoting=csv_module.QUOTE_ALL).writerows(rows)
    actual = list(records(text.getvalue(), 0, ",", at_end=True))
    assert [[unquoted(field) for field in record.fields] for record in actual] == rows
    assert actual[-1].end == len(text.getvalue())


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(st.tuples(FIELD, st.integers(0, 99)), min_size=1, max_size=30),
    block=st.integers(40, 200),
)
def test_no_row_is_lost_or_gained(tmp_path_factory, rows, block):
    import csv as csv_module

    path = tmp_path_factory.mktemp("rows") / "d.csv"
    with path.open("w", newline="") as file:
        writer = csv_module.writer(file, lineterminator="\n")
        writer.writerows([("text", "a"), *rows])
    before = _csv_head.SMALLEST_BLOCK
    try:
        _csv_head.SMALLEST_BLOCK = block
        numbers = source(path, columns=["a"], chunk_size=7).to_array()
    finally:
        _csv_head.SMALLEST_BLOCK = before
    np.testing.assert_array_equal(numbers[:, 0], [number for _, number in rows])
