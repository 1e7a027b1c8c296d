"""Tables on the command line: names, headers, separators, folders and missing values."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

QUICK = ["--no-report", "-q"]


def fitted(cli, *words):
    ran = cli("kmeans", *words, "-k", 2, "-o", "out", "--overwrite", *QUICK)
    assert ran.status == 0, ran.err


def summary(tmp_path):
    return json.loads((tmp_path / "out/summary.json").read_text())


@pytest.mark.parametrize("columns", ["amount", " amount", "size, amount", '"price, EUR"'])
def test_columns_by_name(cli, tmp_path, columns):
    rows = "".join(f"x,{i},{i * i % 7},{i % 3}\n" for i in range(20))
    (tmp_path / "d.csv").write_text(f'name, amount, size,"price, EUR"\n{rows}')
    fitted(cli, "d.csv", "--columns", columns)
    names = [name.strip() for name in summary(tmp_path)["data"]["column_names"]]
    assert names == ([columns.strip('"')] if "price" in columns else columns.strip().split(", "))
    assert summary(tmp_path)["parameters"]["columns"] == summary(tmp_path)["data"]["column_names"]
    assert cli("predict", "out", "d.csv", "-o", "p.npy", "-q").status == 0
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), np.load(tmp_path / "out/labels.npy"))


def test_header_and_separator(cli, tmp_path):
    (tmp_path / "d.csv").write_text("1 2\n3 4\n5 7\n8 9\n")
    for words, n_rows, names in (
        (["--separator", " ", "--header"], 3, ["1", "2"]),
        (["--separator", " ", "--no-header"], 4, ["c0", "c1"]),
    ):
        fitted(cli, "d.csv", *words)
        assert summary(tmp_path)["data"]["rows"] == n_rows
        assert summary(tmp_path)["data"]["column_names"] == names
        for command in ("predict", "transform"):
            ran = cli(command, "out", "d.csv", "-o", "p.npy", "-q", "--overwrite", *words)
            assert ran.status == 0, ran.err
            assert len(np.load(tmp_path / "p.npy")) == n_rows
    (tmp_path / "d.csv").write_text("a\tb\n1\t2\n3\t4\n5\t6\n")
    fitted(cli, "d.csv", "--separator", "tab")
    for command, words in (("pca", ["-n", 1]), ("gmm", ["-k", 1]), ("kmeans", ["-k", 1])):
        ran = cli(command, "d.csv", *words, "-o", "o", "--overwrite", "--separator", "ab", *QUICK)
        assert ran.status == 2
        assert ran.err.startswith("error: --separator 'ab': write one character")
        words = [*words, "--no-header", "--columns", "c0,c1"]
        ran = cli(command, "d.csv", *words, "-o", "o", "--overwrite", *QUICK)
        assert "row 0, column 'c0' is 'a', not a number; are these names (--header)?" in ran.err


def test_a_folder_of_parquet_files(cli, tmp_path, blobs):
    (tmp_path / "parts").mkdir()
    frame = pd.DataFrame(blobs[0], columns=list("abcdef"))
    for i in (0, 1, 2):
        frame[100 * i : 100 * (i + 1)].to_parquet(tmp_path / f"parts/{9 + i}.parquet")
    np.save(tmp_path / "whole.npy", blobs[0])
    fitted(cli, "whole.npy")
    expected = np.load(tmp_path / "out/labels.npy")
    fitted(cli, "parts")
    labels = pq.read_table(tmp_path / "out/labels.parquet")["label"].to_numpy()
    np.testing.assert_array_equal(labels, expected)
    assert cli("predict", "out", "parts", "-o", "p.npy", "-q").status == 0
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), expected)


@pytest.fixture
def holed(tmp_path, blobs):
    """Write rows of which some lack values, with lines and weights; return which are whole."""
    X, lacking = blobs[0].astype(np.float64), np.array([0, 17, 18, 299])
    X[lacking, [0, 5, 2, 2]] = np.nan
    np.save(tmp_path / "d.npy", X)
    pd.DataFrame(X, columns=list("abcdef")).assign(w=np.arange(300)).to_csv(
        tmp_path / "d.csv", index=False
    )
    whole = np.setdiff1d(np.arange(300), lacking)
    np.save(tmp_path / "whole.npy", X[whole])
    np.save(tmp_path / "w.npy", np.arange(300))
    np.save(tmp_path / "w_whole.npy", np.arange(300)[whole])
    (tmp_path / "lines.txt").write_text("".join(f"line {i}.\n" for i in range(300)))
    return whole, lacking


def test_missing_values_are_an_error_that_names_the_option(cli, holed):
    for data in ("d.npy", "d.csv"):
        for command, words in (("kmeans", ["-k", 2]), ("gmm", ["-k", 2]), ("pca", ["-n", 2])):
            ran = cli(command, data, *words, "-o", "out", *QUICK)
            assert ran.status == 2
            assert "row 0, column" in ran.err
            assert "--missing drop or mean" in ran.err


@pytest.mark.parametrize("data", ["d.npy", "d.csv"])
def test_rows_of_labels_stay_those_of_the_data(cli, tmp_path, holed, data):
    whole, lacking = holed
    columns = ["--columns", "a,b,c,d,e,f"] if data == "d.csv" else []
    weights = ["--weights", "w" if data == "d.csv" else "w.npy"]
    fitted(cli, "whole.npy", "--weights", "w_whole.npy")
    expected = np.load(tmp_path / "out/labels.npy")
    fitted(cli, data, "--missing", "drop", *weights, *columns)
    labels = np.load(tmp_path / "out/labels.npy")
    np.testing.assert_array_equal(labels[whole], expected)
    assert (labels[lacking] == -1).all()
    ran = cli("predict", "out", data, "-o", "p.csv", "-q", "--missing", "drop", "--distances")
    assert ran.status == 0, ran.err
    written = pd.read_csv(tmp_path / "p.csv")
    np.testing.assert_array_equal(written["label"], labels)
    np.testing.assert_array_equal(np.flatnonzero(written["distance"].isna()), lacking)


def test_coordinates_and_probabilities_stay_those_of_the_data(cli, tmp_path, holed):
    whole, lacking = holed
    for command, words, names in (
        ("pca", ["-n", 2], ["coordinates"]),
        ("gmm", ["-k", 2, "--proba"], ["probabilities", "labels"]),
    ):
        options = [*words, "--overwrite", *QUICK]
        assert cli(command, "whole.npy", *options, "-o", "out").status == 0
        assert cli(command, "d.npy", *options, "--missing", "drop", "-o", "holed").status == 0
        for name in names:
            coordinates = np.load(tmp_path / f"holed/{name}.npy")
            expected = np.load(tmp_path / f"out/{name}.npy")
            np.testing.assert_allclose(coordinates[whole], expected, rtol=1e-9, atol=1e-9)
            rest = coordinates[lacking]
            assert (rest == -1).all() if name == "labels" else np.isnan(rest).all()
    ran = cli("predict", "holed", "d.npy", "-o", "p.npy", "-q", "--proba", "--missing", "drop")
    assert ran.status == 0, ran.err
    assert np.isnan(np.load(tmp_path / "p.probabilities.npy")[lacking]).all()


def test_means_replace_missing_values(cli, tmp_path, holed):
    X = np.load(tmp_path / "d.npy")
    np.save(tmp_path / "filled.npy", np.where(np.isnan(X), np.nanmean(X, axis=0), X))
    fitted(cli, "filled.npy")
    expected = np.load(tmp_path / "out/labels.npy")
    fitted(cli, "d.npy", "--missing", "mean")
    np.testing.assert_array_equal(np.load(tmp_path / "out/labels.npy"), expected)
    assert "mean of the column in place of 4" in " ".join(summary(tmp_path)["data"]["notes"])
    ran = cli("predict", "out", "d.npy", "-o", "p.npy", "--missing", "mean")
    assert ran.status == 2
    assert ran.err.startswith("error: --missing mean: a fitted model holds no means")
    ran = cli("kmeans", "d.npy", "-k", 2, "-o", "o", "--missing", "zero")
    assert "--missing zero: is not one of error, drop, mean" in ran.err


def test_the_report_counts_rows_as_the_data_do(cli, tmp_path, holed):
    ran = cli(
        *("kmeans", "d.npy", "-k", 2, "-o", "out", "-q"),
        *("--missing", "drop", "--text", "lines.txt"),
    )
    assert ran.status == 0, ran.err
    page = (tmp_path / "out/report.html").read_text()
    labels, X = np.load(tmp_path / "out/labels.npy"), np.load(tmp_path / "d.npy")
    for k in range(2):
        rows = np.flatnonzero(labels == k)
        centre = X[rows].mean(axis=0)
        nearest = rows[np.linalg.norm(X[rows] - centre, axis=1).argmin()]
        assert f"<li><span>line {nearest}.</span><small>{nearest}</small></li>" in page


@pytest.mark.parametrize("column", [True, False])
@pytest.mark.parametrize("command", ["kmeans", "gmm"])
def test_rows_without_a_weight(cli, tmp_path, holed, command, column):
    """They are dropped as rows without a value; the weights of dropped rows need not be any."""
    whole, lacking = holed
    weights = np.arange(300.0)
    weights[[17, 40]] = np.nan
    weights[299] = -1  # the row is dropped for its own values
    if column:
        frame = pd.read_csv(tmp_path / "d.csv").assign(w=weights)
        frame.to_csv(tmp_path / "d.csv", index=False)
    np.save(tmp_path / "w.npy", weights)
    words = ["d.csv" if column else "d.npy", "--weights", "w" if column else "w.npy"]
    fit = [command, "-k", 2, "-o", "out", "--overwrite", *QUICK]
    left = np.setdiff1d(whole, [40])
    X = np.load(tmp_path / "d.npy")
    np.save(tmp_path / "left.npy", X[left])
    np.save(tmp_path / "w_left.npy", weights[left])
    assert cli(*fit, "left.npy", "--weights", "w_left.npy").status == 0
    expected = np.load(tmp_path / "out/labels.npy")
    ran = cli(*fit, *words, "--missing", "drop")
    assert ran.status == 0, ran.err
    labels = np.load(tmp_path / "out/labels.npy")
    np.testing.assert_array_equal(labels[left], expected)
    assert (labels[[*lacking, 40]] == -1).all()
    assert "Dropped 1 of 296 rows, with no weight (40)." in summary(tmp_path)["data"]["notes"]
    ran = cli(*fit, *words, "--missing", "mean")
    assert ran.status == 2
    assert "row 17 has no weight; fill it in, or pass --missing drop" in ran.err


def test_a_row_of_zeros_is_counted_as_in_the_data(cli, tmp_path, holed):
    X = np.load(tmp_path / "d.npy")
    fitted(cli, "d.npy", "--missing", "drop", "--metric", "cosine")
    X[50] = 0
    np.save(tmp_path / "d.npy", X)
    said = "error: d.npy: row 50 is zero and has no direction"
    words = ["d.npy", "--missing", "drop", "-q"]
    ran = cli("kmeans", *words, "--metric", "cosine", "-k", 2, "-o", "o", "--no-report")
    assert (ran.status, ran.err[: len(said)]) == (2, said)
    for command in (["predict"], ["predict", "--distances"], ["transform"]):
        ran = cli(*command, "out", *words, "-o", "p.npy")
        assert (ran.status, ran.err[: len(said)]) == (2, said)
