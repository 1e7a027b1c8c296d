"""What `check_gan.py` measures of single families: stages, styles, truncation, spectral norms.

Each function takes a model of digits and returns a report and a dictionary of what holds. Samples
are read by the classifier of `check_mnist.py`, a function `read_digits` of pictures [n, C, H, W] in
[-1, 1] that returns digits, probabilities and features.
"""

from collections import defaultdict
from itertools import pairwise

import numpy as np
import torch
from safetensors import safe_open

from unsup_fast import pictures
from unsup_fast.metrics import feature_frechet_distance
from unsup_fast.models import gan
from unsup_fast.models.gan.inversion import invert
from unsup_fast.models.gan.perceptual_path_length import perceptual_path_length

N = 1000
JUMP = 1e-5
NEAR = 1e-6  # of a level
PSIS = (0.0, 0.25, 0.5, 0.75, 1.0)
TRUNCATIONS = (0.3, 0.5, 0.7, 1.0)
COARSE_LAYERS = 4  # of the two smallest resolutions
LEAST_COARSE, MOST_FINE = 0.8, 0.5  # shares of samples that keep the digit
LEAST_PSNR = 25.0
NOISE = 0.005  # of confidence, which may fall by as much from one truncation to the next
SIGMA = 0.05


def spread(samples, asked):
    """Return the mean standard deviation of pixels [n, ...], within classes if there are some."""
    asked = np.zeros(len(samples), int) if asked is None else asked
    return float(np.mean([samples[asked == c].std(0).mean() for c in np.unique(asked)]))


def rises(values, slack=0.0):
    """Return whether each number is above the one before, or below it by less than the slack."""
    return all(b > a - slack for a, b in pairwise(values))


def stages(model, out):
    """Measure the jump of samples where a stage of a growing network has faded in."""
    body = model.network.body
    z, last = model.latents(100, seed=0), body.n_stages - 1
    label = [i % 10 for i in range(100)] if model.config.classes else None
    jumps, rows = [], []
    for level in range(last + 1):
        body.set_level(level)
        rows.append(model.generate(z[:10], label=None if label is None else label[:10]))
        at = model.generate(z, label=label)
        for near in (level - NEAR, level + NEAR):
            if 0 <= near <= last:
                body.set_level(near)
                jumps.append(float((model.generate(z, label=label) - at).abs().max()))
    body.set_level(last)
    pictures.save_grid(out / "stages.png", torch.cat(rows), 10)
    return {"jump": max(jumps)}, {"jump": max(jumps) < JUMP}


def truncation(model, read_digits, values, asked, test_features):
    """Return confidence, spread and Frechet distance of samples at each truncation."""
    report = defaultdict(list)
    label = None if asked is None else asked.tolist()
    for value in values:
        samples = model.sample(N, label=label, seed=0, truncation=value)
        _, sure, features = read_digits(samples)
        report["confident"].append(float((sure >= 0.9).mean()))
        report["spread"].append(spread(samples.numpy(), asked))
        report["frechet"].append(float(feature_frechet_distance(features, test_features)))
    return {"truncation": list(values), **report}


def resampled(model, read_digits, asked, test_features):
    """Measure the truncation of latents by resampling."""
    report = truncation(model, read_digits, TRUNCATIONS, asked, test_features)
    return report, {
        "truncation_spread": rises(report["spread"]),
        "truncation_confident": rises(report["confident"][::-1], NOISE),
    }


def singular_values(run):
    """Return the largest singular values that are farthest from 1, of all spectral norms."""
    values = []
    with safe_open(run / "checkpoint.safetensors", "pt") as file:
        end = ".parametrizations.weight.original"
        for name in file.keys():  # noqa: SIM118
            if name.startswith("network.") and name.endswith(end):
                start = name.removesuffix("original") + "0."
                matrix = file.get_tensor(name).flatten(1).double()
                u, v = (file.get_tensor(start + each).double() for each in ("_u", "_v"))
                values.append(float(torch.linalg.matrix_norm(matrix / (u @ matrix @ v), 2)))
    report = {"layers": len(values), "sigma": [min(values), max(values)]}
    return report, {"sigma": bool(values) and max(abs(v - 1) for v in values) <= SIGMA}


def styles(model, read_digits, asked, test_features, out):
    """Measure what styles do: truncation, mixing, inversion and path lengths."""
    tools, label = gan.styles, None if asked is None else asked.tolist()
    z = model.latents(N, seed=0)
    w = tools.styles(model, z, label)
    means = tools.synthesize(model, tools.truncate(model, w, 0.0, label)).numpy()
    one = max(means[asked == c].std(0).max() for c in range(10)) if label else means.std(0).max()
    psi = truncation(model, read_digits, PSIS, asked, test_features)
    digits = read_digits(tools.synthesize(model, w))[0]
    other = np.random.default_rng(0).permutation(N)
    differ = digits != digits[other]
    by_layer = []
    for i in range(model.network.body.n_styles + 1):
        mixed = tools.synthesize(model, tools.mix(model, w, w[other], i))
        read = read_digits(mixed)[0][differ]
        by_layer.append(float((read == digits[differ]).mean()))
        if i == COARSE_LAYERS:
            fine = (read == digits[other][differ]).mean()
    coarse = by_layer[COARSE_LAYERS]
    first = [0, 100, 200, 300, 400, 500, 600, 700]
    targets = tools.synthesize(model, w[first])
    inversion = invert(model, targets)
    rows = [targets, inversion.reconstruction]
    pictures.save_grid(out / "inverted.png", torch.cat(rows), len(first))
    shown = tools.synthesize(model, tools.mix(model, w[first], w[other][first], COARSE_LAYERS))
    rows = [targets, tools.synthesize(model, w[other][first]), shown]
    pictures.save_grid(out / "mixed.png", torch.cat(rows), len(first))
    lengths = {space: perceptual_path_length(model, 500, space=space) for space in ("z", "w")}
    report = {
        "psi_0": float(one),
        "psi": psi,
        "coarse_fixes": float(coarse),
        "fine_fixes": float(fine),
        "kept_by_first_layer": by_layer,
        "psnr_inverted": inversion.psnr.tolist(),
        "path_length": lengths,
    }
    return report, {
        "psi_0": one < 1e-6,
        "psi_spread": rises(psi["spread"]),
        "psi_frechet": rises(psi["frechet"][::-1]),
        "coarse": coarse >= LEAST_COARSE,
        "fine": fine < MOST_FINE,
        "inversion": float(inversion.psnr.mean()) >= LEAST_PSNR,
        "path_length": lengths["w"] < lengths["z"],
    }
