"""Scores of a judge: their file, the best weights, and what may go wrong."""

import csv
import math
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from unsup_fast.models.training import scores  # noqa: E402

toy = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("toy_training.py"))))


def table(folder):
    with (folder / "scores.csv").open() as file:
        return list(csv.DictReader(file))


class Recorder:
    """A judge that gives numbers of a list, and copies the averaged weights it sees."""

    def __init__(self, *values):
        self.values, self.seen = iter(values), []

    def __call__(self, state):
        self.seen.append({k: v.clone() for k, v in state.ema["generator"].state_dict().items()})
        return {"fid": next(self.values)}


def run(folder, judge, *, best=("fid", "min"), steps=12, **options):
    return toy.run("game", folder, steps=steps, hooks={"judge": judge, "best": best}, **options)


@pytest.mark.parametrize(
    ("goal", "values", "expected"),
    [
        ("min", (3.0, 0.0, 2.0, 1.0), 1),
        ("max", (3.0, 7.0, 9.0, 9.0), 2),
        ("min", (math.nan, 5.0, math.nan, 5.0), 1),
        ("max", (-math.inf, -2.0, -3.0, -2.5), 1),
    ],
)
def test_the_best_weights_stay(tmp_path, goal, values, expected):
    judge = Recorder(*values)
    state = run(tmp_path, judge, best=("fid", goal))
    assert [int(row["step"]) for row in table(tmp_path)] == [3, 6, 9, 12]
    assert [float(row["fid"]) for row in table(tmp_path)] == pytest.approx(values, nan_ok=True)
    network = state.networks["generator"]
    note = scores.load_best(tmp_path, {"generator": network})
    assert note == {"step": 3 * (expected + 1), "scores": {"fid": values[expected]}}
    for name, value in network.state_dict().items():
        assert torch.equal(value, judge.seen[expected][name])


def test_a_resumed_run_knows_its_best(tmp_path):
    run(tmp_path, Recorder(2.0, 4.0), steps=6, judge_every=3)
    before = (tmp_path / scores.FILE).read_bytes()
    run(tmp_path, Recorder(3.0, 2.0), steps=12, judge_every=3)
    assert (tmp_path / scores.FILE).read_bytes() == before
    assert [row["fid"] for row in table(tmp_path)] == ["2.0", "4.0", "3.0", "2.0"]
    run(tmp_path, Recorder(1.0), steps=15, judge_every=3)
    assert scores.load_best(tmp_path, {})["step"] == 15


def test_lost_weights_are_replaced_by_the_next_best(tmp_path):
    run(tmp_path, Recorder(2.0, 4.0), steps=6)
    (tmp_path / scores.FILE).unlink()
    run(tmp_path, Recorder(3.0), steps=9)
    assert scores.load_best(tmp_path, {}) == {"step": 9, "scores": {"fid": 3.0}}


def test_lost_scores_do_not_cost_the_best_weights(tmp_path):
    run(tmp_path, Recorder(1.0, 4.0), steps=6)
    (tmp_path / "scores.csv").unlink()
    run(tmp_path, Recorder(9.0), steps=9)
    assert scores.load_best(tmp_path, {}) == {"step": 3, "scores": {"fid": 1.0}}
    assert [row["fid"] for row in table(tmp_path)] == ["9.0"]


def test_another_training_does_not_inherit_best_weights(tmp_path):
    run(tmp_path, Recorder(1.0, 4.0), steps=6)
    (tmp_path / "checkpoint.safetensors").unlink()
    run(tmp_path, Recorder(math.nan, 7.0), steps=6)
    assert scores.load_best(tmp_path, {}) == {"step": 6, "scores": {"fid": 7.0}}


def test_infinity_is_not_the_best(tmp_path):
    run(tmp_path, Recorder(math.inf, 5.0), best=("fid", "max"), steps=6)
    assert scores.load_best(tmp_path, {}) == {"step": 6, "scores": {"fid": 5.0}}


def test_a_score_may_be_missing_once(tmp_path):
    rows = iter([{"fid": 2.0, "kid": 1.0}, {"kid": 3.0}, {"fid": 1.0, "kid": 2.0}])
    run(tmp_path, lambda state: next(rows), steps=9)
    assert [row["fid"] for row in table(tmp_path)] == ["2.0", "", "1.0"]
    assert scores.load_best(tmp_path, {})["step"] == 9


def test_scores_survive_a_run_without_a_judge(tmp_path):
    run(tmp_path, Recorder(2.0, 4.0), steps=6)
    run(tmp_path, None, best=None, steps=9)
    run(tmp_path, Recorder(3.0), steps=12)
    assert [int(row["step"]) for row in table(tmp_path)] == [3, 6, 12]


def test_a_failing_judge_does_not_end_training(tmp_path):
    with pytest.warns(RuntimeWarning, match="judging step 12 failed, and training goes on: Stop"):
        state = run(tmp_path, Recorder(2.0, 4.0, 3.0))
    assert state.step == 12
    assert [int(row["step"]) for row in table(tmp_path)] == [3, 6, 9]


@pytest.mark.parametrize(
    ("hooks", "message"),
    [
        ({"judge": None, "best": ("fid", "min")}, "needs the scores of a judge"),
        ({"judge": lambda state: {}, "best": ("fid", "least")}, 'a score and "min" or "max"'),
        (
            {"judge": lambda state: {"kid": 1.0}, "best": ("fid", "min")},
            r"gave the scores \['kid'\]",
        ),
    ],
)
def test_hooks_are_checked(tmp_path, hooks, message):
    with pytest.raises(ValueError, match=message):
        toy.run("game", tmp_path, steps=3, hooks=hooks)


def test_scores_keep_their_names(tmp_path):
    values = iter([{"fid": 1.0}, {"kid": 1.0}])
    with pytest.raises(ValueError, match=r"step 6 gave the scores \['kid'\], and those before it"):
        run(tmp_path, lambda state: next(values), best=None)


def test_weights_of_other_networks_are_refused(tmp_path):
    run(tmp_path, Recorder(1.0), steps=3)
    for other in (torch.nn.Linear(2, 8), torch.nn.Sequential(torch.nn.Linear(2, 9))):
        with pytest.raises(ValueError, match="does not hold weights of network 'generator'"):
            scores.load_best(tmp_path, {"generator": other})
