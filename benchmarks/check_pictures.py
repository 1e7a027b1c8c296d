"""Check GANs of coloured pictures by features that none of them was trained with.

    python benchmarks/check_pictures.py --data PICTURES --runs RUN RUN ... --out OUT

PICTURES is whatever `unsup_fast.pictures.load` reads, RUN a folder of `unsup-fast gan train`. Of
2,000 samples of each model the Frechet distance of EfficientNet-lite1's features to the data, and
precision, recall, density and coverage by the same features, are taken. OUT gets `check.json`, and
for each run a grid of samples and one of samples with their nearest pictures. The exit status is 0
if

- a run with `augment="ada"` has steered the mean sign of D(x) to its target: in the last fifth of
  its steps it is on average within 0.1 of it,
- its discriminator was right in less than 98 % of pairs over the same steps,
- with `--better A B` run A (its number, from 0) has a smaller distance or a higher coverage than B.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np
import torch
from check_mnist import nearest

from unsup_fast import pictures
from unsup_fast.metrics import Lite1, feature_frechet_distance, prdc
from unsup_fast.models import gan

N, SHOWN = 2000, 40
NEAR, MOST_SIGN = 0.1, 0.98


def curves(run):
    """Return the columns of metrics.csv as arrays, NaN where a step reports no value."""
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = ("step", "sign", "r_t", "augment_p", "spread")
    return {
        name: np.array([float(row[name] or "nan") for row in rows])
        for name in names
        if name in rows[0]
    }


def examined(run, data, features, of_data, out):
    """Return the report of a run, and what holds."""
    model = gan.load(run)
    samples = pictures.to_bytes(model.sample(N, seed=0))
    of_samples = features(samples)
    report = {
        "model": repr(model),
        "frechet_lite1": float(feature_frechet_distance(of_samples, of_data)),
        "prdc": prdc(of_data.numpy(), of_samples.numpy())._asdict(),
    }
    some = samples[:SHOWN]
    pictures.save_grid(out / f"{run.name}.png", model.sample(SHOWN, seed=0), 10)
    pairs = np.stack([some, data[nearest(some, data)[0]]], axis=1).reshape(-1, *data.shape[1:])
    pairs = torch.from_numpy(pairs).float() / 127.5 - 1
    pictures.save_grid(out / f"{run.name}_neighbours.png", pairs, 20)
    steps = curves(run)
    late = steps["step"] >= 0.8 * steps["step"].max()
    report["sign"] = float(np.nanmean(steps["sign"][late]))
    held = {}
    if "r_t" in steps and np.isfinite(steps["r_t"]).any():
        report["r_t"] = float(np.nanmean(steps["r_t"][late]))
        report["augment_p"] = float(np.nanmean(steps["augment_p"][late]))
        held["r_t"] = abs(report["r_t"] - gan.Recipe().augment_target) <= NEAR
        held["sign"] = report["sign"] < MOST_SIGN
    return report, held


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="pictures")
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="folders of models")
    parser.add_argument("--out", type=Path, default=Path("results/pictures"), help="folder")
    parser.add_argument("--better", type=int, nargs=2, metavar=("A", "B"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    data = pictures.load(args.data, labels=False).pixels
    some = data[np.random.default_rng(0).permutation(len(data))[:N]]
    features = Lite1()
    of_data = features(some)
    report, short = {}, []
    for run in args.runs:
        report[run.name], held = examined(run, data, features, of_data, args.out)
        short += [f"{run.name}: {name}" for name, holds in held.items() if not holds]
        print(run.name, report[run.name], flush=True)
    if args.better:
        a, b = (report[args.runs[i].name] for i in args.better)
        nearer = a["frechet_lite1"] < b["frechet_lite1"]
        if not nearer and a["prdc"]["coverage"] <= b["prdc"]["coverage"]:
            short.append(f"{args.runs[args.better[0]].name}: better")
    report["short"] = short
    text = json.dumps(report, indent=2, default=float)
    (args.out / "check.json").write_text(text + "\n")
    print(text)
    return 1 if short else 0


if __name__ == "__main__":
    raise SystemExit(main())
