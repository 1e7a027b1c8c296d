"""What `check_gan.py` asks of each family, and how stages, styles and truncation are measured.

Each function takes a model of digits and returns a report, and a dictionary of what holds. Samples
are read by a `Reader`, which has the classifier of `check_mnist.py`.
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from check_mnist import CONFIDENT, confidence, read
from safetensors import safe_open
from torch.nn.utils.parametrize import ParametrizationList

from unsup_fast import pictures
from unsup_fast.metrics import feature_frechet_distance
from unsup_fast.models import gan

N = 1000
PSIS = (0.0, 0.25, 0.5, 0.75, 1.0)
TRUNCATIONS = (0.3, 0.5, 0.7, 1.0)
COARSE_LAYERS = 4  # of the two smallest resolutions
NOISE = 0.005  # of confidence, which may fall by as much from one truncation to the next
INVERTED = range(0, 800, 100)  # samples, of as many classes


@dataclass(frozen=True)
class Marks:
    """Limits; what a family is not asked for is not measured, or has a limit that is met."""

    confident: float = 0.0
    as_asked: float = 0.0
    shares: tuple[float, float] = (0.001, 1.0)  # each digit is there
    frechet: float = np.inf
    spread: float = 0.0  # at least
    correlation: float | None = None
    jump: float | None = None  # below
    sigma: float | None = None  # at most, from 1
    psi_0: float | None = None  # below
    coarse: float = 0.8  # at least
    fine: float = 0.5  # below
    psnr: float = 25.0


SHARES = (0.05, 0.16)
OTHERS = Marks(confident=0.75)
BIGGAN = Marks(as_asked=0.95, spread=0.25, sigma=0.05)
STYLED = Marks(shares=SHARES, psi_0=1e-6)
STYLED_MARKS = {
    "classes": replace(STYLED, confident=0.87, as_asked=0.90, frechet=25.0),
    "avx2": replace(STYLED, confident=0.83, as_asked=0.88, frechet=37.5),
    "none": replace(STYLED, confident=0.80, frechet=45.0),
}
MARKS = {
    "r3gan": {
        "classes": Marks(confident=0.92, as_asked=0.95, shares=SHARES, frechet=20.0),
        "avx2": Marks(confident=0.88, as_asked=0.93, shares=SHARES, frechet=30.0),
        "none": Marks(confident=0.85, shares=SHARES, frechet=35.0),
    },
    "stylegan2": STYLED_MARKS,
    "stylegan": STYLED_MARKS,
    "biggan": dict.fromkeys(("classes", "avx2", "none"), BIGGAN),
    "progressive": dict.fromkeys(("classes", "avx2", "none"), replace(OTHERS, jump=1e-5)),
    "wgan": dict.fromkeys(("classes", "avx2", "none"), replace(OTHERS, correlation=0.7)),
}
"""By family and condition: with classes, with classes on slower processors, without classes."""


def marks(family, conditional, avx2):
    """Return the marks of a family."""
    condition = ("avx2" if avx2 else "classes") if conditional else "none"
    return MARKS[family][condition] if family in MARKS else OTHERS


def cropped(samples):
    """Return the inner bytes [n, 28, 28] of samples [n, 1, S, S] in [-1, 1]."""
    margin = (samples.shape[2] - 28) // 2
    return pictures.to_bytes(samples)[:, 0, margin : margin + 28, margin : margin + 28]


def deviation(images, labels):
    """Return the mean standard deviation of pixels [n, ...], within classes if there are some."""
    labels = np.zeros(len(images), int) if labels is None else labels
    groups = (images[labels == c].std(0, dtype=np.float64) for c in np.unique(labels))
    return float(np.mean([group.mean() for group in groups]))


class Reader:
    """Reads samples by the classifier, and compares them with test images.

    Parameters
    ----------
    network : torch.nn.Module
        The classifier.
    test, labels : arrays of shape (N, 28, 28) and (N,)
    asked : array of shape (n,) or None
        Digits of the samples that are compared, if there are classes.
    """

    def __init__(self, network, test, labels, asked):
        self._network, self.asked = network, asked
        self.label = None if asked is None else asked.tolist()
        self.test_features = read(network, test)[1]
        self._deviation = deviation(test, None if asked is None else labels)

    def digits(self, samples):
        """Return the digit [n] that is read in each sample [n, 1, S, S]."""
        return confidence(self._network, cropped(samples))[0]

    def compare(self, images):
        """Return what is read in bytes [n, 28, 28] of the digits that were asked for."""
        digits, sure = confidence(self._network, images)
        features = read(self._network, images)[1]
        return {
            "confident": float((sure >= CONFIDENT).mean()),
            "as_asked": None if self.asked is None else float((digits == self.asked).mean()),
            "shares": (np.bincount(digits, minlength=10) / len(images)).tolist(),
            "frechet": float(feature_frechet_distance(features, self.test_features)),
            "spread": deviation(images, self.asked) / self._deviation,
        }


def rises(values, slack=0.0):
    """Return whether each number is above the one before, or below it by less than the slack."""
    return all(b > a - slack for a, b in pairwise(values))


def passed(report, limits):
    """Return which marks that all families have hold."""
    low, high = limits.shares
    return {
        "confident": report["confident"] >= limits.confident,
        "as_asked": report["as_asked"] is None or report["as_asked"] >= limits.as_asked,
        "shares": low <= min(report["shares"]) <= max(report["shares"]) <= high,
        "frechet": report["frechet"] <= limits.frechet,
        "spread": report["spread"] >= limits.spread,
    }


def stages(model, limits, out):
    """Measure the jump of samples where a stage begins: alpha = 1 against the next one's 0.

    Levels are the last number below a stage, the stage itself and the first number above it.
    """
    body, n = model.network.body, 100
    level, last = float(body.level), body.n_stages - 1
    z = model.latents(n, seed=0)
    label = [i % 10 for i in range(n)] if model.config.classes else None
    jumps, rows = [], []
    for stage in range(last + 1):
        body.set_level(stage)
        at = model.generate(z, label)
        rows.append(at[:10])
        for end in (-np.inf, np.inf):
            near = float(np.nextafter(np.float32(stage), np.float32(end)))
            if 0 <= near <= last:
                body.set_level(near)
                jumps.append(float((model.generate(z, label) - at).abs().max()))
    body.set_level(level)
    pictures.save_grid(out / "stages.png", torch.cat(rows), 10)
    return {"level": level, "jump": max(jumps)}, {"jump": max(jumps) < limits.jump}


def truncation(model, reader, values):
    """Return confidence, spread and Frechet distance of samples at each truncation."""
    report = defaultdict(list, truncation=list(values))
    for value in values:
        samples = model.sample(N, label=reader.label, seed=0, truncation=value)
        shares = reader.compare(cropped(samples))
        for name in ("confident", "spread", "frechet"):
            report[name].append(shares[name])
    return dict(report)


def resampled(model, reader, limits, run):
    """Measure the truncation of latents by resampling, and singular values."""
    report = {"resampled": truncation(model, reader, TRUNCATIONS)}
    report["sigma"] = {"generator": of_model(model)} | of_checkpoint(run)
    far = max(abs(value - 1) for ends in report["sigma"].values() for value in ends)
    return report, {
        "truncation_spread": rises(report["resampled"]["spread"]),
        "truncation_confident": rises(report["resampled"]["confident"][::-1], NOISE),
        "sigma": far <= limits.sigma,
    }


def largest(matrix):
    """Return the largest singular value of a weight [outputs, ...], by a full decomposition."""
    return float(torch.linalg.svdvals(matrix.detach().flatten(1).double())[0])


def of_model(model):
    """Return the least and the largest norm of the weights that a saved generator uses."""
    lists = (m for m in model.network.modules() if isinstance(m, ParametrizationList))
    values = [largest(module()) for module in lists]
    return min(values), max(values)


def of_checkpoint(run):
    """Return the same of both networks in training, with the singular vectors of its last step."""
    end, values = ".parametrizations.weight.original", defaultdict(list)
    with safe_open(run / "checkpoint.safetensors", "pt") as file:
        for name in file.keys():  # noqa: SIM118
            if not (name.startswith("network.") and name.endswith(end)):
                continue
            start = name.removesuffix("original") + "0."
            matrix = file.get_tensor(name).flatten(1).double()
            u, v = (file.get_tensor(start + each).double() for each in ("_u", "_v"))
            values[name.split(".")[1]].append(largest(matrix / (u @ matrix @ v)))
    return {f"{name}_in_training": (min(each), max(each)) for name, each in values.items()}


def styles(model, reader, limits, out):
    """Measure what styles do: truncation, mixing, inversion and path lengths."""
    tools, asked, shown = gan.styles, reader.asked, list(INVERTED)
    w = tools.styles(model, model.latents(N, seed=0), reader.label)
    means = tools.synthesize(model, tools.truncate(model, w, 0.0, reader.label)).numpy()
    groups = [means] if asked is None else [means[asked == c] for c in range(10)]
    other = np.random.default_rng(0).permutation(N)
    keeps, takes = mixed_digits(model, reader, w, w[other])
    targets, others = (tools.synthesize(model, each[shown]) for each in (w, w[other]))
    inversion = tools.invert(model, targets)
    pictures.save_grid(out / "inverted.png", torch.cat([targets, inversion.reconstruction]), 8)
    both = tools.synthesize(model, tools.mix(model, w[shown], w[other][shown], COARSE_LAYERS))
    pictures.save_grid(out / "mixed.png", torch.cat([targets, others, both]), 8)
    report = {
        "psi_0": float(max(group.std(0, dtype=np.float64).max() for group in groups)),
        "psi": truncation(model, reader, PSIS),
        "coarse_digit_by_first_layer": keeps,  # of fine styles
        "fine_digit_by_first_layer": takes,
        "psnr_inverted": inversion.psnr.tolist(),
        "path_length": {
            space: tools.perceptual_path_length(model, 500, space=space) for space in ("z", "w")
        },
    }
    return report, {
        "psi_0": report["psi_0"] < limits.psi_0,
        "psi_spread": rises(report["psi"]["spread"]),
        "psi_frechet": rises(report["psi"]["frechet"][::-1]),
        "coarse": keeps[COARSE_LAYERS] >= limits.coarse,
        "fine": takes[COARSE_LAYERS] < limits.fine,
        "inversion": np.mean(report["psnr_inverted"]) >= limits.psnr,
        "path_length": report["path_length"]["w"] < report["path_length"]["z"],
    }


def mixed_digits(model, reader, coarse, fine):
    """Return the shares in which mixed samples have the digit of the coarse, and of the fine style.

    For each first layer of fine styles, from 0 to L, of the pairs with different digits.
    """
    tools = gan.styles
    a, b = (reader.digits(tools.synthesize(model, w)) for w in (coarse, fine))
    keeps, takes = [], []
    for first in range(model.network.body.n_styles + 1):
        pairs = a != b
        digits = reader.digits(tools.synthesize(model, tools.mix(model, coarse, fine, first)))
        keeps.append(float((digits == a)[pairs].mean()))
        takes.append(float((digits == b)[pairs].mean()))
    return keeps, takes
