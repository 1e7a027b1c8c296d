"""Centroids of a fitted model as the coarse quantizer of other libraries' IVF indexes."""

from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils.validation import check_is_fitted

from unsup_fast import _extras
from unsup_fast._rows.directions import unit_rows
from unsup_fast._rows.scaling import scale_of
from unsup_fast._types import Array
from unsup_fast.cluster._centers import centers_of

if TYPE_CHECKING:
    from faiss import IndexIVFFlat

    from unsup_fast.blocks.arrow import ArrowArray
    from unsup_fast.cluster.kmeans import KMeans
    from unsup_fast.cluster.minibatch import MiniBatchKMeans


def to_faiss(model: "KMeans | MiniBatchKMeans") -> "IndexIVFFlat":
    """Return an empty faiss index whose inverted lists are the clusters of a model.

    It is trained: call `add` with rows. Rows go to the list of their nearest centroid, in float32
    and without the shift of `predict`, so that a row nearly as near to two centroids may go to the
    other one.

    Parameters
    ----------
    model : KMeans or MiniBatchKMeans
        Fitted, without `standardize`.

    Returns
    -------
    faiss.IndexIVFFlat
        With the metric L2; for a model with ``metric="cosine"`` with inner products, which are
        cosines for rows at unit length.

    Raises
    ------
    ImportError
        If faiss is missing.
    ValueError
        If the model is standardized, if its centroids leave the range of float32, or if they were
        set by hand and are not at unit length for the metric "cosine".

    Examples
    --------
    >>> import numpy as np
    >>> from unsup_fast.cluster import KMeans, to_faiss
    >>> X = np.random.default_rng(0).random((500, 8), dtype=np.float32)
    >>> index = to_faiss(KMeans(10, random_state=0).fit(X))  # doctest: +SKIP
    >>> index.add(X)  # doctest: +SKIP
    """
    faiss = _extras.require("faiss", "faiss", "an index of faiss")
    centers = _centroids(model, "to_faiss")
    n_clusters, n_columns = centers.shape
    cosine = model.metric == "cosine"
    quantizer = (faiss.IndexFlatIP if cosine else faiss.IndexFlatL2)(n_columns)
    quantizer.add(centers)
    metric = faiss.METRIC_INNER_PRODUCT if cosine else faiss.METRIC_L2
    index: IndexIVFFlat = faiss.IndexIVFFlat(quantizer, n_columns, n_clusters, metric)
    return index


def to_lance(model: "KMeans | MiniBatchKMeans") -> "ArrowArray":
    """Return the centroids of a model as Lance takes them for an IVF index.

    Pass them to ``dataset.create_index(column, "IVF_PQ", ivf_centroids=...)``, with the number of
    centroids as `num_partitions` and the metric of the model ("L2" or "cosine"), or to
    ``lance.indices.IvfModel``.

    Parameters
    ----------
    model : KMeans or MiniBatchKMeans
        Fitted, without `standardize`.

    Returns
    -------
    pyarrow.FixedSizeListArray of length K, float32 lists of length D

    Raises
    ------
    ImportError
        If pyarrow is missing.
    ValueError
        As `to_faiss`.

    Examples
    --------
    >>> import numpy as np
    >>> from unsup_fast.cluster import KMeans, to_lance
    >>> X = np.random.default_rng(0).random((500, 8), dtype=np.float32)
    >>> to_lance(KMeans(10, random_state=0).fit(X)).type
    FixedSizeListType(fixed_size_list<item: float>[8])
    """
    pa = _extras.require("pyarrow", "data", "centroids for Lance")
    centers = _centroids(model, "to_lance")
    lists: ArrowArray = pa.FixedSizeListArray.from_arrays(
        pa.array(centers.ravel()), centers.shape[1]
    )
    return lists


def _centroids(model: "KMeans | MiniBatchKMeans", function: str) -> Array:
    """Return the centroids [K, D] in float32, or say why no index can have them."""
    check_is_fitted(model)
    if scale_of(model) is not None:
        raise ValueError(
            f"the model has standardize=True, and an index knows no scale of columns; fit "
            f"{type(model).__name__} without it on X / X.std(axis=0), and add rows divided so"
        )
    centers = centers_of(model)
    if model.metric == "cosine" and unit_rows(centers, name="cluster_centers_") is not centers:
        raise ValueError(
            f"cluster_centers_ were set by hand and are not at unit length; divide each by its "
            f"length before {function}"
        )
    with np.errstate(over="ignore"):
        single = np.ascontiguousarray(centers, dtype=np.float32)
    if not np.isfinite(single).all():
        raise ValueError(
            f"cluster_centers_ are beyond the range of float32, which {function} returns; divide X "
            "by its largest magnitude and fit again"
        )
    return single
