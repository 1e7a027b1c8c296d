"""Sums in a fixed tree: the same for any division of the blocks."""

import operator

import numpy as np
import pytest

from unsup_fast._rows.tree import Tree, total


def by_recursion(values):
    """Add up the largest power of two of blocks that is smaller than all, and the others."""
    if len(values) == 1:
        return values[0]
    half = 1 << (len(values) - 1).bit_length() - 1
    return by_recursion(values[:half]) + by_recursion(values[half:])


@pytest.mark.parametrize("n_blocks", [1, 2, 3, 7, 64, 65, 100])
def test_any_runs_of_blocks_have_the_same_total(n_blocks):
    rng = np.random.default_rng(n_blocks)
    values = [float(value) for value in rng.normal(size=n_blocks) * 10.0 ** rng.integers(0, 9)]
    expected = by_recursion(values)
    for _ in range(20):
        cuts = np.sort(rng.integers(0, n_blocks + 1, size=rng.integers(0, 9)))
        nodes = []
        for start, stop in zip([0, *cuts], [*cuts, n_blocks], strict=True):
            tree = Tree(operator.add, int(start))
            for value in values[start:stop]:
                tree.add(value)
            assert len(tree.nodes) <= max(1, 2 * np.log2(max(1, stop - start)))
            nodes += tree.nodes
        assert total(nodes, operator.add) == expected
    np.testing.assert_allclose(expected, np.sum(values), rtol=1e-9)
