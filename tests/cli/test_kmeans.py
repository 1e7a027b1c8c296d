"""`unsup-fast kmeans`: what goes in and what comes out."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from sklearn.datasets import load_wine

from unsup_fast.cli.kmeans import fitting
from unsup_fast.cluster import KMeans
from unsup_fast.metrics import purity_score


def test_labels_are_those_of_the_estimator(cli, data, blobs, tmp_path, results):
    ran = cli("kmeans", data, "-k", 4, "-o", "out", "--seed", 3)
    assert ran.status == 0, ran.err
    expected = KMeans(4, n_init=1, random_state=3).fit(blobs[0])
    actual = results(tmp_path / "out")
    assert actual["labels"].dtype == np.int32
    np.testing.assert_array_equal(actual["labels"], expected.labels_)
    np.testing.assert_array_equal(actual["model"]["cluster_centers_"], expected.cluster_centers_)
    assert actual["summary"]["result"]["inertia"] == expected.inertia_
    assert actual["summary"]["result"]["iterations"] == expected.n_iter_


def test_files_and_summary(cli, data, tmp_path):
    ran = cli("kmeans", data, "-k", 4, "-o", "deep/er/out")
    assert ran.status == 0, ran.err
    out = tmp_path / "deep/er/out"
    names = {path.name for path in out.iterdir()}
    assert names == {"labels.npy", "model.safetensors", "summary.json", "report.html"}
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in out.iterdir())
    summary = json.loads((out / "summary.json").read_text())
    assert summary["data"]["rows"] == 300
    assert summary["data"]["columns"] == 6
    assert summary["data"]["dtype"] == "float32"
    assert summary["parameters"]["n_clusters"] == 4
    assert summary["result"]["converged"] is True
    assert summary["result"]["cluster_sizes"]["50%"] > 0
    assert 0.8 < summary["result"]["explained"] < 1
    assert summary["machine"]["simd"] in ("base", "v3", "v4")
    assert set(summary["versions"]) == {"unsup_fast", "python", "numpy"}


def test_plain_lines_without_a_terminal(cli, data):
    ran = cli("kmeans", data, "-k", 4, "-o", "out")
    assert "\x1b" not in ran.out
    assert "iteration 1: inertia" in ran.out
    assert "Converged after" in ran.out
    assert "report.html" in ran.out
    assert ran.err == ""


def test_quiet(cli, data):
    ran = cli("kmeans", data, "-k", 4, "-o", "out", "--quiet")
    assert (ran.status, ran.out, ran.err) == (0, "", "")


def test_results_are_not_overwritten_unasked(cli, data, tmp_path):
    assert cli("kmeans", data, "-k", 4, "-o", "out").status == 0
    before = (tmp_path / "out/labels.npy").read_bytes()
    ran = cli("kmeans", data, "-k", 3, "-o", "out")
    assert ran.status == 2
    assert "out: holds results already" in ran.err
    assert "--overwrite" in ran.err
    assert (tmp_path / "out/labels.npy").read_bytes() == before
    assert cli("kmeans", data, "-k", 3, "-o", "out", "--overwrite").status == 0
    assert np.load(tmp_path / "out/labels.npy").max() == 2


def test_other_files_in_the_directory_stay(cli, data, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/notes.txt").write_text("mine")
    assert cli("kmeans", data, "-k", 4, "-o", "out").status == 0
    assert (tmp_path / "out/notes.txt").read_text() == "mine"


def test_parquet_in_parquet_out(cli, blobs, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {f"x{j}": blobs[0][:, j] for j in range(6)}
    names = [f"row {i}" for i in range(300)]
    pq.write_table(pa.table({"name": names, **columns}), tmp_path / "data.parquet")
    ran = cli("kmeans", "data.parquet", "-k", 4, "-o", "out")
    assert ran.status == 0, ran.err
    assert "Skipped columns that are not numbers: name." in ran.out
    table = pq.read_table(tmp_path / "out/labels.parquet")
    assert table.schema.names == ["label"]
    assert table["label"].type == pa.int32()
    expected = KMeans(4, n_init=1, random_state=0).fit(blobs[0])
    np.testing.assert_array_equal(table["label"].to_numpy(), expected.labels_)
    assert list(KMeans.load(tmp_path / "out/model.safetensors").feature_names_in_) == list(columns)


def test_overwriting_leaves_one_file_of_labels(cli, data, blobs, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": blobs[0][:, 0], "b": blobs[0][:, 1]}), tmp_path / "d.parquet")
    assert cli("kmeans", data, "-k", 2, "-o", "out").status == 0
    assert cli("kmeans", "d.parquet", "-k", 2, "-o", "out", "--overwrite").status == 0
    assert not (tmp_path / "out/labels.npy").exists()
    assert (tmp_path / "out/labels.parquet").exists()


def test_init_by_k_means_parallel(cli, data, blobs, tmp_path, results):
    assert cli("kmeans", data, "-k", 4, "-o", "out", "--init", "k-means||").status == 0
    expected = KMeans(4, init="k-means||", random_state=0).fit(blobs[0])
    np.testing.assert_array_equal(results(tmp_path / "out")["labels"], expected.labels_)


def test_init_of_a_file(cli, data, blobs, tmp_path, results):
    np.save(tmp_path / "init.npy", blobs[0][:4])
    ran = cli("kmeans", data, "-k", 4, "-o", "out", "--init", "init.npy")
    assert ran.status == 0, ran.err
    expected = KMeans(4, init=blobs[0][:4]).fit(blobs[0])
    np.testing.assert_array_equal(results(tmp_path / "out")["labels"], expected.labels_)
    KMeans.load(tmp_path / "out/model.safetensors")


@pytest.mark.parametrize("how", ["file", "column"])
def test_weights(cli, blobs, tmp_path, results, how):
    X = blobs[0].astype(np.float64)
    weights = np.random.default_rng(2).random(300)
    header = ",".join([*"abcdef", "w"])
    np.savetxt(
        tmp_path / "d.csv", np.column_stack([X, weights]), "%.17g", ",", header=header, comments=""
    )
    np.save(tmp_path / "w.npy", weights)
    options = (
        ["--weights", "w"]
        if how == "column"
        else ["--weights", "w.npy", "--columns", "a,b,c,d,e,f"]
    )
    ran = cli("kmeans", "d.csv", "-k", 4, "-o", "out", *options)
    assert ran.status == 0, ran.err
    expected = KMeans(4, n_init=1, random_state=0).fit(X, sample_weight=weights)
    actual = results(tmp_path / "out")
    np.testing.assert_array_equal(actual["labels"], expected.labels_)
    assert actual["summary"]["result"]["inertia"] == expected.inertia_


def test_title_text_and_images_reach_the_report(cli, data, tmp_path):
    lines = [f"line <{i}> & more" for i in range(300)]
    (tmp_path / "lines.txt").write_text("\n".join(lines))
    ran = cli("kmeans", data, "-k", 4, "-o", "t", "--text", "lines.txt", "--title", "<My> title")
    assert ran.status == 0, ran.err
    page = (tmp_path / "t/report.html").read_text()
    assert "<h1>&lt;My&gt; title</h1>" in page
    assert "&lt;" in page
    assert "line <" not in page
    ran = cli("kmeans", data, "-k", 4, "-o", "i", "--images", "2x3")
    assert ran.status == 0, ran.err
    assert "data:image/png;base64," in (tmp_path / "i/report.html").read_text()


def test_images_of_an_archive(cli, tmp_path):
    pictures = np.random.default_rng(0).integers(0, 255, (50, 4, 5), dtype=np.uint8)
    np.savez(tmp_path / "d.npz", pictures=pictures, classes=np.zeros(50))
    ran = cli("kmeans", "d.npz", "-k", 3, "-o", "out")
    assert ran.status == 0, ran.err
    assert "Each 4 x 5 image is a row of 20 columns." in ran.out
    assert "the only one with rows and columns" in ran.out
    assert "data:image/png;base64," in (tmp_path / "out/report.html").read_text()


def test_fewer_distinct_rows_than_clusters_is_a_warning(cli, tmp_path):
    np.save(tmp_path / "d.npy", np.repeat(np.eye(3, dtype=np.float32), 10, axis=0))
    ran = cli("kmeans", "d.npy", "-k", 5, "-o", "out")
    assert ran.status == 0
    assert "warning: " in ran.err
    assert "distinct clusters (3)" in ran.err


@pytest.mark.parametrize("k", [1, 300])
def test_extreme_numbers_of_clusters(cli, data, k):
    ran = cli("kmeans", data, "-k", k, "-o", "out")
    assert ran.status == 0, ran.err


def test_one_row_and_one_column(cli, tmp_path):
    np.save(tmp_path / "d.npy", np.ones((1, 1)))
    ran = cli("kmeans", "d.npy", "-k", 1, "-o", "out")
    assert ran.status == 0, ran.err


def test_max_iter_is_reported_and_can_be_raised(cli, hard, tmp_path, results):
    words = ["kmeans", hard, "-k", 20, "--tol", 0]
    ran = cli(*words, "-o", "out", "--max-iter", 4)
    assert ran.status == 0
    assert "reached --max-iter 4" in ran.out
    assert "larger --max-iter with --resume" in ran.out
    ran = cli(*words, "-o", "out", "--max-iter", 4, "--resume")
    assert ran.status == 2
    assert "4 iterations are done already" in ran.err
    assert cli(*words, "-o", "out", "--max-iter", 9, "--resume").status == 0
    assert cli(*words, "-o", "straight", "--max-iter", 9).status == 0
    np.testing.assert_array_equal(
        results(tmp_path / "out")["labels"], results(tmp_path / "straight")["labels"]
    )


def test_cosine(cli, data, blobs, tmp_path, results):
    ran = cli("kmeans", data, "-k", 4, "-o", "out", "--seed", 3, "--metric", "cosine")
    assert ran.status == 0, ran.err
    expected = KMeans(4, n_init=1, random_state=3, metric="cosine").fit(blobs[0])
    actual = results(tmp_path / "out")
    np.testing.assert_array_equal(actual["labels"], expected.labels_)
    np.testing.assert_array_equal(actual["model"]["cluster_centers_"], expected.cluster_centers_)
    assert actual["summary"]["parameters"]["metric"] == "cosine"
    assert actual["summary"]["result"]["inertia"] == expected.inertia_
    assert actual["summary"]["result"]["explained"] is None
    page = (tmp_path / "out/report.html").read_text()
    assert "Spherical k-means (cosine distances) of data.npy" in page
    assert cli("predict", "out", data, "-o", "new.npy", "--distances").status == 0
    np.testing.assert_allclose(
        np.load(tmp_path / "new.distances.npy"),
        expected.transform(blobs[0]).min(axis=1),
        atol=1e-6,
    )


def test_a_row_without_direction(cli, data, blobs, tmp_path):
    rows = blobs[0].copy()
    rows[17] = 0
    np.save(tmp_path / "bad.npy", rows)
    np.save(tmp_path / "init.npy", rows[16:18])
    assert cli("kmeans", data, "-k", 2, "-o", "run", "--metric", "cosine").status == 0
    for words, file, row in (
        (("kmeans", "bad.npy", "-k", 2, "-o", "out", "--metric", "cosine"), "bad.npy", 17),
        (
            ("kmeans", data, "-k", 2, "-o", "out", "--metric", "cosine", "--init", "init.npy"),
            "init.npy",
            1,
        ),
        (("predict", "run", "bad.npy", "-o", "new.npy"), "bad.npy", 17),
    ):
        ran = cli(*words)
        assert ran.status == 2
        assert ran.err.startswith(f"error: {file}: row {row} is zero and has no direction; leave")


@pytest.fixture
def wine(tmp_path):
    """Return the path of scikit-learn's wine with its column names, and the classes."""
    bunch = load_wine(as_frame=True)
    pa.parquet.write_table(pa.Table.from_pandas(bunch.data), tmp_path / "wine.parquet")
    return tmp_path / "wine.parquet", bunch.target.to_numpy()


def test_standardize(cli, wine, tmp_path):
    path, classes = wine
    ran = cli("kmeans", path, "-k", 3, "-o", "plain", "-q")
    assert ran.status == 0
    warned = "warning: column 'proline' holds 99.77 % of the variance, so distances and principal"
    assert warned in ran.err
    assert "pass --standardize" in ran.err
    page = (tmp_path / "plain/report.html").read_text()
    assert "Column &#x27;proline&#x27; holds 99.77 % of the variance" in page
    ran = cli("kmeans", path, "-k", 3, "-o", "out", "--standardize")
    assert ran.status == 0
    assert "warning" not in ran.err
    page = (tmp_path / "out/report.html").read_text()
    assert "proline" not in page
    assert "k-means, columns divided by their standard deviations, of wine.parquet" in page
    purities = []
    for name in ("plain", "out"):
        labels = pa.parquet.read_table(tmp_path / name / "labels.parquet")["label"].to_numpy()
        purities.append(round(purity_score(classes, labels), 2))
    assert purities == [0.70, 0.97]
    X = load_wine().data
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["parameters"]["standardize"] is True
    model = KMeans.load(tmp_path / "out/model.safetensors")
    np.testing.assert_array_equal(model.predict(load_wine(as_frame=True).data), labels)
    total = np.count_nonzero(X.std(axis=0)) * len(X)
    assert summary["result"]["explained"] == pytest.approx(1 - model.inertia_ / total)
    assert cli("predict", "out", path, "-o", "p.parquet", "--distances").status == 0
    predicted = pa.parquet.read_table(tmp_path / "p.parquet").to_pandas()
    np.testing.assert_array_equal(predicted["label"], labels)
    assert (predicted["distance"] ** 2).sum() == pytest.approx(model.inertia_)
    assert cli("transform", "out", path, "-o", "t.npy").status == 0
    distances = np.load(tmp_path / "t.npy")
    np.testing.assert_allclose(distances.min(axis=1), predicted["distance"], rtol=1e-9)


@pytest.mark.parametrize(
    ("spreads", "warns"), [((1, 1, 1), 0), ((1, 1, 4), 0), ((1, 1, 5), 1), ((7,), 0), ((0, 0), 0)]
)
def test_a_column_that_holds_most_of_the_variance(cli, tmp_path, spreads, warns):
    X = np.random.default_rng(0).choice([-1.0, 1.0], (400, len(spreads))) * spreads
    np.save(tmp_path / "x.npy", X)
    ran = cli("kmeans", "x.npy", "-k", 2, "-o", "out", "--no-report")
    assert ran.status == 0
    assert ran.err.count("column 2 holds 92.6 % of the variance, so") == warns
    assert ran.err.count("holds") == warns


def test_tol_inertia(cli, hard, tmp_path, results):
    words = ["kmeans", hard, "-k", 20, "--tol", 0, "--no-report"]
    assert cli(*words, "-o", "whole").status == 0
    whole = KMeans.load(tmp_path / "whole/model.safetensors").inertia_history_
    assert cli(*words, "-o", "out", "--tol-inertia", "1e-3").status == 0
    result = results(tmp_path / "out")["summary"]["result"]
    decrease = (whole[:-1] - whole[1:]) / whole[:-1]
    assert result["iterations"] == np.flatnonzero(decrease <= 1e-3)[0] + 2
    assert result["stopped"] == "inertia fell by no more than --tol-inertia"
    assert result["converged"]
    assert not (tmp_path / "out/checkpoint.safetensors").exists()
    ran = cli(*words, "-o", "none", "--tol-inertia", "-1")
    assert ran.status == 2
    assert "--tol-inertia" in ran.err


def test_a_run_that_hardly_changes_inertia_says_so_once(cli, hard, monkeypatch):
    words = ["kmeans", hard, "-k", 20, "--tol", 0, "--no-report"]
    text = "in the last ten iterations: the run may be stopped; Ctrl-C keeps its result"
    assert text not in cli(*words, "-o", "fast").out
    history = KMeans.load("fast/model.safetensors").inertia_history_
    change = ((history[:-10] - history[10:]) / history[:-10])[:-1]  # at the end, a run just ends
    monkeypatch.setattr(fitting, "SLOW_CHANGE", 1.01 * change.min())
    assert cli(*words, "-o", "slow").out.count(text) == 1
    assert text not in cli(*words, "-o", "quiet", "-q").out
    monkeypatch.setattr(fitting, "SLOW_CHANGE", 0.99 * change.min())
    assert text not in cli(*words, "-o", "other").out


def test_levels(cli, data, blobs, tmp_path, results):
    ran = cli("kmeans", data, "-k", 20, "--levels", 4, "-o", "out", "--seed", 3)
    assert ran.status == 0, ran.err
    expected = KMeans(20, levels=[4], random_state=3).fit(blobs[0])
    actual = results(tmp_path / "out")
    np.testing.assert_array_equal(actual["labels"], expected.labels_)
    np.testing.assert_array_equal(actual["model"]["parents_"], expected.parents_)
    assert actual["summary"]["parameters"]["levels"] == 4
    result = actual["summary"]["result"]
    assert result["inertia"] == expected.inertia_
    assert (result["iterations"], result["converged"]) == (1, False)
    assert result["clusters_per_parent"]["100%"] == np.bincount(expected.parents_).max()
    assert "Stopped after 1 iteration" in ran.out
    assert "--resume" not in ran.out
    assert "parts of 4 larger ones" in (tmp_path / "out/report.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-k", 3, "--levels", 4), "--levels 4: exceeds the 3 clusters of -k"),
        (("-k", 3, "--levels", 0), "--levels 0"),
        (("-k", 3, "--levels", 2, "--init", "c.npy"), "--levels and --init c.npy exclude each"),
    ],
)
def test_levels_that_do_not_fit(cli, data, words, message):
    ran = cli("kmeans", data, *words, "-o", "out")
    assert ran.status == 2
    assert message in ran.err
