"""Check a GAN of MNIST by a classifier of real digits; train it first if asked to.

    python benchmarks/check_gan.py --mnist mnist.npz --run RUN --out OUT \
        --family r3gan [--classes] [--minutes 40]

With --minutes, the model in RUN is trained for as long, from where it left off: its learning rate
falls over --steps steps, which should fit in the time. A Frechet distance of the classifier's
features is taken every --judge-every steps. OUT gets `check.json`, a grid of samples, and one of
samples and their nearest training images. The exit status is 0 if, of 1,000 samples (as many of
each digit where there are classes),

- r3gan with classes: 92 % are read with a probability of at least 0.9, 95 % as asked, each digit in
  5 to 16 %, and the Frechet distance to the test images is at most 20; with --avx2 88 %, 93 %, 30,
- r3gan without: 85 %, each digit in 5 to 16 %, a distance of at most 35,
- stylegan2 and stylegan: as r3gan, less 5 points and with distances of 25 and 45; and, of styles, a
  truncation psi of 0 gives one picture, spread rises and the distance falls as psi rises from 0 to
  1; coarse layers of another sample bring its digit in 80 % and fine ones do not; samples invert at
  25 dB; path lengths are shorter in w than in z,
- biggan with classes: 95 % as asked; truncation from 1 to 0.3 raises confidence (within half a
  point) and lowers the spread within classes; the largest singular value of each layer of both
  networks is 1 to 5 %,
- progressive: 75 %, each digit is there; samples change by less than 1e-5 where a stage begins,
- other families: 75 %, each digit is there,
- wgan, too: over the run's snapshots the critic's difference follows the Frechet distance, with a
  rank correlation of at least 0.7.

Pictures are 28 x 28; those of networks that double 4 x 4 are padded to 32 x 32, and cropped to be
read. The Frechet distance is that of `check_mnist.py`, not the FID of Inception.
"""

import argparse
import csv
import json
import time
from pathlib import Path

import gan_marks
import numpy as np
import torch
from check_mnist import CONFIDENT, classifier, confidence, copies, grid, nearest, read
from scipy.stats import spearmanr

from unsup_fast import pictures
from unsup_fast.metrics import feature_frechet_distance
from unsup_fast.models import gan

N = 1000
DIGITS = tuple("0123456789")
SHARES = (0.05, 0.16)
LEAST_CORRELATION = 0.7
STYLED = ("stylegan2", "stylegan")
DOUBLED, SIDE = ("progressive", *STYLED), 32


def marks(family, conditional, avx2):
    """Return the limits of a family: confident, as asked, shares, Frechet distance."""
    if family == "biggan":
        return {"confident": 0.0, "as_asked": 0.95, "shares": (0.001, 1.0), "frechet": np.inf}
    if family not in ("r3gan", *STYLED):
        return {"confident": 0.75, "as_asked": 0.0, "shares": (0.001, 1.0), "frechet": np.inf}
    less, more = (0.05, 1.25) if family in STYLED else (0.0, 1.0)
    if not conditional:
        limits = {"confident": 0.85, "as_asked": 0.0, "frechet": 35.0}
    elif avx2:
        limits = {"confident": 0.88, "as_asked": 0.93, "frechet": 30.0}
    else:
        limits = {"confident": 0.92, "as_asked": 0.95, "frechet": 20.0}
    return {
        "confident": limits["confident"] - less,
        "as_asked": limits["as_asked"] - less,
        "shares": SHARES,
        "frechet": limits["frechet"] * more,
    }


def padded(images, family):
    """Return images [N, 1, S, S] with the sides of a family."""
    margin = (SIDE - 28) // 2 if family in DOUBLED else 0
    return np.pad(images, ((0, 0), (margin, margin), (margin, margin)))[:, None]


def cropped(samples):
    """Return bytes [n, 28, 28] of samples [n, 1, S, S]."""
    margin = (samples.shape[2] - 28) // 2
    return pictures.to_bytes(samples)[:, 0, margin : margin + 28, margin : margin + 28]


def draw(model, n, seed=0):
    """Return n samples as bytes [n, 28, 28], and the digits that were asked for, or None."""
    asked = np.arange(n) * 10 // n if model.config.classes else None
    label = None if asked is None else asked.tolist()
    return cropped(model.sample(n, label=label, seed=seed)), asked


def measured(model, family, run, out, network, asked, test_features):
    """Return a report of what is asked of one family alone, and what holds."""

    def read_digits(samples):
        images = cropped(samples)
        return *confidence(network, images), read(network, images)[1]

    if family == "wgan":
        value = correlation(run)
        return {"correlation": value}, {"correlation": value >= LEAST_CORRELATION}
    if family == "progressive":
        return gan_marks.stages(model, out)
    if family in STYLED:
        return gan_marks.styles(model, read_digits, asked, test_features, out)
    if family == "biggan":
        report, held = gan_marks.resampled(model, read_digits, asked, test_features)
        more, all_one = gan_marks.singular_values(run)
        return report | more, held | all_one
    return {}, {}


def train(args, images, labels, network, test_features):
    """Train the model in a folder for some minutes more."""
    data = padded(images, args.family)
    config = gan.Config(
        shape=data.shape[1:],
        classes=DIGITS if args.classes else (),
        network=gan.NETWORKS[args.family],
        size=args.size,
    )
    options = gan.train_config(
        args.family,
        steps=args.steps,
        save_every=500,
        judge_every=args.judge_every,
        sample_every=10**9,
        **({} if args.lr is None else {"learning_rate": args.lr}),
    )
    end, shown = time.monotonic() + 60 * args.minutes, time.monotonic()

    def judge(model):
        features = read(network, draw(model, N)[0])[1]
        return {"frechet": float(feature_frechet_distance(features, test_features))}

    def follow(state, losses, rate):
        nonlocal shown
        if time.monotonic() - shown > 30:
            shown = time.monotonic()
            values = ", ".join(f"{name} {value:.3g}" for name, value in losses.items())
            print(f"step {state.step}: {values}; {rate:.1f} pictures/s", flush=True)
        return time.monotonic() > end

    gan.train(
        data,
        args.run,
        labels=labels if args.classes else None,
        config=config,
        options=options,
        recipe=gan.FAMILIES[args.family],
        judge=judge,
        best=("frechet", "min"),
        progress=follow,
    )


def correlation(run):
    """Return the rank correlation of the critic's mean difference with the Frechet distance."""
    with (run / "scores.csv").open() as file:
        scores = [(int(row["step"]), float(row["frechet"])) for row in csv.DictReader(file)]
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    steps = np.array([int(row["step"]) for row in rows])
    gaps = np.array([float(row["real"]) - float(row["fake"]) for row in rows])
    means, last = [], 0
    for step, _ in scores:
        means.append(gaps[(steps > last) & (steps <= step)].mean())
        last = step
    return float(spearmanr(means, [distance for _, distance in scores]).statistic)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mnist", type=Path, required=True, help="mnist.npz")
    parser.add_argument("--run", type=Path, required=True, help="folder of the model")
    parser.add_argument("--out", type=Path, default=Path("results/gan"), help="folder")
    parser.add_argument("--classifier", type=Path, default=Path("results/mnist.safetensors"))
    parser.add_argument("--family", choices=gan.FAMILIES, default="r3gan")
    parser.add_argument("--classes", action="store_true", help="train with the digits' classes")
    parser.add_argument("--avx2", action="store_true", help="the limits of slower processors")
    parser.add_argument("--size", default="tiny", help="of the networks")
    parser.add_argument("--minutes", type=float, default=0.0, help="train for as long")
    parser.add_argument("--steps", type=int, default=8000, help="of the whole training")
    parser.add_argument("--judge-every", type=int, default=500)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with np.load(args.mnist) as file:
        images, test = file["x_train"], file["x_test"]
        labels = file["y_train"]
    network = classifier(args.classifier, images, labels)
    test_features = read(network, test)[1]
    if args.minutes > 0:
        train(args, images, labels, network, test_features)
    model = gan.load(args.run)
    samples, asked = draw(model, N)
    digits, sure = confidence(network, samples)
    shares = np.bincount(digits, minlength=10) / N
    features = read(network, samples)[1]
    report = {
        "model": repr(model),
        "confident": (sure >= CONFIDENT).mean(),
        "as_asked": None if asked is None else (digits == asked).mean(),
        "shares": shares.tolist(),
        "frechet": float(feature_frechet_distance(features, test_features)),
        **copies(samples, images, test),
    }
    limits = marks(args.family, bool(model.config.classes), args.avx2)
    held = {
        "confident": report["confident"] >= limits["confident"],
        "as_asked": asked is None or report["as_asked"] >= limits["as_asked"],
        "shares": limits["shares"][0] <= shares.min() <= shares.max() <= limits["shares"][1],
        "frechet": report["frechet"] <= limits["frechet"],
    }
    args.out.mkdir(parents=True, exist_ok=True)
    more, too = measured(model, args.family, args.run, args.out, network, asked, test_features)
    report |= more
    held |= too
    report["short"] = [name for name, holds in held.items() if not holds]
    some = samples[np.arange(100) * N // 100]
    grid(args.out / "samples.png", some, 10)
    pairs = np.stack([some, images[nearest(some, images)[0]]], axis=1)
    grid(args.out / "neighbours.png", pairs.reshape(-1, 28, 28), 20)
    text = json.dumps(report, indent=2, default=float)
    (args.out / "check.json").write_text(text + "\n")
    print(text)
    return 1 if report["short"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
