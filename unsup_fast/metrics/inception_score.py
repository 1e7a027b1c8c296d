"""The Inception Score: a classifier's confidence in each image and the diversity of its answers.

Salimans, Goodfellow, Zaremba, Cheung, Radford & Chen, "Improved Techniques for Training GANs",
NeurIPS 2016, eq. 1: the exponential of the **mean** over samples of KL(p(y|x) || p(y)). That mean
is H(y) - H(y|x), so three float64 sums over the samples of a part are all that is needed.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from scipy.special import entr, softmax

from unsup_fast._types import Array, ArrayLike
from unsup_fast.metrics._features import (
    Estimate,
    Extractor,
    matrix,
    samples,
    summary,
    warn_of_few,
    whole,
)

TOLERANCE = 1e-3  # of the sum of probabilities: in float16, 1008 of them are off by half of that
BLOCK = 1 << 20  # float64 values that are computed with at a time: 8 MiB


class Sums(NamedTuple):
    """Sums over the samples of each of S parts, in float64."""

    counts: Array
    """[S]: samples"""
    classes: Array
    """[S, K]: p(y|x)"""
    entropies: Array
    """[S]: H(y|x)"""


def inception_score(
    probabilities: ArrayLike, *, splits: int = 10, logits: bool = False
) -> Estimate:
    """Return mean and standard deviation of the Inception Score over consecutive parts.

    As in the authors' code, part i of S holds the samples from ``i * N // S`` to before
    ``(i + 1) * N // S``. Shuffle samples that are ordered by class, or each part lacks classes.

    Parameters
    ----------
    probabilities : array-like or tensor of shape (N, K)
        p(y|x) of each sample: not negative, summing to 1 within 0.001 (they are divided by their
        sum, in float64).
    splits : int, default=10
        Number of parts S.
    logits : bool, default=False
        Whether these are logits, of which the softmax is taken, in float64.

    Returns
    -------
    Estimate
        The mean is between 1 and K, and no more than the samples of a part.

    Warns
    -----
    FewSamplesWarning
        If a part has fewer samples than there are classes: the score is biased downwards then.

    Raises
    ------
    TypeError, ValueError
        If `probabilities` are no such matrix, not finite, or fewer than `splits`.

    Examples
    --------
    >>> import numpy as np
    >>> from unsup_fast.metrics import inception_score
    >>> inception_score(np.tile(np.eye(4), (5, 1)), splits=2).mean
    4.0
    """
    rows = _checked("probabilities", probabilities, logits, 0)
    sums = _empty(whole("splits", splits), rows.shape[1])
    _check_splits(splits, len(rows))
    _add(sums, rows, 0, len(rows), logits)
    return _score(sums)


class InceptionScore:
    """The Inception Score of samples that come block by block.

    Without `n_samples`, where parts begin is known only at the end: answers of the classifier are
    stored until then, 4 KB a sample. With it, only sums are stored.

    Parameters
    ----------
    extractor : callable, optional
        Receives what `update` receives, such as a batch of images, and returns probabilities or
        logits.
    splits, logits
        As in `inception_score`.
    n_samples : int, optional
        How many samples there will be in all, in all processes.
    first : int, default=0
        With `n_samples`: the number of samples before the first one passed to this object.
    """

    def __init__(
        self,
        extractor: Extractor | None = None,
        *,
        splits: int = 10,
        logits: bool = False,
        n_samples: int | None = None,
        first: int = 0,
    ) -> None:
        self.extractor = extractor
        self.splits = whole("splits", splits)
        self.logits = logits
        self.n_samples = None if n_samples is None else whole("n_samples", n_samples)
        self.first = whole("first", first, 0)
        if self.n_samples is not None:
            _check_splits(self.splits, self.n_samples)
        self.reset()

    def __repr__(self) -> str:
        n = sum(map(len, self._rows)) + int(self._sums.counts.sum())
        sides = {"probabilities": samples(n, self._n_classes())} if n else {}
        return summary(self, sides)

    def reset(self) -> None:
        """Forget all samples."""
        self._rows: list[Array] = []
        self._sums = _empty(self.splits, 0)
        self._position = self.first  # of the next sample among all

    def update(self, X: Any) -> None:
        """Add samples.

        Parameters
        ----------
        X : array-like or tensor of shape (N, K), or what the extractor takes
            Probabilities, or logits.

        Raises
        ------
        TypeError, ValueError
            As `inception_score`, if K differs from before, or if there are more than `n_samples`.
        """
        value = X if self.extractor is None else self.extractor(X)
        rows = _checked("X", value, self.logits, self._n_classes())
        if self.n_samples is None:
            self._rows.append(rows.copy())
            return
        if self._position + len(rows) > self.n_samples:
            raise ValueError(
                f"{self._position + len(rows)} samples are more than n_samples={self.n_samples}"
            )
        if not self._n_classes():
            self._sums = _empty(self.splits, rows.shape[1])
        _add(self._sums, rows, self._position, self.n_samples, self.logits)
        self._position += len(rows)

    def merge(self, other: "InceptionScore") -> None:
        """Append the samples of another accumulator, or with `n_samples` add its sums.

        Raises
        ------
        TypeError, ValueError
            If it is of another class, or has other parameters.
        """
        if type(other) is not type(self):
            raise TypeError(f"cannot merge {type(other).__name__} into {type(self).__name__}")
        for name in ("splits", "logits", "n_samples"):
            if getattr(other, name) != getattr(self, name):
                raise ValueError(
                    f"{name}={getattr(other, name)} cannot be merged into {getattr(self, name)}; "
                    "make both with the same"
                )
        position = self._position
        self._take(other.state_dict())
        self._position = position

    def compute(self) -> Estimate:
        """Return what `inception_score` does of all samples.

        With `n_samples` they agree up to the rounding of float64 sums, otherwise bit for bit.

        Raises
        ------
        ValueError
            If there are no samples, fewer than `splits`, or another number than `n_samples`.
        """
        if self.n_samples is None:
            rows = _joined(self._rows)
            if not len(rows):
                raise ValueError("there are no samples yet; call update(X) first")
            return inception_score(rows, splits=self.splits, logits=self.logits)
        missing = np.diff(_bounds(self.splits, self.n_samples)) - self._sums.counts
        if missing.any():
            part = int(np.flatnonzero(missing)[0])
            raise ValueError(
                f"split {part} lacks {int(missing[part])} of its samples (negative: has too many); "
                f"{int(self._sums.counts.sum())} of n_samples={self.n_samples} were seen"
            )
        return _score(self._sums)

    def state_dict(self) -> dict[str, Array]:
        """Return all state that `update` changes as arrays, which `load_state_dict` takes."""
        return {
            "rows": _joined(self._rows),
            "position": np.array(self._position),
            **{name: array.copy() for name, array in self._sums._asdict().items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace the samples by those of a `state_dict`.

        Raises
        ------
        KeyError, TypeError, ValueError
            If `state` did not come from `state_dict`, or has other parameters.
        """
        self.reset()
        self._take(state)
        self._position = int(state["position"])

    def _take(self, state: Mapping[str, Any]) -> None:
        if len(state["rows"]):
            if self.n_samples is not None:
                raise ValueError("the state has samples of an object without n_samples")
            rows = _checked("rows", state["rows"], self.logits, self._n_classes())
            self._rows.append(rows.copy())
        added = Sums(*(np.asarray(state[name], dtype=np.float64) for name in Sums._fields))
        if not all(np.isfinite(sums).all() for sums in added):
            raise ValueError(
                "the state has sums that are not finite; pass what state_dict returned"
            )
        if not added.counts.any():
            return
        n_classes = self._n_classes() or added.classes.shape[-1]
        if self.n_samples is None or added.classes.shape != (self.splits, n_classes):
            raise ValueError(
                f"the state has sums of shape {added.classes.shape}, which do not fit "
                f"splits={self.splits}, n_samples={self.n_samples} and the classes seen before"
            )
        before = self._sums if self._n_classes() else _empty(self.splits, n_classes)
        self._sums = Sums(*(a + b for a, b in zip(before, added, strict=True)))

    def _n_classes(self) -> int:
        """Return the number of classes, 0 before the first sample."""
        rows = self._rows[0] if self._rows else self._sums.classes
        return int(rows.shape[1])


def _checked(name: str, value: ArrayLike, logits: bool, n_classes: int) -> Array:
    """Return probabilities or logits [N, K], all finite and of K = n_classes, or raise."""
    rows = matrix(name, value)
    if n_classes and rows.shape[1] != n_classes:
        raise ValueError(f"{name} has {rows.shape[1]} classes, those before had {n_classes}")
    wrong = ~np.isfinite(rows) if logits else ~((rows >= 0) & (rows < np.inf))  # NaN is wrong too
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        allowed = (
            "logits are finite"
            if logits
            else "probabilities are finite and not negative (for logits pass logits=True)"
        )
        raise ValueError(f"{name}[{row}, {column}] is {rows[row, column]}; {allowed}")
    sums = np.ones(1) if logits else rows.sum(axis=1, dtype=np.float64)  # [N]
    off = np.abs(sums - 1) > TOLERANCE
    if off.any():
        row = int(off.argmax())
        raise ValueError(
            f"{name}[{row}] sums to {sums[row]:.9g}; probabilities sum to 1 within {TOLERANCE:g}; "
            "divide by the sum, or pass logits=True"
        )
    return rows


def _check_splits(splits: int, n_samples: int) -> None:
    if splits > n_samples:
        raise ValueError(
            f"splits={splits} exceeds the {n_samples} samples; pass splits <= {n_samples}"
        )


def _bounds(splits: int, n_samples: int) -> Array:
    """Return where parts begin, and the end: [S + 1]."""
    return np.array([i * n_samples // splits for i in range(splits + 1)])


def _empty(splits: int, n_classes: int) -> Sums:
    return Sums(np.zeros(splits), np.zeros((splits, n_classes)), np.zeros(splits))


def _joined(blocks: list[Array]) -> Array:
    """Return the rows of all blocks, which become one."""
    if len(blocks) > 1:
        blocks[:] = [np.concatenate(blocks)]
    return blocks[0] if blocks else np.empty((0, 0), np.float32)


def _add(sums: Sums, rows: Array, position: int, n_samples: int, logits: bool) -> None:
    """Add rows, of which the first has index `position` of `n_samples`, to their parts' sums."""
    bounds = np.clip(_bounds(len(sums.counts), n_samples) - position, 0, len(rows))
    step = max(1, BLOCK // rows.shape[1])
    for part, (begin, end) in enumerate(pairwise(bounds)):
        for start in range(begin, end, step):
            p = rows[start : min(start + step, end)].astype(np.float64)  # [B, K]
            p = softmax(p, axis=1) if logits else p / p.sum(axis=1, keepdims=True)
            sums.counts[part] += len(p)
            sums.classes[part] += p.sum(axis=0)
            sums.entropies[part] += entr(p).sum()


def _score(sums: Sums) -> Estimate:
    n_samples, (splits, n_classes) = int(sums.counts.sum()), sums.classes.shape
    if n_samples // splits < n_classes:
        warn_of_few(
            f"{n_samples} samples in {splits} splits are {n_samples // splits} each for "
            f"{n_classes} classes: the Inception Score is biased downwards and says little; take "
            "more samples (papers take 50,000) or fewer splits, and compare equal numbers only"
        )
    marginal = sums.classes / sums.counts[:, None]  # [S, K]
    information = entr(marginal).sum(axis=1) - sums.entropies / sums.counts  # [S]
    scores = np.exp(np.maximum(information, 0.0))  # [S]
    return Estimate(float(scores.mean()), float(scores.std()))
