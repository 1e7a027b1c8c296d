"""The page of a Gaussian mixture: criteria, likelihood, plane with ellipses, components."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unsup_fast._rows import scaling
from unsup_fast._types import Array
from unsup_fast.report import central, charts, curves, page, pictures
from unsup_fast.report.central import Central
from unsup_fast.report.numbers import count, counted, percent, real, seconds
from unsup_fast.report.page import COARSE, Card, Content, Picture
from unsup_fast.report.plane import Plane

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
    shape = content.image_shape
    X = scaling.applied_blocks(model, content.X)
    shown, sampled = central.find(X, labels, model.means_, sizes, N_PICTURES if shape else 1)
    return page.whole(
        "gmm.html",
        content,
        method=f"Gaussian mixture ({KINDS[model.covariance_type]} covariance)"
        + page.STANDARDIZED[model.standardize],
        tiles=_tiles(content),
        **_range(content),
        likelihood=curves.likelihood(np.array(model.lower_bounds_)),
        sizes=charts.sizes(sizes, plane.colours.tolist(), "component"),
        plane=plane.svg(sizes, ellipses),
        caption=f"{plane.caption(sizes, 'component', 'mean')} {_ellipses(model, ellipses)}",
        components=_which(len(shown), int(np.count_nonzero(sizes)), sampled, shape is not None),
        profiles="" if shape else _profiles(content, shown, plane.colours),
        cards=_cards(content, shown, plane.colours.tolist()),
        code=_code(content),
        usage=f"Label i is the most probable component of row i of the file; X_new is any array "
        f"of {counted(content.X.n_columns, 'column')}.",
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


def _tiles(content: Content) -> list[tuple[str, str, str]]:
    result, machine = content.summary["result"], content.summary["machine"]
    fits = len(result["fits"])
    of_all = f", {counted(fits, 'fit')}" if fits > 1 else ""
    return [
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


def _weights(model: Any) -> str:
    empty = int(np.count_nonzero(model.weights_ == 0))
    if empty:
        return f"{count(empty)} without weight"
    return f"weights {percent(model.weights_.min())} to {percent(model.weights_.max())}"


def _range(content: Content) -> dict[str, Any]:
    """Return criteria by the number of components, if there were several fits."""
    result, parameters = content.summary["result"], content.summary["parameters"]
    fits = result["fits"]
    if len(fits) < 2:
        return {"criteria": ""}
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
    near = range(max(0, min(best - 3, len(fits) - 7)), len(fits))[:7]
    return {
        "choice": note,
        "criteria": curves.criteria(numbers, values, best),
        "fits_caption": "All fits" if len(near) == len(fits) else "The fits around the best",
        "fits": [{"best": index == best, "cells": _cells(fits[index])} for index in near],
    }


def _cells(fit: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a line of the table of fits."""
    return (str(fit["components"]), real(fit["bic"]), real(fit["aic"]), str(fit["iterations"]))


def _which(n_shown: int, n_filled: int, sampled: bool, pictures: bool) -> str:
    """Return which components are shown, and with what, in a sentence."""
    which = "Components by the number of rows whose most probable one they are"
    if n_shown < n_filled:
        which = (
            f"Of {count(n_filled)} components the {central.LARGEST} largest, {central.BETWEEN} "
            f"spread evenly by size, and the {central.SMALLEST} smallest"
        )
    if not pictures:
        return (
            f"{which}, each with the columns in which its mean departs most from that of all "
            "rows: mean, standard deviation within, and the departure in deviations of all rows."
        )
    sample_note = ", looked for in a random sample." if sampled else "."
    return (
        f"{which}, each with its mean, the standard deviation of each pixel, and the rows "
        f"nearest to the mean{sample_note}"
    )


def _cards(content: Content, shown: list[Central], colours: list[int]) -> list[Card]:
    """Return what the page says of each component that it shows."""
    bodies = _pictures(content, shown) if content.image_shape else _columns(content, shown)
    weights = content.model.weights_
    return [
        Card(
            title=f"Component {one.cluster}",
            detail=f"weight {percent(weights[one.cluster])}, {counted(one.size, 'row')}",
            colour=colours[one.cluster],
            **body,
        )
        for one, body in zip(shown, bodies, strict=True)
    ]


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
    return curves.profiles(_standard(content)[shown], colours[shown].tolist(), shown, names)


def _pictures(content: Content, components: list[Central]) -> list[dict[str, Any]]:
    """Return mean, deviations and nearest rows of each component, as pictures."""
    model, shape = content.model, content.image_shape
    assert shape is not None
    shown = content.X.take(np.concatenate([one.rows for one in components]))
    low, high = min(0.0, float(shown.min())), float(shown.max())
    means, deviations = _means(model), _deviations(model)
    coarse = max(shape[:2]) <= COARSE
    starts = np.cumsum([len(one.rows) for one in components])[:-1]
    bodies = []
    for one, rows in zip(components, np.split(shown, starts), strict=True):
        k = one.cluster
        mean = pictures.strip(means[k][None], shape, low, high, 1)
        spread = pictures.strip(deviations[k][None], shape, 0.0, float(deviations[k].max()), 1)
        nearest = pictures.strip(rows, shape, low, high, N_PICTURES)
        listed = ", ".join(map(str, one.rows.tolist()))
        alt = f"Rows nearest to the mean of component {k}: {listed}"
        bodies.append(
            {
                "means": [
                    Picture(mean, f"Mean of component {k}", coarse, "mean"),
                    Picture(spread, f"Standard deviations of component {k}", coarse, "s.d."),
                ],
                "nearest": Picture(nearest, alt, coarse, f"rows {listed}"),
                "room": N_PICTURES + 3,
            }
        )
    return bodies


def _columns(content: Content, components: list[Central]) -> list[dict[str, Any]]:
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
        items = [
            (
                names[j],
                f"{real(means[k, j])} ± {real(deviations[k, j])} ({standard[k, j]:+.2f})",
            )
            for j in largest.tolist()
        ]
        bodies.append({"items": items})
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
