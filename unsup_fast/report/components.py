"""The page of a PCA: spectrum, plane of the first axes, axes, and rows rebuilt from them."""

import numpy as np

from unsup_fast import blocks
from unsup_fast._rows import scaling
from unsup_fast._types import Array
from unsup_fast.report import curves, page, pictures, plane
from unsup_fast.report.numbers import count, counted, percent, real, seconds, short
from unsup_fast.report.page import COARSE, Card, Content, Picture

SAMPLE = plane.SAMPLE
N_REBUILT, N_AXES, N_CARDS, N_COLUMNS = 12, 32, 12, 6


def pca(content: Content) -> str:
    """Return the page.

    Parameters
    ----------
    content : Content
        `model` is a `PCA`, `labels_name` the name of the file with the coordinates.

    Returns
    -------
    str
        HTML with style, charts and pictures inside; no script, and nothing is fetched.
    """
    model, shares = content.model, content.model.explained_variance_ratio_
    rows = np.arange(content.X.n_rows)
    if len(rows) > SAMPLE:
        rows = np.sort(np.random.default_rng(0).choice(len(rows), SAMPLE, replace=False))
    sample = content.X.take(rows)
    along = model.transform(blocks.source(sample))  # [S, K]
    images = content.image_shape is not None
    drawing, scale = plane.scatter(_two(along))
    return page.whole(
        "pca.html",
        content,
        method="Principal components" + page.STANDARDIZED[model.standardize],
        tiles=_tiles(content),
        scree=curves.scree(shares),
        cumulative=curves.cumulative(shares),
        plane=drawing,
        caption=f"{_caption(content, len(sample))} {scale}",
        rebuilt=_rebuilt(content, sample, along) if images else (),
        which=f"the first {N_AXES} of {count(len(shares))} axes"
        if len(shares) > N_AXES
        else "all axes",
        axes=_drawn(content) if images else (),
        cards=() if images else _loadings(content),
        code=_code(content),
        usage=f"Row i of the coordinates belongs to row i of the file; X_new is any array of "
        f"{counted(content.X.n_columns, 'column')}.",
    )


def _tiles(content: Content) -> list[tuple[str, str, str]]:
    model, result = content.model, content.summary["result"]
    n_rows, n_columns = content.X.shape
    took, machine = result["seconds"], content.summary["machine"]
    first = model.explained_variance_ratio_[0]
    return [
        ("Rows", count(n_rows), f"{counted(n_columns, 'column')} each"),
        ("Axes", count(result["axes"]), f"of {count(min(n_rows, n_columns))} possible"),
        ("Variance explained", percent(result["explained"]), f"{percent(first)} by the first"),
        (
            "Left out",
            real(result["reconstruction_error"]),
            "mean squared distance of a row to what the axes keep",
        ),
        ("Time", seconds(took), counted(machine["threads"], "thread")),
        ("Throughput", f"{short(n_rows / max(took, 1e-9))}/s", "rows, read and decomposed"),
    ]


def _two(along: Array) -> Array:
    """Return the first two coordinates; the second is zero if there is one axis."""
    return np.pad(along[:, :2].astype(np.float64), ((0, 0), (0, max(0, 2 - along.shape[1]))))


def _caption(content: Content, n_points: int) -> str:
    shares = content.model.explained_variance_ratio_
    sampled = "All" if n_points == content.X.n_rows else f"A random sample of {count(n_points)}"
    text = f"{sampled} of the {count(content.X.n_rows)} rows: {percent(shares[0])} of the variance "
    if len(shares) == 1:
        text += "across; there is no second axis."
    else:
        text += f"across, {percent(shares[1])} upward."
    if content.model.whiten:
        text += " Each coordinate is divided by its standard deviation."
    return text


def _rebuilt(content: Content, sample: Array, along: Array) -> list[Picture]:
    """Return rows, and what the first axes make of them."""
    shape, model = content.image_shape, content.model
    assert shape is not None
    chosen = np.linspace(0, len(sample) - 1, min(N_REBUILT, len(sample))).astype(int)
    rows, coordinates = sample[chosen], along[chosen]
    low, high = min(0.0, float(rows.min())), float(rows.max())
    n_axes = along.shape[1]
    strips = [("the rows", rows)]
    for few in sorted({max(1, n_axes // 10), max(1, n_axes // 3), n_axes}, reverse=True):
        masked = np.where(np.arange(n_axes) < few, coordinates, 0)
        strips.append((f"from {count(few)} {'axis' if few == 1 else 'axes'}", masked))
    coarse = max(shape[:2]) <= COARSE
    rebuilt = []
    for number, (name, values) in enumerate(strips):
        shown = values if number == 0 else model.inverse_transform(values)
        picture = pictures.strip(shown, shape, low, high, N_REBUILT)
        rebuilt.append(Picture(picture, f"{len(rows)} rows: {name}", coarse, name))
    return rebuilt


def _drawn(content: Content) -> list[Picture]:
    """Return the mean and the axes as pictures."""
    shape, model = content.image_shape, content.model
    assert shape is not None
    coarse = max(shape[:2]) <= COARSE
    mean = scaling.restored(model, model.mean_[None])
    picture = pictures.strip(mean, shape, min(0.0, float(mean.min())), float(mean.max()), 1)
    images = [Picture(picture, "Mean of the rows", coarse, "mean")]
    shares = model.explained_variance_ratio_
    for number, axis in enumerate(model.components_[:N_AXES]):
        largest = float(np.abs(axis).max())
        picture = pictures.strip(axis[None], shape, -largest, largest, 1)
        name = f"{number + 1}: {percent(shares[number])}"
        images.append(Picture(picture, f"Axis {name}", coarse, name))
    return images


def _loadings(content: Content) -> list[Card]:
    """Return the columns that weigh most in each axis."""
    model, names = content.model, page.column_names(content)
    cards = []
    for number, axis in enumerate(model.components_[:N_CARDS]):
        largest = np.argsort(-np.abs(axis), kind="stable")[:N_COLUMNS]
        cards.append(
            Card(
                title=f"Axis {number + 1}",
                detail=percent(model.explained_variance_ratio_[number]),
                items=[(names[j], f"{axis[j]:+.3f}") for j in largest.tolist()],
            )
        )
    return cards


def _code(content: Content) -> str:
    table = ".to_pandas().to_numpy()"
    imports, read = page.load(content, "coordinates", table)
    return (
        f"{imports}\nfrom unsup_fast.decomposition import PCA\n"
        f"{read}\n"
        'model = PCA.load("model.safetensors")\n'
        "new_coordinates = model.transform(X_new)\n"
        "rebuilt = model.inverse_transform(new_coordinates)"
    )
