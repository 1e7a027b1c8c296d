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
- stylegan2 and stylegan: as r3gan, less 5 points and with distances of 25 (37.5) and 45; and, of
  styles, a truncation psi of 0 gives one picture, spread rises and the distance falls as psi rises
  from 0 to 1; mixed samples have the digit of the coarse styles, of 4 x 4 and 8 x 8 pixels, in
  80 %, and that of the fine ones in less than 50 %; 8 samples are inverted at a mean of 25 dB; path
  lengths are shorter in w than in z,
- biggan with classes: 95 % as asked, and the spread (of pixels within classes, over that of test
  images) is at least 0.25; truncation from 1 to 0.3 raises confidence (but for half a point of
  noise) and lowers the spread; the largest singular value of each normalised weight of both
  networks is 1 to 5 %,
- progressive: 75 %, each digit is there; samples change by less than 1e-5 where a stage begins,
- other families: 75 %, each digit is there,
- wgan, too: over the run's snapshots the critic's difference follows the Frechet distance, with a
  rank correlation of at least 0.7.

Pictures are 28 x 28, or padded to 32 x 32 and cropped to be read, as networks take them that begin
at 4 x 4. `gan_marks.py` has the marks, which --avx2 lowers for r3gan and StyleGAN with classes.

The Frechet distance is that of `check_mnist.py`, not the FID of Inception.
"""

import argparse
import csv
import json
import time
from pathlib import Path

import gan_marks
import numpy as np
import torch
from check_mnist import classifier, copies, grid, nearest
from scipy.stats import spearmanr

from unsup_fast.models import gan

N = 1000
DIGITS = tuple("0123456789")
WIDE = ("progressive", "stylegan2", "stylegan")
"""Families of 32 x 32 pixels."""


def padded(images, side):
    """Return images [N, 28, 28] as [N, 1, side, side]."""
    margin = (side - 28) // 2
    return np.pad(images, ((0, 0), (margin, margin), (margin, margin)))[:, None]


def digits_asked(n):
    """Return n digits, as many of each."""
    return np.arange(n) * 10 // n


def draw(model, n, seed=0):
    """Return n samples as bytes [n, 28, 28], and the digits that were asked for, or None."""
    asked = digits_asked(n) if model.config.classes else None
    label = None if asked is None else asked.tolist()
    return gan_marks.cropped(model.sample(n, label=label, seed=seed)), asked


def measured(model, args, reader, limits):
    """Return a report of what is asked of one family alone, and what holds."""
    if args.family == "wgan":
        value = correlation(args.run)
        return {"correlation": value}, {"correlation": value >= limits.correlation}
    if args.family == "progressive":
        return gan_marks.stages(model, limits, args.out)
    if args.family in ("stylegan2", "stylegan"):
        return gan_marks.styles(model, reader, limits, args.out)
    if args.family == "biggan":
        return gan_marks.resampled(model, reader, limits, args.run)
    return {}, {}


def stop_after(minutes):
    """Return a function for `gan.train` that shows how it goes, and ends it after some minutes."""
    end, shown = time.monotonic() + 60 * minutes, time.monotonic()

    def follow(state, losses, rate):
        nonlocal shown
        if time.monotonic() - shown > 30:
            shown = time.monotonic()
            values = ", ".join(f"{name} {value:.3g}" for name, value in losses.items())
            print(f"step {state.step}: {values}; {rate:.1f} pictures/s", flush=True)
        return time.monotonic() > end

    return follow


def train(args, images, labels, reader):
    """Train the model in a folder for some minutes more."""
    data = padded(images, args.side)
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

    def judge(model):
        return {"frechet": reader.compare(draw(model, N)[0])["frechet"]}

    gan.train(
        data,
        args.run,
        labels=labels if args.classes else None,
        config=config,
        options=options,
        recipe=gan.FAMILIES[args.family],
        judge=judge,
        best=("frechet", "min"),
        progress=stop_after(args.minutes),
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
    parser.add_argument("--side", type=int, choices=[28, 32], help="of pictures")
    parser.add_argument("--classes", action="store_true", help="train with the digits' classes")
    parser.add_argument("--avx2", action="store_true", help="the limits of slower processors")
    parser.add_argument("--size", default="tiny", help="of the networks")
    parser.add_argument("--minutes", type=float, default=0.0, help="train for as long")
    parser.add_argument("--steps", type=int, default=8000, help="of the whole training")
    parser.add_argument("--judge-every", type=int, default=500)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    args.side = args.side or (32 if args.family in WIDE else 28)
    torch.set_num_threads(args.threads)
    with np.load(args.mnist) as file:
        images, test = file["x_train"], file["x_test"]
        labels, test_labels = file["y_train"], file["y_test"]
    network = classifier(args.classifier, images, labels)
    if args.minutes > 0:
        asked = digits_asked(N) if args.classes else None
        train(args, images, labels, gan_marks.Reader(network, test, test_labels, asked))
    model = gan.load(args.run)
    if model.config.network != gan.NETWORKS[args.family]:
        parser.error(f"{args.run} has the network {model.config.network}; pass another --family")
    samples, asked = draw(model, N)
    reader = gan_marks.Reader(network, test, test_labels, asked)
    limits = gan_marks.marks(args.family, bool(model.config.classes), args.avx2)
    report = reader.compare(samples)
    held = gan_marks.passed(report, limits)
    report = {"model": repr(model), **report, **copies(samples, images, test)}
    args.out.mkdir(parents=True, exist_ok=True)
    more, too = measured(model, args, reader, limits)
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
