"""`unsup-fast dedup`: pairs of near-duplicates within clusters, and the rows to keep."""

import json
import os
import signal

import numpy as np
import pytest

from unsup_fast.cli.dedup import search
from unsup_fast.cli.dedup.keeping import Removal
from unsup_fast.cli.kmeans import fitting
from unsup_fast.cluster import KMeans, Pairs, iter_pairs, pairs_above
from unsup_fast.mixture import GaussianMixture

LIMITS = {"cosine": 0.999, "euclidean": 0.6}


@pytest.fixture
def rows(blobs, tmp_path):
    """Save and return 500 rows of 6 columns, some of them nearly those of others."""
    random = np.random.default_rng(1)
    X = np.concatenate([blobs[0], blobs[0][:200]])
    X[300:450] += 0.2 * random.normal(size=(150, 6)).astype(np.float32)
    np.save(tmp_path / "rows.npy", X)
    return X


def read(folder):
    keep = np.load(folder / "keep.npy")
    table = np.genfromtxt(folder / "pairs.csv", delimiter=",", names=True)
    return keep, np.atleast_1d(table), json.loads((folder / "summary.json").read_text())


def by_rule(X, model, threshold, first):
    """Return which rows stay, row after row in their order (not for random)."""
    from_center = model.transform(X)[np.arange(len(X)), model.labels_].astype(np.float64)
    order = sorted(
        range(len(X)), key=lambda i: (-from_center[i] if first == "hard" else from_center[i], i)
    )
    pairs = pairs_above(X, model.labels_, threshold, metric=model.metric)
    near = {frozenset(pair) for pair in zip(pairs.i.tolist(), pairs.j.tolist(), strict=True)}
    keep = np.ones(len(X), bool)
    for position, i in enumerate(order):
        keep[i] = not any(frozenset((i, before)) in near for before in order[:position])
    return keep


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("first", ["hard", "easy"])
def test_rows_stay_by_the_rule_of_semdedup(cli, rows, tmp_path, metric, first):
    limit = LIMITS[metric]
    ran = cli(
        "dedup",
        "rows.npy",
        "-k",
        4,
        "--metric",
        metric,
        "--threshold",
        limit,
        "--keep",
        first,
        "-o",
        "out",
        "--no-report",
    )
    assert ran.status == 0, ran.err
    keep, pairs, summary = read(tmp_path / "out")
    model = KMeans(4, metric=metric, random_state=0, max_iter=100).fit(rows)
    np.testing.assert_array_equal(np.load(tmp_path / "out/labels.npy"), model.labels_)
    assert keep.dtype == bool
    np.testing.assert_array_equal(keep, by_rule(rows, model, limit, first))
    assert 50 < np.count_nonzero(~keep) < 250
    expected = pairs_above(rows, model.labels_, limit, metric=metric)
    order = np.lexsort((pairs["j"], pairs["i"]))
    name = {"cosine": "similarity", "euclidean": "distance"}[metric]
    for column, values in zip(("i", "j", name), expected, strict=True):
        np.testing.assert_array_equal(pairs[column][order], values)
    result = summary["result"]
    assert (result["pairs"], result["clusters"]) == (len(expected.i), 4)
    assert (result["rows_to_keep"], result["rows_removed"]) == (keep.sum(), (~keep).sum())
    assert f"{(~keep).sum()} rows of 500" in ran.out


def test_a_random_row_is_stay_by_seed(cli, rows, tmp_path):
    keep = []
    for seed in (1, 1, 2):
        assert (
            cli(
                "dedup",
                "rows.npy",
                "-k",
                1,
                "--threshold",
                0.999,
                "--keep",
                "random",
                "--seed",
                seed,
                "-o",
                "out",
                "--overwrite",
                "--no-report",
            ).status
            == 0
        )
        keep.append(read(tmp_path / "out")[0])
    np.testing.assert_array_equal(keep[0], keep[1])
    assert (keep[0] != keep[2]).any()
    for i in range(450, 500):  # equal rows: one of them stays, unless another row is near
        assert not keep[0][i] or not keep[0][i - 300]


def test_labels_and_models_give_the_same(cli, rows, tmp_path):
    words = ("--threshold", 0.6, "--metric", "euclidean", "--no-report")
    assert cli("dedup", "rows.npy", "-k", 4, *words, "-o", "k").status == 0
    first = read(tmp_path / "k")
    assert cli("dedup", "rows.npy", "--model", "k", *words, "-o", "model").status == 0
    labels = "k/labels.npy"
    assert cli("dedup", "rows.npy", "--labels", labels, *words, "-o", "labels").status == 0
    for folder in ("model", "labels"):
        keep, pairs, _ = read(tmp_path / folder)
        np.testing.assert_array_equal(keep, first[0])
        np.testing.assert_array_equal(pairs, first[1])
        assert not (tmp_path / folder / "model.safetensors").exists()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_other_thresholds_are_foretold(cli, rows, tmp_path, metric):
    words = ("rows.npy", "-k", 3, "--metric", metric, "--no-report", "--overwrite", "-o", "out")
    assert cli("dedup", *words, "--threshold", LIMITS[metric]).status == 0
    levels = read(tmp_path / "out")[2]["result"]["thresholds"]
    assert len(levels) == 11
    assert levels[-1]["threshold"] == {"cosine": 1, "euclidean": 0}[metric]
    assert levels[-1]["pairs"] == 50
    for level in (levels[0], levels[4], levels[10]):
        assert cli("dedup", *words, "--threshold", level["threshold"]).status == 0
        result = read(tmp_path / "out")[2]["result"]
        assert (result["pairs"], result["rows_removed"]) == (level["pairs"], level["removed"])


def test_bands_end_at_thresholds():
    removal = Removal(np.arange(3), 0.5, "cosine")
    assert removal.bands(np.array([0.5, 0.54, 0.55, 0.96, 1.0])).tolist() == [0, 0, 1, 9, 10]
    removal = Removal(np.arange(3), 2.0, "euclidean")
    assert removal.bands(np.array([2.0, 1.9, 1.8, 0.1, 0.0])).tolist() == [0, 0, 1, 9, 10]
    assert Removal(np.arange(3), 1.0, "cosine").bands(np.array([1.0])).tolist() == [0]


def test_tables_and_missing_values(cli, rows, tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = dict(zip("abcdef", rows.T.copy(), strict=True))
    columns["b"][[0, 460]] = np.nan
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    assert (
        cli(
            "kmeans", "rows.parquet", "-k", 3, "-o", "run", "--missing", "drop", "--no-report"
        ).status
        == 0
    )
    ran = cli(
        "dedup",
        "rows.parquet",
        "--labels",
        "run/labels.parquet",
        "--threshold",
        1,
        "-o",
        "out",
        "--missing",
        "drop",
        "--no-report",
    )
    assert ran.status == 0, ran.err
    keep = pq.read_table(tmp_path / "out/keep.parquet")["keep"].to_numpy()
    pairs = pq.read_table(tmp_path / "out/pairs.parquet")
    assert pairs.column_names == ["i", "j", "similarity"]
    i, j = pairs["i"].to_numpy(), pairs["j"].to_numpy()
    equal = np.array([row for row in range(450, 500) if row != 460])
    np.testing.assert_array_equal(np.sort(j), equal)
    np.testing.assert_array_equal(i, j - 300)
    np.testing.assert_array_equal(np.flatnonzero(~keep), np.sort([0, 460, *equal]))


def test_rows_of_no_cluster_stay(cli, rows, tmp_path):
    labels = np.where(np.arange(500) < 480, 7, -1)
    np.save(tmp_path / "labels.npy", labels)
    assert (
        cli(
            "dedup",
            "rows.npy",
            "--labels",
            "labels.npy",
            "--threshold",
            1,
            "-o",
            "out",
            "--no-report",
        ).status
        == 0
    )
    keep, pairs, _ = read(tmp_path / "out")
    assert sorted(pairs["j"].tolist()) == list(range(450, 480))
    assert keep[480:].all()


def test_no_pairs(cli, data, tmp_path):
    ran = cli("dedup", data, "-k", 2, "--threshold", 0, "--metric", "euclidean", "-o", "out")
    assert ran.status == 0, ran.err
    assert (tmp_path / "out/pairs.csv").read_text() == "i,j,distance\n"
    assert np.load(tmp_path / "out/keep.npy").all()
    assert "Pairs to look at" not in (tmp_path / "out/report.html").read_text()


def test_report(cli, rows, tmp_path):
    (tmp_path / "texts.txt").write_text("".join(f"text <{i}>\n" for i in range(500)))
    ran = cli(
        "dedup",
        "rows.npy",
        "-k",
        4,
        "--threshold",
        0.99,
        "-o",
        "out",
        "--text",
        "texts.txt",
        "--title",
        "Twins",
    )
    assert ran.status == 0, ran.err
    page = (tmp_path / "out/report.html").read_text()
    for said in ("<h1>Twins</h1>", "Choose the threshold", "text &lt;450&gt;", "0.991", "keep.npy"):
        assert said in page
    assert "report.html" in ran.out


def test_interrupted_search(cli, rows, tmp_path, monkeypatch):
    def parts(*arguments, **options):
        for number, pairs in enumerate(iter_pairs(*arguments, **options)):
            if number == 2:
                os.kill(os.getpid(), signal.SIGINT)
            yield pairs

    monkeypatch.setattr(search, "iter_pairs", parts)
    ran = cli("dedup", "rows.npy", "-k", 4, "--threshold", 0.99, "-o", "out")
    assert ran.status == 130
    assert "Interrupted after" in ran.out
    keep, pairs, summary = read(tmp_path / "out")
    assert 0 < summary["result"]["share_compared"] < 1
    labels = np.load(tmp_path / "out/labels.npy")
    compared = np.isin(labels, np.unique(labels[pairs["i"].astype(int)]))
    assert 0 < compared.sum() < 500
    assert keep[~compared].all()
    assert not keep.all()
    assert not (tmp_path / "out/report.html").exists()


def test_interrupted_clustering(cli, hard, tmp_path, monkeypatch):
    step = fitting.Fitting.step

    def interrupted(self, state):
        step(self, state)
        if state.iteration == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(fitting.Fitting, "step", interrupted)
    ran = cli("dedup", hard, "-k", 20, "--threshold", 0.99, "-o", "out")
    assert ran.status == 130
    assert "Interrupted after 2 iterations of k-means, before rows were compared" in ran.out
    assert KMeans.load(tmp_path / "out/model.safetensors").n_iter_ == 2
    assert not (tmp_path / "out/keep.npy").exists()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert cli("dedup", hard, "--model", "out", "--threshold", 0.999, "-o", "two").status == 0


def test_interrupted_before_the_search(cli, hard, tmp_path, monkeypatch):
    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(search, "ranks", interrupted)
    for words in (["-k", 3], ["--labels", "labels.npy"]):
        np.save(tmp_path / "labels.npy", np.zeros(3000, int))
        ran = cli("dedup", hard, *words, "--threshold", 0.99, "-o", words[0].strip("-"))
        assert ran.status == 130
        assert "before rows were compared" in ran.out
    assert (tmp_path / "k/model.safetensors").exists()
    assert not list(tmp_path.glob("labels/*.*"))


def test_results_are_not_replaced_unasked(cli, rows, tmp_path):
    words = ("dedup", "rows.npy", "-k", 2, "--threshold", 0.9, "-o", "out", "--no-report")
    assert cli(*words).status == 0
    ran = cli(*words)
    assert ran.status == 2
    assert "out: holds results already (labels.npy, keep.npy, pairs.csv" in ran.err
    ran = cli(
        "dedup",
        "rows.npy",
        "--labels",
        "out/labels.npy",
        "--threshold",
        0.9,
        "-o",
        "out",
        "--overwrite",
    )
    assert "would replace out/labels.npy, which it reads as --labels" in ran.err


BAD = {
    "origin": ([], "-k, --labels, --model: are all missing; pass one of -k, --labels and --model"),
    "two": (["-k", 2, "--labels", "short.npy"], "-k, --labels: exclude each other; pass one of"),
    "cosine": (
        ["-k", 2, "--threshold", 1.5],
        "--threshold 1.5: with --metric cosine pass",
    ),
    "distance": (["-k", 2, "--metric", "euclidean", "--threshold", -0.5], "number of at least 0"),
    "rows": (["-k", 301], "has 300 rows, fewer than -k 301"),
    "short": (["--labels", "short.npy"], "--labels short.npy: has 2 labels, data.npy has 300 rows"),
    "real": (
        ["--labels", "real.npy"],
        "real.npy: holds float64 that are not all integers",
    ),
    "mixture": (["--model", "gmm.safetensors"], "holds a GaussianMixture, which has no centroids"),
    "zero": (["-k", 2], "zero.npy: row 5 is zero and has no direction"),
    "zero, labels": (["--labels", "all.npy"], "zero.npy: row 5 is zero and has no direction"),
    "text": (["-k", 2, "--text", "texts.txt"], "texts.txt: has 1 lines, data.npy has 300 rows"),
    "keep": (["-k", 2, "--keep", "all"], "--keep all: is not one of hard, easy, random"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(cli, data, blobs, tmp_path, name):
    np.save(tmp_path / "short.npy", [0, 1])
    np.save(tmp_path / "real.npy", np.full(300, 0.5))
    np.save(tmp_path / "all.npy", np.zeros(300, int))
    zero = blobs[0].copy()
    zero[5] = 0
    np.save(tmp_path / "zero.npy", zero)
    (tmp_path / "texts.txt").write_text("one\n")
    if name == "mixture":
        GaussianMixture(2, random_state=0).fit(blobs[0]).save(tmp_path / "gmm.safetensors")
    words, said = BAD[name]
    path = "zero.npy" if "zero" in name else data.name
    ran = cli("dedup", path, "--threshold", 0.9, "-o", "out", "--no-report", *words)
    assert ran.status == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_pairs_come_in_parts(cli, rows, tmp_path, monkeypatch):
    words = ("rows.npy", "-k", 3, "--threshold", 0.9, "--no-report", "-o")
    assert cli("dedup", *words, "one").status == 0
    monkeypatch.setattr(search, "AT_ONCE", 5)
    whole = search.iter_pairs

    def split(*arguments, **options):
        for pairs in whole(*arguments, **options):
            for start in range(0, len(pairs.i), 7):
                yield Pairs(*(array[start : start + 7] for array in pairs))

    monkeypatch.setattr(search, "iter_pairs", split)
    assert cli("dedup", *words, "many").status == 0
    one, many = read(tmp_path / "one"), read(tmp_path / "many")
    np.testing.assert_array_equal(one[0], many[0])
    np.testing.assert_array_equal(one[1], many[1])
