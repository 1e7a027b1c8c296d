"""`unsup-fast gmm`: what goes in and what comes out."""

import json
import os
import signal

import numpy as np
import pytest

from unsup_fast.cli.gmm import fits as mixtures
from unsup_fast.mixture import GaussianMixture


@pytest.fixture
def interrupt_at(monkeypatch):
    """Return a function that has a signal come in an iteration of the fit of so many components."""

    def arm(components, iteration):
        fit = mixtures._fit

        def fitted(model, X, weights, engine, callback, progress):
            def called(state):
                callback(state)
                if (model.n_components, state.iteration) == (components, iteration):
                    os.kill(os.getpid(), signal.SIGINT)

            fit(model, X, weights, engine, called, progress)

        monkeypatch.setattr(mixtures, "_fit", fitted)

    return arm


def summary_of(out):
    return json.loads((out / "summary.json").read_text())


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
def test_labels_are_those_of_the_estimator(cli, data, blobs, tmp_path, covariance):
    words = ["--covariance", covariance, "--seed", 3, "--reg-covar", 1e-5, "--n-init", 2]
    ran = cli("gmm", data, "-k", 4, "-o", "out", "--proba", *words)
    assert ran.status == 0, ran.err
    model = GaussianMixture(
        4, covariance_type=covariance, random_state=3, reg_covar=1e-5, n_init=2
    ).fit(blobs[0])
    labels = np.load(tmp_path / "out/labels.npy")
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, model.predict(blobs[0]))
    np.testing.assert_allclose(
        np.load(tmp_path / "out/probabilities.npy"), model.predict_proba(blobs[0]), atol=1e-6
    )
    loaded = GaussianMixture.load(tmp_path / "out/model.safetensors")
    np.testing.assert_allclose(loaded.means_, model.means_, rtol=1e-6)
    result = summary_of(tmp_path / "out")["result"]
    assert result["bic"] == pytest.approx(model.bic(blobs[0]), rel=1e-6)
    assert result["aic"] == pytest.approx(model.aic(blobs[0]), rel=1e-6)
    assert result["iterations"] == model.n_iter_


def test_files_and_lines(cli, data, tmp_path):
    ran = cli("gmm", data, "-k", 4, "-o", "out")
    assert ran.status == 0, ran.err
    assert ran.err == ""
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"labels.npy", "model.safetensors", "summary.json", "report.html"}
    for words in ("iteration 1: log-likelihood ", "Converged after", "BIC", "report.html"):
        assert words in ran.out
    ran = cli("gmm", data, "-k", 4, "-o", "q", "--quiet", "--no-report")
    assert (ran.status, ran.out, ran.err) == (0, "", "")


@pytest.mark.parametrize("criterion", ["bic", "aic"])
def test_the_best_of_a_range(cli, data, blobs, tmp_path, criterion):
    ran = cli("gmm", data, "-k", "2:6:2", "-o", "out", "--criterion", criterion)
    assert ran.status == 0, ran.err
    result = summary_of(tmp_path / "out")["result"]
    fits = result["fits"]
    assert [fit["components"] for fit in fits] == [2, 4, 6]
    models = [GaussianMixture(k, random_state=0).fit(blobs[0]) for k in (2, 4, 6)]
    values = [getattr(model, criterion)(blobs[0]) for model in models]
    np.testing.assert_allclose([fit[criterion] for fit in fits], values, rtol=1e-6)
    best = models[int(np.argmin(values))]
    assert result["components"] == best.n_components
    assert f"have the least {criterion.upper()} of 3 fits" in ran.out
    np.testing.assert_array_equal(np.load(tmp_path / "out/labels.npy"), best.predict(blobs[0]))
    page = (tmp_path / "out/report.html").read_text()
    assert f"the one of least {criterion.upper()} is kept" in page


def test_an_interrupt_keeps_the_last_iteration(cli, hard, tmp_path, interrupt_at):
    interrupt_at(5, 3)
    ran = cli("gmm", hard, "-k", 5, "--tol", 0, "-o", "out")
    assert ran.status == 130
    assert "Interrupted; keeping iteration 3" in ran.out
    result = summary_of(tmp_path / "out")["result"]
    assert result["iterations"] == 3
    assert result["stopped"] == "interrupted"
    model = GaussianMixture(5, tol=0, max_iter=3, random_state=0)
    with pytest.warns(match="did not converge"):
        model.fit(np.load(hard))
    np.testing.assert_array_equal(
        np.load(tmp_path / "out/labels.npy"), model.predict(np.load(hard))
    )
    assert (tmp_path / "out/report.html").exists()


def test_an_interrupt_keeps_the_finished_fits(cli, hard, tmp_path, interrupt_at):
    interrupt_at(4, 2)
    ran = cli("gmm", hard, "-k", "2:6", "-o", "out")
    assert ran.status == 130
    assert "keeping the finished fits" in ran.out
    result = summary_of(tmp_path / "out")["result"]
    assert [fit["components"] for fit in result["fits"]] == [2, 3]
    assert "3 more fits were not finished" in (tmp_path / "out/report.html").read_text()


def test_an_interrupt_before_an_iteration(cli, data, tmp_path, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(mixtures, "_fit", stop)
    ran = cli("gmm", data, "-k", 3, "-o", "out")
    assert ran.status == 130
    assert "nothing is kept" in ran.out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("how", ["file", "column"])
def test_weights(cli, blobs, tmp_path, how):
    X, weights = blobs[0].astype(np.float64), np.random.default_rng(2).random(300)
    rows = np.column_stack([X, weights])
    np.savetxt(tmp_path / "d.csv", rows, "%.17g", ",", header="a,b,c,d,e,f,w", comments="")
    np.save(tmp_path / "w.npy", weights)
    options = (
        ["--weights", "w"]
        if how == "column"
        else ["--weights", "w.npy", "--columns", "a,b,c,d,e,f"]
    )
    ran = cli("gmm", "d.csv", "-k", 4, "-o", "out", "--no-report", *options)
    assert ran.status == 0, ran.err
    model = GaussianMixture(4, random_state=0).fit(X, sample_weight=weights)
    np.testing.assert_array_equal(np.load(tmp_path / "out/labels.npy"), model.predict(X))
    log_likelihood = summary_of(tmp_path / "out")["result"]["log_likelihood"]
    assert log_likelihood == pytest.approx(model.score(X, sample_weight=weights), rel=1e-9)


def test_parquet_in_parquet_out(cli, blobs, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {f"<x{j}>": blobs[0][:, j] for j in range(6)}
    pq.write_table(pa.table(columns), tmp_path / "d.parquet", row_group_size=70)
    ran = cli("gmm", "d.parquet", "-k", 3, "-o", "out", "--proba", "--chunk-size", 64)
    assert ran.status == 0, ran.err
    labels = pq.read_table(tmp_path / "out/labels.parquet")["label"].to_numpy()
    table = pq.read_table(tmp_path / "out/probabilities.parquet")
    assert table.schema.names == ["p0", "p1", "p2"]
    probabilities = np.column_stack([column.to_numpy() for column in table.columns])
    np.testing.assert_array_equal(labels, probabilities.argmax(axis=1))
    page = (tmp_path / "out/report.html").read_text()
    assert "&lt;x0&gt;" in page
    assert "<x0>" not in page
    ran = cli("predict", "out", "d.parquet", "-o", "new.npy")
    assert ran.status == 0, ran.err
    np.testing.assert_array_equal(np.load(tmp_path / "new.npy"), labels)


@pytest.mark.parametrize("kind", ["npy", "parquet", "csv"])
def test_probabilities_of_new_rows(cli, data, blobs, tmp_path, kind):
    assert cli("gmm", data, "-k", 3, "-o", "run", "--no-report").status == 0
    ran = cli("predict", "run", data, "-o", f"new.{kind}", "--proba", "--chunk-size", 70)
    assert ran.status == 0, ran.err
    model = GaussianMixture.load(tmp_path / "run/model.safetensors")
    if kind == "npy":
        labels = np.load(tmp_path / "new.npy")
        probabilities = np.load(tmp_path / "new.probabilities.npy")
    elif kind == "csv":
        assert (tmp_path / "new.csv").read_text().startswith("label,p0,p1,p2\n")
        labels, *probabilities = np.loadtxt(tmp_path / "new.csv", delimiter=",", skiprows=1).T
        probabilities = np.column_stack(probabilities)
    else:
        import pyarrow.parquet as pq

        labels, *probabilities = (
            column.to_numpy() for column in pq.read_table(tmp_path / "new.parquet").columns
        )
        probabilities = np.column_stack(probabilities)
    np.testing.assert_array_equal(labels, model.predict(blobs[0]))
    np.testing.assert_allclose(probabilities, model.predict_proba(blobs[0]), atol=1e-6)


def test_a_covariance_that_is_raised_is_a_warning(cli, tmp_path):
    rows = np.repeat(np.random.default_rng(0).random((3, 4)), 10, axis=0)
    np.save(tmp_path / "d.npy", rows)
    ran = cli("gmm", "d.npy", "-k", 2, "-o", "out", "--reg-covar", 0)
    assert ran.status == 0, ran.err
    assert "warning: k = 2: " in ran.err
    assert "nan" not in (tmp_path / "out/summary.json").read_text().lower()


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("shape", [(2, 1), (40, 2), (60, 12)])
def test_every_shape_has_a_report(cli, tmp_path, shape, covariance):
    np.save(tmp_path / "d.npy", np.random.default_rng(0).random(shape))
    words = ["-k", min(3, shape[0]), "--covariance", covariance, "--reg-covar", 1e-3]
    ran = cli("gmm", "d.npy", *words, "-o", "out", "--title", "<T>")
    assert ran.status == 0, ran.err
    page = (tmp_path / "out/report.html").read_text()
    assert "<h1>&lt;T&gt;</h1>" in page
    assert page.count("<svg") == (4 if shape[1] > 2 else 3)
    if shape == (60, 12):
        ran = cli("gmm", "d.npy", *words, "-o", "i", "--images", "3x4")
        assert ran.status == 0, ran.err
        assert "Standard deviations of component 0" in (tmp_path / "i/report.html").read_text()


def test_squares_out_of_range(cli, tmp_path, results):
    """Of float32 the mixture is finite, and so is its JSON; of float64 one line says what to do."""
    rows = np.random.default_rng(0).random((60, 4))
    narrow = rows.astype(np.float32)
    narrow[0] = 1e20
    np.save(tmp_path / "narrow.npy", narrow)
    np.save(tmp_path / "wide.npy", rows * 1e300)
    assert cli("gmm", "narrow.npy", "-k", 2, "-o", "out", "--quiet").status == 0

    def refuse(name):
        raise AssertionError(name)

    summary = json.loads((tmp_path / "out/summary.json").read_text(), parse_constant=refuse)
    assert np.isfinite(summary["result"]["bic"])
    model = GaussianMixture.load(tmp_path / "out/model.safetensors")
    assert np.isfinite(model.covariances_).all()
    for command, what in (("gmm", "squares"), ("kmeans", "squared distances")):
        ran = cli(command, "wide.npy", "-k", 2, "-o", "other")
        assert ran.status == 2
        said = f"error: the {what} of wide.npy overflow float64; divide wide.npy by its largest mag"
        assert said in ran.err
        assert ran.err.count("\n") == 1


def test_a_dominant_column_and_its_remedy(cli, tmp_path):
    random = np.random.default_rng(0)
    X = random.normal(size=(300, 3)) + 9 * random.integers(2, size=(300, 1))
    np.save(tmp_path / "x.npy", X * [1.0, 1.0, 1e3])
    ran = cli("gmm", "x.npy", "-k", 2, "-o", "plain", "--no-report", "-q")
    assert "warning: column 2 holds > 99.99 % of the variance, so distances" in ran.err
    assert summary_of(tmp_path / "plain")["data"]["notes"][0].startswith("Column 2 holds")
    ran = cli("gmm", "x.npy", "-k", "1:2", "-o", "out", "--standardize")
    assert (ran.status, ran.err) == (0, "")
    page = (tmp_path / "out/report.html").read_text()
    assert "columns divided by their standard deviations, of x.npy" in page
    model = GaussianMixture.load(tmp_path / "out/model.safetensors")
    np.testing.assert_allclose(model.scale_, (X * [1.0, 1.0, 1e3]).std(axis=0), rtol=1e-12)
    means = model.means_ * model.scale_ / [1.0, 1.0, 1e3]
    np.testing.assert_allclose(np.sort(means.mean(axis=1)), [0, 9], atol=0.3)
    for mean in (means * [1.0, 1.0, 1e3])[:, 2]:  # in the units of the column
        assert f"{mean:.5g}"[:5].replace("e", "") in page.replace(",", "")
    assert cli("predict", "out", "x.npy", "-o", "labels.npy").status == 0
    labels = np.load(tmp_path / "out/labels.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), labels)
    assert summary_of(tmp_path / "out")["parameters"]["standardize"] is True
