"""The page of a Gaussian mixture: criteria, likelihood, plane with ellipses, components."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unsup_fast._rows import scaling
from unsup_fast._types import Array
from unsup_fast.report import central, charts, curves, page, pictures
from unsup_fast.report.central import Central
from unsup_fast.report.numbers import count, counted, percent, real, seconds
from unsup_fast.report.page import COARSE, Content
from unsup_fast.report.plane import Plane
from unsup_fast.report.text import escape

N_PICTURES, N_COLUMNS, MOST_PROFILES, MOST_OUTLINES = 7, 6, 10, 60
DEVIATIONS = 2  # of the ellipses
KINDS = {"full": "full", "tied": "shared", "diag": "diagonal", "spherical": "spherical"}


def gmm(content: Content, labels: Array) -> str:
    """Return the page.

    Parameters
    ----------
    content : Content
        `model` is a `GaussianMixture`; the summary lists all fits of a range.
    labels : ndarray of shape (N,)
        The most probable component of each row.

    Returns
    -------
    str
        HTML with style, charts and pictures inside; no script, and nothing is fetched.
    """
    model = content.model
    sizes = np.bincount(labels, minlength=len(model.weights_))
    plane = Plane(scaling.applied_blocks(model, content.X), labels, model.means_)
    ellipses = outlines(model, plane)
    return page.whole(
        content,
        f"Gaussian mixture ({KINDS[model.covariance_type]} covariance)"
        + page.STANDARDIZED[model.standardize],
        _tiles(content),
        f"""{_range(content)}
<h2>How it went</h2>
<div class="charts">
{curves.likelihood(np.array(model.lower_bounds_))}
{charts.sizes(sizes, plane.colours.tolist(), "component")}
</div>
<h2>The rows in two dimensions</h2>
<figure>
{plane.svg(sizes, ellipses)}
<p class="caption">{plane.caption(sizes, "component", "mean")} {_ellipses(model, ellipses)}</p>
</figure>
{_components(content, labels, sizes, plane.colours)}""",
        _code(content),
        f"Label i is the most probable component of row i of the file; X_new is any array of "
        f"{counted(content.X.n_columns, 'column')}.",
    )


def outlines(model: Any, plane: Plane) -> list[Array]:
    """Return the ellipse of each component in the plane, at two standard deviations.

    Those of fewer than the 60 largest components are empty.
    """
    angles = np.linspace(0, 2 * np.pi, 65)
    circle = DEVIATIONS * np.column_stack([np.cos(angles), np.sin(angles)])  # [65, 2]
    shown = set(np.argsort(-model.weights_, kind="stable")[:MOST_OUTLINES].tolist())
    ellipses = []
    for k, centre in enumerate(plane.centers):
        if k not in shown or model.weights_[k] == 0:
            ellipses.append(np.empty((0, 2)))
            continue
        values, vectors = np.linalg.eigh(_in_plane(model, k, plane.basis))
        half = vectors * np.sqrt(np.maximum(values, 0))  # [2, 2]
        ellipses.append(centre + circle @ half.T)
    return ellipses


def _in_plane(model: Any, k: int, basis: Array) -> Array:
    """Return the covariance of a component along two axes [2, D], in float64."""
    kind, covariances = model.covariance_type, model.covariances_
    if kind == "spherical":
        return float(covariances[k]) * (basis @ basis.T)
    own = (covariances if kind == "tied" else covariances[k]).astype(np.float64)
    along: Array = (basis * own if kind == "diag" else basis @ own) @ basis.T
    return along


def _ellipses(model: Any, ellipses: Sequence[Array]) -> str:
    drawn = sum(len(one) > 0 for one in ellipses)
    whose = "each" if drawn == len(ellipses) else f"the {count(drawn)} largest"
    return f"Ellipses are at two standard deviations of {whose}, seen along the other dimensions."


def _tiles(content: Content) -> str:
    result, machine = content.summary["result"], content.summary["machine"]
    fits = len(result["fits"])
    of_all = f", {counted(fits, 'fit')}" if fits > 1 else ""
    return page.tiles(
        [
            ("Rows", count(content.X.n_rows), f"{counted(content.X.n_columns, 'column')} each"),
            ("Components", count(result["components"]), _weights(content.model)),
            ("Log-likelihood", real(result["log_likelihood"]), "mean of a row, in nats"),
            ("BIC", real(result["bic"]), f"AIC {real(result['aic'])}"),
            ("Iterations", count(result["iterations"]), page.capital(result["stopped"])),
            (
                "Time",
                seconds(result["seconds"]),
                f"starts included; {counted(machine['threads'], 'thread')}{of_all}",
            ),
        ]
    )


def _weights(model: Any) -> str:
    empty = int(np.count_nonzero(model.weights_ == 0))
    if empty:
        return f"{count(empty)} without weight"
    return f"weights {percent(model.weights_.min())} to {percent(model.weights_.max())}"


def _range(content: Content) -> str:
    """Return criteria by the number of components, if there were several fits."""
    result, parameters = content.summary["result"], content.summary["parameters"]
    fits = result["fits"]
    if len(fits) < 2:
        return ""
    names = sorted(("bic", "aic"), key=lambda name: name != parameters["criterion"])
    values = {name.upper(): np.array([fit[name] for fit in fits]) for name in names}
    numbers = [fit["components"] for fit in fits]
    best = numbers.index(result["components"])
    left = len(parameters["n_components"]) - len(fits)
    note = (
        f"Of {counted(len(fits), 'fit')} the one of least {names[0].upper()} is kept, with "
        f"{counted(result['components'], 'component')}; all else on this page is about it."
    )
    if left:
        note += f" {counted(left, 'more fit')} {'was' if left == 1 else 'were'} not finished."
    return (
        f'<h2>How many components</h2><p class="note">{note}</p><div class="charts">'
        f"{curves.criteria(numbers, values, best)}{_fits(fits, best)}</div>"
    )


def _fits(fits: Sequence[Mapping[str, Any]], best: int) -> str:
    """Return a table of the best fits, by the number of components."""
    near = range(max(0, min(best - 3, len(fits) - 7)), len(fits))[:7]
    rows = ""
    for index in near:
        fit = fits[index]
        strong = ("<b>", "</b>") if index == best else ("", "")
        cells = (fit["components"], real(fit["bic"]), real(fit["aic"]), fit["iterations"])
        rows += "<tr>" + "".join(
            f'<td class="number">{strong[0]}{cell}{strong[1]}</td>' for cell in cells
        )
        rows += "</tr>"
    caption = "All fits" if len(near) == len(fits) else "The fits around the best"
    head = "".join(
        f'<th scope="col">{name}</th>' for name in ("components", "BIC", "AIC", "iterations")
    )
    return (
        f'<figure><figcaption>{caption}</figcaption><table class="quantiles">'
        f"<thead><tr>{head}</tr></thead>{rows}</table></figure>"
    )


def _components(content: Content, labels: Array, sizes: Array, colours: Array) -> str:
    model, shape = content.model, content.image_shape
    n_each = N_PICTURES if shape else 0
    X = scaling.applied_blocks(model, content.X)
    shown, sampled = central.find(X, labels, model.means_, sizes, max(1, n_each))
    bodies = _pictures(content, shown) if shape else _columns(content, shown)
    cards = "".join(
        f'<section class="cluster"><header><i class="swatch" style="background:'
        f'var(--c{colours[one.cluster]})"></i><h3>Component {one.cluster}</h3>'
        f"<span>weight {percent(model.weights_[one.cluster])}, {counted(one.size, 'row')}"
        f"</span></header>{body}</section>"
        for one, body in zip(shown, bodies, strict=True)
    )
    filled = int(np.count_nonzero(sizes))
    which = "Components by the number of rows whose most probable one they are"
    if len(shown) < filled:
        which = (
            f"Of {count(filled)} components the {central.LARGEST} largest, {central.BETWEEN} "
            f"spread evenly by size, and the {central.SMALLEST} smallest"
        )
    if shape:
        note = f"{which}, each with its mean, the standard deviation of each pixel, and the rows "
        note += "nearest to the mean" + (", looked for in a random sample." if sampled else ".")
    else:
        note = (
            f"{which}, each with the columns in which its mean departs most from that of all "
            "rows: mean, standard deviation within, and the departure in deviations of all rows."
        )
    chart = "" if shape else _profiles(content, shown, colours)
    wide = " wide" if shape else ""
    return (
        f'<h2>The components</h2><p class="note">{note}</p>{chart}'
        f'<div class="clusters{wide}">{cards}</div>'
    )


def _deviations(model: Any) -> Array:
    """Return the standard deviation of each column in each component, [K, D], in its units."""
    kind, covariances = model.covariance_type, model.covariances_.astype(np.float64)
    if kind == "spherical":
        covariances = covariances[:, None]
    elif kind != "diag":
        covariances = np.diagonal(covariances, axis1=-2, axis2=-1)
    deviations = np.sqrt(np.broadcast_to(covariances, model.means_.shape))
    restored: Array = scaling.restored(model, deviations)
    return restored


def _means(model: Any) -> Array:
    """Return the means [K, D] in the units of the columns."""
    means: Array = scaling.restored(model, model.means_)
    return means


def _standard(content: Content) -> Array:
    """Return means in deviations of all rows from the mean of all rows, [K, D]."""
    moments = content.X.moments
    spread = np.sqrt(moments.variance)
    departures = _means(content.model) - moments.mean
    means: Array = np.divide(departures, spread, out=np.zeros_like(departures), where=spread > 0)
    return means


def _profiles(content: Content, components: list[Central], colours: Array) -> str:
    if content.X.n_columns < 3:
        return ""
    shown = [one.cluster for one in components[:MOST_PROFILES]]
    names = page.column_names(content) if page.has_names(content) else None
    chart = curves.profiles(_standard(content)[shown], colours[shown].tolist(), shown, names)
    return f'<div class="charts one">{chart}</div>'


def _pictures(content: Content, components: list[Central]) -> list[str]:
    model, shape = content.model, content.image_shape
    assert shape is not None
    shown = content.X.take(np.concatenate([one.rows for one in components]))
    low, high = min(0.0, float(shown.min())), float(shown.max())
    means, deviations = _means(model), _deviations(model)
    coarse = ' class="coarse"' if max(shape[:2]) <= COARSE else ""
    starts = np.cumsum([len(one.rows) for one in components])[:-1]
    bodies = []
    for one, rows in zip(components, np.split(shown, starts), strict=True):
        k = one.cluster
        mean = pictures.strip(means[k][None], shape, low, high, 1)
        spread = pictures.strip(deviations[k][None], shape, 0.0, float(deviations[k].max()), 1)
        nearest = pictures.strip(rows, shape, low, high, N_PICTURES)
        listed = ", ".join(map(str, one.rows.tolist()))
        width = f"width:{100 / (N_PICTURES + 3):.2f}%"
        bodies.append(
            f'<div class="pictures"><div class="mean" style="{width}"><img{coarse} src="{mean}" '
            f'alt="Mean of component {k}"><small>mean</small></div>'
            f'<div class="mean" style="{width}"><img{coarse} src="{spread}" '
            f'alt="Standard deviations of component {k}"><small>s.d.</small></div>'
            f'<div class="nearest"><img{coarse} src="{nearest}" '
            f'alt="Rows nearest to the mean of component {k}: {listed}">'
            f"<small>rows {listed}</small></div></div>"
        )
    return bodies


def _columns(content: Content, components: list[Central]) -> list[str]:
    """Return the columns in which each component departs most from all rows."""
    standard, means, deviations = (
        _standard(content),
        _means(content.model),
        _deviations(content.model),
    )
    names = page.column_names(content)
    bodies = []
    for one in components:
        k = one.cluster
        largest = np.argsort(-np.abs(standard[k]), kind="stable")[:N_COLUMNS]
        bodies.append(
            "<ol>"
            + "".join(
                f"<li><span>{escape(names[j])}</span><small>{real(means[k, j])} ± "
                f"{real(deviations[k, j])} ({standard[k, j]:+.2f})</small></li>"
                for j in largest.tolist()
            )
            + "</ol>"
        )
    return bodies


def _code(content: Content) -> str:
    imports, labels = page.load(content, "labels", '["label"].to_numpy()')
    return (
        f"{imports}\nfrom unsup_fast.mixture import GaussianMixture\n"
        f"{labels}\n"
        'model = GaussianMixture.load("model.safetensors")\n'
        "new_labels = model.predict(X_new)\n"
        "probabilities = model.predict_proba(X_new)"
    )
