"""Whether the first line of a CSV file holds names, as those who wrote the files meant it."""

import numpy as np
import pytest

from unsup_fast.blocks import source

pytest.importorskip("pyarrow")
RANDOM = np.random.default_rng(0)


def lines(X, header=None, form="%.6f"):
    rows = [",".join(form % value for value in row) for row in X]
    return "\n".join([*([header] if header is not None else []), *rows, ""])


FRACTIONS, COUNTS = RANDOM.random((30, 3)), RANDOM.integers(5, 100, (30, 3))
WIDE = RANDOM.integers(0, 9, (12, 40))
IRIS = "5.1,3.5,1.4,0.2,Iris-setosa\n4.9,3.0,1.4,0.2,Iris-setosa\n4.7,3.2,1.3,0.2,Iris-setosa\n"
ADULT = "39, State-gov, 77516, 13\n50, Private, 83311, 13\n38, Private, 215646, 9\n"
NUMBERED = ",".join(map(str, range(40)))

NAMES = {
    "text": lines(FRACTIONS, "a,b,c"),
    "text over integers": lines(COUNTS, "a,b,c", "%d"),
    "one column": lines(FRACTIONS[:, :1], "a"),
    "underscores": lines(COUNTS, "1_2,3_4,5_6", "%d"),
    "pandas": lines(FRACTIONS, "0,1,2"),
    "pandas, integers": lines(COUNTS, "0,1,2", "%d"),
    "pandas, digits": lines(WIDE, NUMBERED, "%d"),
    "pandas, one row": lines(FRACTIONS[:1], "0,1,2"),
    "pandas, arange": lines(np.arange(12).reshape(4, 3), "0,1,2", "%d"),
    "years": lines(FRACTIONS, "1990,1991,1992"),
    "years over counts": lines(COUNTS, "1990,1991,1992", "%d"),
    "every fifth year": lines(FRACTIONS, "1990,1995,2000"),
    "every fifth year over counts": lines(COUNTS, "1990,1995,2000", "%d"),
    "falling years over counts": lines(COUNTS, "2021,2020,2019", "%d"),
    "quoted numbers": lines(COUNTS, '"7","3","5"', "%d"),
    "name and years": "name,2019,2020\nRome,5,7\nParis,4,4\nOslo,9,1\n",
    "name and numbers": "name,0,1\nx,0.5,0.25\ny,0.75,0.5\n",
    "id and wavelengths": "id,400.5,401,401.5\n1,0.1,0.2,0.3\n2,0.3,0.2,0.1\n",
    "pandas, index": ",0,1\n0,1,7\n1,2,8\n2,3,3\n3,4,1\n",
    "pandas, dates": ",0,1\n2020-01-01,0.5,7.5\n2020-01-02,2.5,8.5\n",
    "wavelengths": lines(FRACTIONS, "400.5,401.5,402.5"),
    "wavelengths of samples": "id,400.5,401.5,402.5\n" + "s1,.1,.2,.3\ns2,.2,.1,.4\ns3,.3,.1,.2\n",
    "missing below": "a,b\n,1\n,2\n3,4\n",
}
DATA = {
    "fractions": lines(FRACTIONS),
    "rising fractions, decimal comma": "0,5;1,5;2,5\n0,1;1,2;9,5\n0,2;0,2;3,5\n0,4;4,2;5,5\n",
    "rising fractions": "0.1,0.25,0.3\n" + lines(FRACTIONS),
    "integers": lines(COUNTS, form="%d"),
    "digits": lines(WIDE, form="%d"),
    "zeros": "0,0,0,1\n0,1,0,1\n",
    "one line": "1,2,3\n",
    "iris": IRIS,
    "iris, a value twice": IRIS.replace("5.1,3.5,1.4", "5.1,3.5,5.1"),
    "adult": ADULT,
    "R": "5,3,1\n5.1,3.5,1.4\n4.9,3,1.5\n5,3.6,1.4\n",
    "windows": "0,1,2\n1,2,3\n2,3,4\n3,4,5\n",
    "mesh": "5,6,7,8,9\n90,91,92,93,94\n15,16,17,18,19\n",
    "arange": lines(np.arange(12).reshape(4, 3), form="%d"),
    "time and wave": "0,1\n0.1,0.995\n0.2,0.98\n0.3,0.955\n",
    "negative": "-1,0,1\n0.5,0.2,0.1\n",
    "missing at first": "?,1.5\n2.5,3.5\n3.5,1.5\n",
    "rising integers": lines(np.sort(COUNTS, axis=1), form="%d"),
    "pairs": "0,1\n5,3\n2,8\n",
}


@pytest.mark.parametrize("kind", NAMES)
def test_names(tmp_path, kind):
    (tmp_path / "d.csv").write_text(NAMES[kind])
    first = [name.strip('"') for name in NAMES[kind].splitlines()[0].split(",")]
    rows = source(tmp_path / "d.csv", missing="drop")
    assert set(rows.names) <= set(first)
    assert "" not in rows.names
    assert rows.n_rows_of_data == NAMES[kind].count("\n") - 1


@pytest.mark.parametrize("kind", DATA)
def test_data(tmp_path, kind):
    (tmp_path / "d.csv").write_text(DATA[kind])
    rows = source(tmp_path / "d.csv", missing="drop")
    assert rows.names[-1].startswith("c")
    assert rows.n_rows_of_data == DATA[kind].count("\n")
    assert any("The first line is data" in note for note in rows.notes)


@pytest.mark.parametrize("kind", [*NAMES, *DATA])
def test_stated(tmp_path, kind):
    """The user's choice holds, whatever the line contains."""
    text = {**NAMES, **DATA}[kind]
    (tmp_path / "d.csv").write_text(text)
    n_lines, first = text.count("\n"), text.splitlines()[0]
    if "?" not in first and n_lines > 1 and len(set(first.split(","))) == first.count(",") + 1:
        named = source(tmp_path / "d.csv", header=True, missing="drop")
        assert named.n_rows_of_data == n_lines - 1
        assert not any("first line" in note for note in named.notes)
    if kind in DATA:
        assert source(tmp_path / "d.csv", header=False, missing="drop").n_rows_of_data == n_lines


def test_doubt_is_noted(tmp_path):
    for text, said in (
        ("0,1\n5,3\n2,8\n", "pass --header (header=True) if it holds names"),
        (lines(COUNTS, "0,1,2", "%d"), "pass --no-header (header=False) if it is data"),
    ):
        (tmp_path / "d.csv").write_text(text)
        assert said in source(tmp_path / "d.csv").notes[0]
