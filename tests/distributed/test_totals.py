"""Totals that holders send, against Python's integers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unsup_fast.cluster._holder import Changes, KMeansHolder, apply
from unsup_fast.kernels import totals

K, D = 5, 3
LARGE = 1 << 62


@st.composite
def holders(draw):
    """Return the totals of a few holders, as if each had up to 2^31 rows, in two passes."""
    number = st.integers(-LARGE, LARGE)
    count = st.integers(0, totals.MOST_ROWS)
    one = st.tuples(
        st.lists(number, min_size=K * D, max_size=K * D), st.lists(count, min_size=K, max_size=K)
    )
    return [draw(st.tuples(one, one)) for _ in range(draw(st.integers(1, 6)))]


@given(holders())
def test_sums_of_ten_billion_rows_are_those_of_integers(passes):
    quanta = np.ones(8)
    together = totals.empty(quanta, K, 10_000_000_000)
    each = []
    for _ in passes:
        holder = KMeansHolder.__new__(KMeansHolder)
        holder._totals, holder._sent = (totals.empty(quanta, K) for _ in range(2))
        each.append(holder)
    for number in range(2):
        for holder, states in zip(each, passes, strict=True):
            sums, counts = states[number]
            holder._totals.sums[:, :D] = np.array(sums).reshape(K, D) >> 1  # differences fit
            holder._totals.counts[:] = counts
            apply(holder._changes(D), together)
        expected = [sum(states[number][0][i] >> 1 for states in passes) for i in range(K * D)]
        whole = [
            int(low) + (int(high) << 32)
            for low, high in zip(
                together.sums[:, :D].ravel(), together.carried[:, :D].ravel(), strict=True
            )
        ]
        assert whole == expected
        counts = [sum(states[number][1][k] for states in passes) for k in range(K)]
        assert together.counts.tolist() == counts


@pytest.mark.parametrize("changed", [1, 40, 400])
def test_replies_are_small(changed):
    clusters, columns = 400, 64
    quanta = np.ones(columns)
    holder = KMeansHolder.__new__(KMeansHolder)
    holder._totals, holder._sent = (totals.empty(quanta, clusters) for _ in range(2))
    holder._totals.counts[:changed] = 1
    changes = holder._changes(columns)
    assert isinstance(changes, Changes)
    np.testing.assert_array_equal(changes.numbers(clusters), np.arange(changed))
    size = sum(part.nbytes for part in changes if part is not None)
    assert size <= 1.05 * changed * (columns + 1) * 8 + 4096
    assert holder._changes(columns).sums.shape == (0, columns)
