"""Check how augmentation trains a GAN of few colour pictures; train it first if asked to.

    python benchmarks/check_emoji.py --data PICTURES --run RUN --out OUT \
        --family stylegan2 [--augment none|diffaugment|ada] [--minutes 40]

PICTURES is whatever `unsup_fast.pictures.load` reads, such as 2,000 emoji of 64 x 64. With
--minutes, the model in RUN is trained for as long, from where it left off: its learning rate falls
over --steps steps, which should fit in the time. The Frechet distance of EfficientNet-lite1's
features, which no family trains on, is taken every --judge-every steps. OUT gets `check.json`, and
what `check_pictures.py` measures of a single run: distance, precision, recall, density, coverage, a
grid of samples and one of samples with their nearest pictures. The exit status is 0 if

- the last distance is 5 % below all of the first third of the training,
- with ada, as in `check_pictures.py`: in the last fifth of the steps r_t is on average within 0.1
  of its target, 0.6, and the discriminator is right in less than 98 % of pairs;
- with --augment none, instead of all that, since it is what augmentation should prevent: the
  discriminator's signs (r_t, or without it those of pairs of scores) saturate, with a mean above
  0.9 over some 100 steps of the second half.
"""

import argparse
import csv
import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from check_gan import stop_after
from check_pictures import curves, examined

from unsup_fast import pictures
from unsup_fast.metrics import FewSamplesWarning, Lite1, feature_frechet_distance
from unsup_fast.models import gan
from unsup_fast.models.gan.augment import AUGMENTATIONS

N_REAL, N_JUDGED = 2000, 1000
LEAST_SCORES, FALL = 3, 0.05
WINDOW, SATURATED = 100, 0.9


def recipe_of(args):
    """Return the recipe of a family with the augmentation and the penalty that were asked for."""
    names = {"augment": args.augment, "augment_examples": args.augment_examples, "r1": args.r1}
    settings = {name: value for name, value in names.items() if value is not None}
    return replace(gan.FAMILIES[args.family], **settings)


def train(args, data, features, of_data):
    """Train the model in a folder for some minutes more."""

    def judge(model):
        samples = features(pictures.to_bytes(model.sample(N_JUDGED, seed=0)))
        return {"frechet_lite1": float(feature_frechet_distance(samples, of_data))}

    settings = {"learning_rate": args.lr, "batch_size": args.batch}
    gan.train(
        data,
        args.run,
        config=gan.Config(shape=data.shape[1:], network=gan.NETWORKS[args.family], size=args.size),
        options=gan.train_config(
            args.family,
            steps=args.steps,
            save_every=250,
            judge_every=args.judge_every,
            sample_every=10**9,
            **{name: value for name, value in settings.items() if value is not None},
        ),
        recipe=recipe_of(args),
        judge=judge,
        best=("frechet_lite1", "min"),
        progress=stop_after(args.minutes),
    )


def distances(run):
    """Return the scores of a run, and whether the last is well below the first third."""
    with (run / "scores.csv").open() as file:
        rows = [(int(row["step"]), float(row["frechet_lite1"])) for row in csv.DictReader(file)]
    values = [distance for _, distance in rows]
    falls = len(rows) >= LEAST_SCORES and values[-1] < (1 - FALL) * min(values[: len(rows) // 3])
    return {"frechet_over_time": rows}, {"frechet_falls": falls}


def saturation(run):
    """Return the largest mean of the signs over a window in the second half of the steps."""
    columns = curves(run)
    values = np.abs(columns["r_t"] if "r_t" in columns else columns["sign"])
    steps = np.concatenate([[0], columns["step"]])  # a row has the mean since the one before
    sums = np.concatenate([[0], np.cumsum(values * np.diff(steps))])
    ends = steps[steps - WINDOW >= steps[-1] / 2]
    means = (np.interp(ends, steps, sums) - np.interp(ends - WINDOW, steps, sums)) / WINDOW
    largest = float(means.max(initial=0))
    return {"sign_largest": largest}, {"saturates": largest > SATURATED}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="pictures")
    parser.add_argument("--run", type=Path, required=True, help="folder of the model")
    parser.add_argument("--out", type=Path, default=Path("results/emoji"), help="folder")
    parser.add_argument("--family", choices=gan.FAMILIES, default="stylegan2")
    parser.add_argument("--augment", choices=AUGMENTATIONS, help="other than the family's")
    parser.add_argument("--augment-examples", type=int, help="that ada takes from p = 0 to 1")
    parser.add_argument("--r1", type=float, help="weight of the penalty")
    parser.add_argument("--side", type=int, help="that pictures are resized to")
    parser.add_argument("--size", default="tiny", help="of the networks")
    parser.add_argument("--minutes", type=float, default=0.0, help="train for as long")
    parser.add_argument("--steps", type=int, default=5000, help="of the whole training")
    parser.add_argument("--batch", type=int, help="pictures in a step")
    parser.add_argument("--judge-every", type=int, default=500)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    # Distances of so few samples compare with those of as many only, which these are.
    warnings.simplefilter("ignore", FewSamplesWarning)
    data = pictures.load(args.data, size=args.side, channels=3, labels=False).pixels
    features = Lite1()
    of_data = features(data[np.random.default_rng(0).permutation(len(data))[:N_REAL]])
    if args.minutes > 0:
        train(args, data, features, of_data)
    args.out.mkdir(parents=True, exist_ok=True)
    report, held = examined(args.run, data, features, of_data, args.out)
    for measure in (distances, saturation):
        more, holds = measure(args.run)
        report |= more
        if (args.augment == "none") == (measure is saturation):
            held |= holds
    report["short"] = [name for name, holds in held.items() if not holds]
    text = json.dumps(report, indent=2, default=float)
    (args.out / "check.json").write_text(text + "\n")
    print(text)
    return 1 if report["short"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
