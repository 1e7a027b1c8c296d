"""`unsup-fast pca` and `transform`: what goes in and what comes out."""

import json
import os
import signal

import numpy as np
import pytest

from unsup_fast.blocks import _source
from unsup_fast.cli import progress
from unsup_fast.cli.pca import run as pca
from unsup_fast.cluster import KMeans
from unsup_fast.decomposition import PCA, IncrementalPCA

OPTIONS = {
    "number": (["-n", 3], {"n_components": 3}),
    "share": (["-n", 0.9], {"n_components": 0.9}),
    "mle": (["-n", "mle"], {"n_components": "mle"}),
    "whiten": (["-n", 2, "--whiten"], {"n_components": 2, "whiten": True}),
    "standardize": (["-n", 2, "--standardize"], {"n_components": 2, "standardize": True}),
    "full": (["-n", 2, "--solver", "full"], {"n_components": 2, "svd_solver": "full"}),
    "arpack": (["-n", 2, "--solver", "arpack"], {"n_components": 2, "svd_solver": "arpack"}),
    "randomized": (
        ["-n", 2, "--solver", "randomized", "--seed", 5],
        {"n_components": 2, "svd_solver": "randomized", "random_state": 5},
    ),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_coordinates_are_those_of_the_estimator(cli, data, blobs, tmp_path, name):
    words, parameters = OPTIONS[name]
    ran = cli("pca", data, *words, "-o", "out")
    assert ran.status == 0, ran.err
    model = PCA(**{"svd_solver": "covariance_eigh", "random_state": 0, **parameters}).fit(blobs[0])
    coordinates = np.load(tmp_path / "out/coordinates.npy")
    assert coordinates.dtype == np.float32
    np.testing.assert_array_equal(coordinates, model.transform(blobs[0]))
    loaded = PCA.load(tmp_path / "out/model.safetensors")
    np.testing.assert_array_equal(loaded.components_, model.components_)
    assert f"{model.n_components_} axes" in ran.out


def test_files_and_summary(cli, data, blobs, tmp_path):
    ran = cli("pca", data, "-n", 2, "-o", "out")
    assert ran.status == 0, ran.err
    assert ran.err == ""
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"coordinates.npy", "model.safetensors", "summary.json", "report.html"}
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["command"] == "pca"
    assert summary["data"]["rows"] == 300
    result = summary["result"]
    model = PCA(2, svd_solver="covariance_eigh").fit(blobs[0])
    assert result["axes"] == 2
    assert result["explained"] == pytest.approx(model.explained_variance_ratio_.sum(), rel=1e-6)
    rebuilt = model.inverse_transform(model.transform(blobs[0]))
    error = ((blobs[0] - rebuilt).astype(np.float64) ** 2).sum(axis=1).mean()
    assert result["reconstruction_error"] == pytest.approx(error, rel=1e-4)


def test_quiet_without_a_report(cli, data, tmp_path):
    ran = cli("pca", data, "-n", 2, "-o", "out", "--quiet", "--no-report")
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    assert not (tmp_path / "out/report.html").exists()


def test_results_of_another_command_go(cli, data, tmp_path):
    assert cli("kmeans", data, "-k", 4, "-o", "out").status == 0
    ran = cli("pca", data, "-n", 2, "-o", "out")
    assert ran.status == 2
    assert "out: holds results already" in ran.err
    assert cli("pca", data, "-n", 2, "-o", "out", "--overwrite", "--no-report").status == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"coordinates.npy", "model.safetensors", "summary.json"}
    assert cli("kmeans", data, "-k", 4, "-o", "out", "--overwrite").status == 0
    assert not (tmp_path / "out/coordinates.npy").exists()


@pytest.mark.parametrize("kind", ["npy", "csv", "parquet"])
def test_blocks_of_a_file(cli, blobs, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(_source, "KEPT", 0)
    monkeypatch.setattr(pca, "WATCHED", 0)
    X, path = blobs[0], tmp_path / f"d.{kind}"
    if kind == "npy":
        np.save(path, X)
    else:
        import pyarrow as pa
        import pyarrow.csv as csv
        import pyarrow.parquet as pq

        table = pa.table({f"x{j}": column for j, column in enumerate(X.T)})
        (csv.write_csv if kind == "csv" else pq.write_table)(table, path)
    ran = cli("pca", path, "-n", 3, "-o", "out", "--chunk-size", 64)
    assert ran.status == 0, ran.err
    model = PCA(3).fit(X.astype(np.float64))
    loaded = PCA.load(tmp_path / "out/model.safetensors")
    np.testing.assert_allclose(loaded.components_, model.components_, atol=1e-5)
    if kind == "npy":
        coordinates = np.load(tmp_path / "out/coordinates.npy")
    else:
        assert list(loaded.feature_names_in_) == [f"x{j}" for j in range(6)]
        coordinates = read(
            tmp_path / "out" / f"coordinates.{'npy' if kind == 'csv' else 'parquet'}"
        )
    np.testing.assert_allclose(coordinates, model.transform(X.astype(np.float64)), atol=1e-3)


def read(path):
    if path.suffix == ".npy":
        return np.load(path)
    if path.suffix == ".csv":
        assert path.read_text().startswith("pca0,pca1,pca2\n")
        return np.loadtxt(path, delimiter=",", skiprows=1)
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    assert table.schema.names == ["pca0", "pca1", "pca2"]
    return np.column_stack([column.to_numpy() for column in table.columns])


@pytest.mark.parametrize("kind", ["npy", "csv", "parquet"])
def test_transform(cli, data, blobs, tmp_path, kind):
    assert cli("pca", data, "-n", 3, "-o", "run").status == 0
    ran = cli("transform", "run", data, "-o", f"new.{kind}", "--chunk-size", 70, "--threads", 1)
    assert ran.status == 0, ran.err
    assert f"300 rows of data.npy written to new.{kind}, 3 of 6 columns" in ran.out
    expected = np.load(tmp_path / "run/coordinates.npy")
    np.testing.assert_allclose(read(tmp_path / f"new.{kind}"), expected, rtol=1e-6)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_transform_by_other_models(cli, data, blobs, tmp_path, metric):
    for model in (KMeans(3, metric=metric, random_state=0), IncrementalPCA(2)):
        model.fit(blobs[0]).save(tmp_path / "m.safetensors")
        ran = cli("transform", "m.safetensors", data, "-o", "new.npy", "--overwrite")
        assert ran.status == 0, ran.err
        np.testing.assert_allclose(
            np.load(tmp_path / "new.npy"), model.transform(blobs[0]), atol=1e-6
        )


def test_a_row_without_direction_is_named(cli, blobs, tmp_path):
    rows = blobs[0].copy()
    KMeans(3, metric="cosine", random_state=0).fit(rows).save(tmp_path / "m.safetensors")
    rows[217] = 0
    np.save(tmp_path / "bad.npy", rows)
    ran = cli("transform", "m.safetensors", "bad.npy", "-o", "new.npy", "--chunk-size", 50)
    assert ran.status == 2
    assert "bad.npy: row 217 is zero and has no direction" in ran.err
    assert not (tmp_path / "new.npy").exists()


@pytest.mark.parametrize("shape", [(2, 1), (3, 7), (40, 2), (9, 9)])
def test_every_shape_has_a_report(cli, tmp_path, shape):
    X = np.random.default_rng(0).random(shape)
    np.save(tmp_path / "d.npy", X)
    ran = cli("pca", "d.npy", "-n", 1, "-o", "out", "--title", "<T>")
    assert ran.status == 0, ran.err
    page = (tmp_path / "out/report.html").read_text()
    assert "<h1>&lt;T&gt;</h1>" in page
    assert page.count("<svg") == 3


def test_rows_without_variance(cli, tmp_path):
    np.save(tmp_path / "d.npy", np.ones((5, 4)))
    ran = cli("pca", "d.npy", "-n", 2, "-o", "out")
    assert ran.status == 0, ran.err
    assert "nan" not in (tmp_path / "out/summary.json").read_text().lower()


def test_pictures(cli, tmp_path):
    pictures = np.random.default_rng(0).integers(0, 255, (50, 4, 5, 3), dtype=np.uint8)
    np.save(tmp_path / "d.npy", pictures)
    ran = cli("pca", "d.npy", "-n", 12, "-o", "out")
    assert ran.status == 0, ran.err
    page = (tmp_path / "out/report.html").read_text()
    for word in ("from 12 axes", "from 4 axes", "from 1 axis<", 'alt="Axis 12: '):
        assert word in page
    assert 'alt="Mean of the rows"' in page
    assert page.count("data:image/png;base64,") == 4 + 13


@pytest.mark.parametrize("number", [1, 3])
def test_an_interrupt_between_blocks_in_memory(cli, data, tmp_path, monkeypatch, number):
    """A mapped file is summed up in blocks: between them progress is shown and signals come."""
    seen = []
    part = progress.Lines.part

    def noted(self, done, total, what):
        part(self, done, total, what)
        seen.append((done, total))
        if len(seen) == number:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(_source, "BLOCK", 64 * 6 * 4)
    monkeypatch.setattr(progress.Lines, "part", noted)
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    ran = cli("pca", data, "-n", 2, "-o", "out")
    assert ran.status == 130
    assert seen == [(64, 300), (128, 300), (192, 300)][:number]
    assert "21.3 % read" in ran.out
    assert not (tmp_path / "out").exists()


def test_an_interrupt_keeps_nothing(cli, data, tmp_path, monkeypatch):
    def stop(self, X, **arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(pca.PCA, "fit", stop)
    ran = cli("pca", data, "-n", 2, "-o", "out")
    assert ran.status == 130
    assert "nothing is kept" in ran.out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("dtype", "size"), [("f8", 1e300), ("f4", 1e20)])
def test_rows_too_large_are_refused(cli, tmp_path, dtype, size):
    rows = (np.random.default_rng(0).normal(size=(60, 4)) * size).astype(dtype)
    np.save(tmp_path / "big.npy", rows)
    for solver in ("auto", "full", "randomized", "arpack"):
        ran = cli("pca", "big.npy", "-n", 2, "--solver", solver, "-o", "out", "--no-report")
        assert ran.status == 2
        assert ran.err.startswith("error: big.npy: the variance of the rows overflows float")
        assert ran.err.count("\n") == 1
        assert "divide the rows by" in ran.err
        assert not (tmp_path / "out/summary.json").exists()


@pytest.mark.parametrize(("dtype", "size"), [("f8", 1e150), ("f8", 1e-300), ("f4", 1e18)])
def test_rows_of_any_other_size_make_a_model(cli, tmp_path, dtype, size):
    rows = (np.random.default_rng(0).normal(size=(60, 4)) * size).astype(dtype)
    np.save(tmp_path / "rows.npy", rows)
    ran = cli("pca", "rows.npy", "-n", 2, "--whiten", "-o", "out")
    assert (ran.status, ran.err) == (0, "")
    text = (tmp_path / "out/summary.json").read_text()
    assert not {"NaN", "Infinity", "-Infinity"} & set(text.replace(",", " ").split())
    z = np.load(tmp_path / "out/coordinates.npy")
    np.testing.assert_allclose(z.std(axis=0, ddof=1), 1, rtol=1e-4)
    assert PCA.load(tmp_path / "out/model.safetensors").n_components_ == 2


def test_a_dominant_column_and_its_remedy(cli, tmp_path):
    X = np.random.default_rng(0).normal(size=(200, 3)) * [1.0, 1.0, 100.0]
    np.save(tmp_path / "x.npy", X)
    ran = cli("pca", "x.npy", "-n", 2, "-o", "plain", "-q")
    assert "warning: column 2 holds 99.98 % of the variance, so distances and principal" in ran.err
    assert "Column 2 holds 99.98 %" in (tmp_path / "plain/report.html").read_text()
    ran = cli("pca", "x.npy", "-n", 2, "-o", "out", "--standardize", "--images", "1x3")
    assert (ran.status, ran.err) == (0, "")
    page = (tmp_path / "out/report.html").read_text()
    assert "Principal components, columns divided by their standard deviations, of x.npy" in page
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["parameters"]["standardize"] is True
    assert max(summary["result"]["explained_variance_ratio"]) < 0.4
    assert cli("transform", "out", "x.npy", "-o", "again.npy").status == 0
    coordinates = np.load(tmp_path / "out/coordinates.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "again.npy"), coordinates)
