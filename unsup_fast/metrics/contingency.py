"""Counts of rows for each class and cluster, and the purity computed from them."""

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from unsup_fast._types import Array, ArrayLike, on_host

CELLS = 1 << 20  # counts of a table that is worth it for any number of labels: 8 MiB
BLOCK = 1 << 16  # labels whose table cells stay in cache


def contingency_matrix(
    labels_true: ArrayLike,
    labels_pred: ArrayLike,
    *,
    eps: float | None = None,
    sparse: bool = False,
    dtype: npt.DTypeLike = np.int64,
) -> Array | sp.csr_matrix:
    """Count the rows of each class in each cluster, as scikit-learn's function of this name does.

    Whole numbers that span little are counted without being sorted, in one pass.

    Parameters
    ----------
    labels_true, labels_pred : array-like or tensor of shape (N,)
        Classes and clusters: whole numbers, strings, or other values that can be ordered.
    eps : float, optional
        Added to every count, which makes them float64. Not with `sparse`.
    sparse : bool, default=False
        Whether to return a CSR matrix, for thousands of both.
    dtype : dtype, default=int64
        Type of the counts, without `eps`.

    Returns
    -------
    ndarray or csr_matrix of shape (n_classes, n_clusters)
        Classes and clusters that occur, in ascending order.

    Raises
    ------
    TypeError, ValueError
        If the labels are not vectors of one length, cannot be ordered, or are not discrete.

    Examples
    --------
    >>> from unsup_fast.metrics import contingency_matrix
    >>> contingency_matrix([0, 0, 1, 1, 2, 2], [1, 0, 2, 1, 0, 2])
    array([[1, 1, 0],
           [0, 1, 1],
           [1, 0, 1]])
    """
    if eps is not None and sparse:
        raise ValueError("eps makes every count more than zero; pass eps=None or sparse=False")
    table = _table(*_checked(labels_true, labels_pred))
    if sparse:
        return sp.csr_matrix(table, dtype=dtype)
    if not isinstance(table, np.ndarray):
        table = table.toarray()
    return table.astype(dtype, copy=False) if eps is None else table + float(eps)


def purity_score(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """Return the share of rows that belong to the most frequent class of their cluster.

    That is sum_k max_j n_jk / N for n_jk rows of class j in cluster k. It is 1 if no cluster mixes
    classes, as with one cluster for each row: compare it for equal numbers of clusters, or take
    `sklearn.metrics.adjusted_rand_score`.

    Parameters
    ----------
    labels_true, labels_pred : array-like or tensor of shape (N,)
        Classes and clusters: whole numbers, strings, or other values that can be ordered.

    Returns
    -------
    float
        At most 1, and at least the share of the most frequent class.

    Raises
    ------
    TypeError, ValueError
        If there are no labels, or as `contingency_matrix`.

    Examples
    --------
    >>> from unsup_fast.metrics import purity_score
    >>> purity_score(["a", "a", "b", "b"], [0, 0, 0, 1])
    0.75
    """
    classes, clusters = _checked(labels_true, labels_pred)
    if len(classes) == 0:
        raise ValueError("labels_true and labels_pred are empty; purity needs at least one row")
    return float(_table(classes, clusters).max(axis=0).sum() / len(classes))


def _checked(labels_true: ArrayLike, labels_pred: ArrayLike) -> tuple[Array, Array]:
    classes, clusters = _vector("labels_true", labels_true), _vector("labels_pred", labels_pred)
    if len(classes) != len(clusters):
        raise ValueError(
            f"labels_true has {len(classes)} labels and labels_pred {len(clusters)}; "
            "both must have one for each row"
        )
    return classes, clusters


def _vector(name: str, labels: ArrayLike) -> Array:
    vector: Array = on_host(labels)
    if vector.ndim != 1:
        raise ValueError(f"{name} has shape {vector.shape}; pass one label for each row")
    if vector.dtype.kind in "fc":
        wrong = ~(np.isfinite(vector) & (vector == np.round(vector)))
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(
                f"{name}[{row}] is {vector[row]}; labels are whole numbers, strings or the like"
            )
    return vector.view(np.uint8) if vector.dtype == bool else vector


def _table(classes: Array, clusters: Array) -> Array | sp.csr_matrix:
    """Return the counts, in an array if that is not much larger than the labels, else in CSR."""
    room = max(CELLS, 4 * len(classes))
    spans = _span(classes), _span(clusters)
    if spans[0][1] * spans[1][1] <= room:
        counts = _counts(classes, clusters, spans)
        return counts[counts.any(axis=1)][:, counts.any(axis=0)]
    classes, clusters = _codes("labels_true", classes), _codes("labels_pred", clusters)
    spans = _span(classes), _span(clusters)
    shape = spans[0][1], spans[1][1]
    if shape[0] * shape[1] <= room:
        return _counts(classes, clusters, spans)
    ones = np.ones(len(classes), dtype=np.int64)
    return sp.coo_matrix((ones, (classes, clusters)), shape=shape).tocsr()


def _span(labels: Array) -> tuple[int, int]:
    """Return the least label and how many there are up to the largest: too many if not integers."""
    if labels.dtype.kind not in "iu":
        return 0, 2**64
    if len(labels) == 0:
        return 0, 0
    low, high = int(labels.min()), int(labels.max())
    return low, (high - low + 1 if high < 2**63 else 2**64)


def _codes(name: str, labels: Array) -> Array:
    """Return the index of each label in the sorted distinct labels."""
    try:
        codes: Array = np.unique(labels, return_inverse=True)[1]
    except TypeError as error:
        raise TypeError(f"{name} cannot be ordered ({error}); pass labels of one type") from error
    return codes


def _counts(rows: Array, columns: Array, spans: tuple[tuple[int, int], ...]) -> Array:
    (top, height), (left, width) = spans
    size = height * width
    counts = np.zeros(size, dtype=np.int64)
    step = max(BLOCK, size)  # a block costs as much again as the table is large
    for start in range(0, len(rows), step):
        cells = rows[start : start + step].astype(np.int64)
        cells -= top
        cells *= width
        cells += columns[start : start + step].astype(np.int64, copy=False)
        cells -= left
        counts += np.bincount(cells, minlength=size)
    return counts.reshape(height, width)
