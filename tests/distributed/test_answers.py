"""What an actor answers for its holder."""

import pickle

import cloudpickle
import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from unsup_fast import blocks
from unsup_fast.cluster._holder import KMeansHolder
from unsup_fast.distributed._answers import Answers, value_of
from unsup_fast.distributed._parts import Part
from unsup_fast.kernels import threads, totals

N, D, K = 4000, 16, 64


class Asked:
    """Tells a test about the process."""

    def __init__(self):
        self.n_threads = threads.allowed()

    def limits(self):
        return self.n_threads, threads.allowed()

    def fail(self):
        raise FileNotFoundError("no rows")


def test_calls_are_answered_in_their_order():
    answers = Answers(3)
    assert answers.answer(0, "limits", ()) is None  # no holder yet
    assert value_of(answers.create(cloudpickle.dumps(Asked))) is None
    before = ThreadpoolController().info()
    assert value_of(answers.answer(0, "limits", ())) == (3, 3)
    assert ThreadpoolController().info() == before
    assert answers.answer(0, "limits", ()) is None
    with pytest.raises(FileNotFoundError, match="no rows"):
        value_of(answers.answer(1, "fail", pickle.dumps(())))
    reply = answers.answer(2, "limits", b"not pickled")
    with pytest.raises(pickle.UnpicklingError):
        value_of(reply)
    assert value_of(answers.answer(3, "limits", ())) == (3, 3)


def test_replies_are_as_large_as_what_changed():
    X = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
    answers = Answers(1)
    answers.create(KMeansHolder)
    number = iter(range(100))

    def call(verb, *arguments):
        return answers.answer(next(number), verb, arguments)

    part = Part(index=0, open=lambda: blocks.source(X))
    value_of(call("load", [part], X.dtype, "X"))
    value_of(call("number", {0: 0}, {0: 0}))
    quanta = totals.quanta(np.abs(X).max(axis=0).astype(float), N, X)
    value_of(call("begin", 0, "euclidean", True, False, K, quanta))
    centers = X[:K].copy()
    for moving in (K, K // 4, 1):
        reply = call("move", centers, 5)
        changed = len(value_of(reply).changes.counts)
        assert len(cloudpickle.dumps(reply)) <= 1.05 * changed * (D + 1) * 8 + 4096
        assert 0 < changed <= K
        centers = centers.copy()
        centers[:moving] += np.float32(0.05)
