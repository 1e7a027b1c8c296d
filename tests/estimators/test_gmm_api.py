"""Callback, Ctrl-C, printed lines, model files, tensors, tables."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.validation import check_is_fitted

from unsup_fast.mixture import GaussianMixture, Iteration
from unsup_fast.storage import estimators

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

TYPES = ("full", "tied", "diag", "spherical")
FITTED = (
    "weights_",
    "means_",
    "covariances_",
    "precisions_",
    "precisions_cholesky_",
    "lower_bound_",
    "lower_bounds_",
    "converged_",
    "n_iter_",
    "n_features_in_",
)


def same(one, other):
    for name in FITTED:
        left, right = getattr(one, name), getattr(other, name)
        np.testing.assert_array_equal(left, right)
        assert type(left) is type(right)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype


def stop_after(iteration, run=1):
    def callback(state):
        if (state.run, state.iteration) == (run, iteration):
            raise KeyboardInterrupt

    return callback


def test_callback_sees_every_iteration(blobs):
    seen, chosen = [], []
    model = GaussianMixture(3, random_state=0, n_init=2, max_iter=7)
    model.fit(blobs, callback=seen.append, seeding_callback=lambda *at: chosen.append(at))
    assert {state.run for state in seen} == {1, 2}
    assert chosen[-1] == (3, 3)
    best = next(state for state in seen if state.lower_bound == model.lower_bound_)
    mine = [state for state in seen if state.run == best.run]
    assert [state.lower_bound for state in mine] == model.lower_bounds_
    assert [state.iteration for state in mine] == list(range(1, model.n_iter_ + 1))
    assert mine[0].change == np.inf
    assert mine[1].change == mine[1].lower_bound - mine[0].lower_bound
    last = mine[-1]
    assert isinstance(last, Iteration)
    assert (last.max_iter, last.tol) == (7, 1e-3)
    assert last.seconds > 0
    np.testing.assert_array_equal(last.means, model.means_)
    with pytest.raises(ValueError, match="read-only"):
        last.means[0] = 0
    with config_context(enable_metadata_routing=True), pytest.raises(TypeError, match="callback"):
        GaussianMixture().set_fit_request(callback=True)


@pytest.mark.parametrize("iteration", [1, 3])
def test_interrupt_keeps_the_last_iteration(blobs, iteration):
    options = {"random_state": 0, "tol": 0.0}
    model = GaussianMixture(3, **options)
    with pytest.raises(KeyboardInterrupt):
        model.fit(blobs, callback=stop_after(iteration))
    same(model, GaussianMixture(3, max_iter=iteration, **options).fit(blobs))
    model.set_params(warm_start=True, max_iter=2).fit(blobs)
    whole = GaussianMixture(3, max_iter=iteration + 2, **options).fit(blobs)
    np.testing.assert_array_equal(model.means_, whole.means_)


@pytest.mark.parametrize("finished", [0, 2])
def test_interrupt_between_runs(blobs, finished):
    starts = []

    def seeding(done, wanted):
        starts.append(done == wanted)
        if sum(starts) > finished:
            raise KeyboardInterrupt

    model = GaussianMixture(3, n_init=4, random_state=0, max_iter=4)
    with pytest.raises(KeyboardInterrupt):
        model.fit(blobs, seeding_callback=seeding)
    assert hasattr(model, "means_") == (finished > 0)
    if finished:
        same(model, GaussianMixture(3, n_init=2, random_state=0, max_iter=4).fit(blobs))


def test_verbose(blobs, capsys):
    GaussianMixture(3, verbose=1, verbose_interval=2, max_iter=5, tol=0.0, n_init=2).fit(blobs)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert lines[0] == "Initialization 0"
    assert lines[1].startswith("  Iteration 2, lower bound ")
    assert lines[1].endswith(" s left")
    assert lines[3].startswith("Initialization 0 did not converge, lower bound ")
    GaussianMixture(3).fit(blobs)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_save_and_load(blobs, tmp_path, covariance_type, dtype):
    X = pd.DataFrame((blobs + 1e4).astype(dtype), columns=list("abcd"))
    model = GaussianMixture(
        3, covariance_type=covariance_type, means_init=X.to_numpy()[:3], random_state=0, max_iter=5
    ).fit(X)
    model.save(tmp_path / "m.safetensors")
    loaded = GaussianMixture.load(tmp_path / "m.safetensors")
    check_is_fitted(loaded)
    same(model, loaded)
    assert loaded.feature_names_in_.tolist() == list("abcd")
    for method in ("predict", "predict_proba", "score_samples", "score", "bic", "aic"):
        np.testing.assert_array_equal(getattr(loaded, method)(X), getattr(model, method)(X))
    np.testing.assert_array_equal(loaded.sample(9)[0], model.sample(9)[0])
    for one in (model, loaded):
        one.set_params(warm_start=True).fit(X)
    same(model, loaded)
    with pytest.raises(ValueError, match="it holds a GaussianMixture, not a KMeans"):
        estimators.read(tmp_path / "m.safetensors", ["KMeans"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, h: a.pop("means"), "it holds the arrays"),
        (lambda a, h: a.update(means=a["means"][:, :2].copy()), "means is float64"),
        (lambda a, h: a.update(weights=a["weights"] * np.nan), "not finite"),
        (lambda a, h: a.update(factors=-a["factors"]), "not positive"),
        (lambda a, h: h["state"].update(n_iter_="9"), "n_iter_='9'"),
        (lambda a, h: h["state"].update(dtype="int8"), "dtype='int8'"),
        (lambda a, h: h["state"].update(feature_names_in_=["a"]), "it names 1 features, not 4"),
        (lambda a, h: h["parameters"].update(covariance_type="round"), "parameters are not valid"),
    ],
)
def test_damaged_files(blobs, tmp_path, change, message, monkeypatch):
    path = tmp_path / "m.safetensors"
    model = GaussianMixture(2, random_state=0).fit(blobs)
    write = estimators.write

    def changed(path, estimator, arrays, state):
        head = {"state": state, "parameters": estimator.get_params()}
        change(arrays, head)
        estimator.__dict__.update(head["parameters"])
        write(path, estimator, arrays, state)

    monkeypatch.setattr(estimators, "write", changed)
    model.save(path)
    with pytest.raises(ValueError, match=message):
        GaussianMixture.load(path)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tensors(blobs, dtype):
    torch = pytest.importorskip("torch")
    X = blobs.astype(dtype)
    model = GaussianMixture(3, random_state=0).fit(torch.from_numpy(X))
    plain = GaussianMixture(3, random_state=0).fit(X)
    for name in FITTED[:5]:
        assert isinstance(getattr(model, name), torch.Tensor)
        np.testing.assert_array_equal(getattr(model, name).numpy(), getattr(plain, name))
    for method in ("predict", "predict_proba", "score_samples"):
        result = getattr(model, method)(torch.from_numpy(X))
        np.testing.assert_array_equal(result.numpy(), getattr(plain, method)(X))
        assert isinstance(getattr(model, method)(X), np.ndarray)
    rows, labels = model.sample(7)
    np.testing.assert_array_equal(rows.numpy(), plain.sample(7)[0])
    assert labels.dtype == torch.int64
    with pytest.raises(ValueError, match=r"pass X\.cpu\(\)"):
        GaussianMixture().fit(torch.empty(3, 2, device="meta"))


def test_tables(blobs, tmp_path):
    pa = pytest.importorskip("pyarrow")
    frame = pd.DataFrame(blobs, columns=list("abcd"))
    model = GaussianMixture(3, random_state=0).fit(pa.Table.from_pandas(frame))
    assert model.feature_names_in_.tolist() == list("abcd")
    np.testing.assert_allclose(model.means_, GaussianMixture(3, random_state=0).fit(frame).means_)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(pa.Table.from_pandas(frame[list("bacd")]))


def test_rows_are_neither_copied_nor_changed(blobs):
    X = blobs.astype(np.float32)
    X.flags.writeable = False
    GaussianMixture(3, random_state=0).fit(X).predict(X)


def test_tools(blobs):
    model = GaussianMixture(2, random_state=0).fit(blobs.astype(np.float32))
    again = pickle.loads(pickle.dumps(model))
    same(model, again)
    assert clone(model).get_params() == model.get_params()
    search = GridSearchCV(GaussianMixture(random_state=0), {"n_components": [1, 4]}, cv=2)
    assert search.fit(blobs).best_params_["n_components"] in (1, 4)
