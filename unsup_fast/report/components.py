"""The page of a PCA: spectrum, plane of the first axes, axes, and rows rebuilt from them."""

import numpy as np

from unsup_fast import blocks
from unsup_fast._rows import scaling
from unsup_fast._types import Array
from unsup_fast.report import curves, page, pictures, plane
from unsup_fast.report.numbers import count, counted, percent, real, seconds, short
from unsup_fast.report.page import COARSE, Content
from unsup_fast.report.text import escape

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
        content,
        "Principal components" + page.STANDARDIZED[model.standardize],
        _tiles(content),
        f"""<h2>How the variance spreads</h2>
<div class="charts">
{curves.scree(shares)}
{curves.cumulative(shares)}
</div>
<h2>The rows along the first two axes</h2>
<figure>
{drawing}
<p class="caption">{_caption(content, len(sample))} {scale}</p>
</figure>
{_rebuilt(content, sample, along) if images else ""}
{_drawn(content) if images else _loadings(content)}""",
        _code(content),
        f"Row i of the coordinates belongs to row i of the file; X_new is any array of "
        f"{counted(content.X.n_columns, 'column')}.",
    )


def _tiles(content: Content) -> str:
    model, result = content.model, content.summary["result"]
    n_rows, n_columns = content.X.shape
    took, machine = result["seconds"], content.summary["machine"]
    first = model.explained_variance_ratio_[0]
    return page.tiles(
        [
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
    )


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


def _rebuilt(content: Content, sample: Array, along: Array) -> str:
    """Return rows above what the first axes make of them."""
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
    coarse = ' class="coarse"' if max(shape[:2]) <= COARSE else ""
    body = ""
    for number, (name, values) in enumerate(strips):
        shown = values if number == 0 else model.inverse_transform(values)
        picture = pictures.strip(shown, shape, low, high, N_REBUILT)
        body += (
            f'<div class="strip"><small>{name}</small>'
            f'<img{coarse} src="{picture}" alt="{len(rows)} rows: {name}"></div>'
        )
    return (
        '<h2>Rows and what the axes keep of them</h2><p class="note">Rows spread over the file, '
        f"and the same rows rebuilt from their coordinates.</p><figure>{body}</figure>"
    )


def _drawn(content: Content) -> str:
    """Return the mean and the axes as pictures."""
    shape, model = content.image_shape, content.model
    assert shape is not None
    coarse = ' class="coarse"' if max(shape[:2]) <= COARSE else ""
    mean = scaling.restored(model, model.mean_[None])
    images = [
        (
            "mean",
            "Mean of the rows",
            pictures.strip(mean, shape, min(0.0, float(mean.min())), float(mean.max()), 1),
        )
    ]
    shares = model.explained_variance_ratio_
    for number, axis in enumerate(model.components_[:N_AXES]):
        largest = float(np.abs(axis).max())
        picture = pictures.strip(axis[None], shape, -largest, largest, 1)
        name = f"{number + 1}: {percent(shares[number])}"
        images.append((name, f"Axis {name}", picture))
    body = "".join(
        f'<div><img{coarse} src="{picture}" alt="{what}"><small>{name}</small></div>'
        for name, what, picture in images
    )
    of = f"the first {N_AXES} of {count(len(shares))} axes" if len(shares) > N_AXES else "all axes"
    return (
        f'<h2>The axes as pictures</h2><p class="note">The mean of the rows and {of}, each with '
        "its share of the variance; grey is zero, and the sign of an axis as a whole is arbitrary."
        f'</p><figure><div class="tiny">{body}</div></figure>'
    )


def _loadings(content: Content) -> str:
    """Return the columns that weigh most in each axis."""
    model = content.model
    names = page.column_names(content)
    cards = ""
    for number, axis in enumerate(model.components_[:N_CARDS]):
        largest = np.argsort(-np.abs(axis), kind="stable")[:N_COLUMNS]
        items = "".join(
            f"<li><span>{escape(names[j])}</span><small>{axis[j]:+.3f}</small></li>"
            for j in largest.tolist()
        )
        share = percent(model.explained_variance_ratio_[number])
        cards += (
            f'<section class="cluster"><header><h3>Axis {number + 1}</h3>'
            f"<span>{share}</span></header><ol>{items}</ol></section>"
        )
    return (
        '<h2>What the axes are made of</h2><p class="note">The columns of largest weight in each '
        "axis, a vector of length one, and the axis's share of the variance.</p>"
        f'<div class="clusters">{cards}</div>'
    )


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
