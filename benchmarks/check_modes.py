"""Count the modes that a GAN covers: 25 Gaussians, or stacked MNIST with its 1,000 triples.

    python benchmarks/check_modes.py gaussians --out OUT [--seed 0]
    python benchmarks/check_modes.py stacked --mnist mnist.npz --run RUN --out OUT [--minutes 60]

"gaussians" trains on a grid of 25 Gaussians (distance 2, standard deviation 0.05), once with the
relativistic loss with R1 and R2 and once with the non-saturating loss without a penalty, each in
--steps steps of 512 samples. Of 10,000 samples, one is good if it is within three deviations of a
center, and a mode is there if it has a good sample. The exit status is 0 if the first model has 25
modes and 85 % good samples.

"stacked" trains on pictures whose three channels are random digits (Metz et al. 2017), has 26,000
samples read channel by channel by the classifier of `check_mnist.py`, and counts the triples and
their divergence KL(generated || uniform). The exit status is 0 with 950 triples and 0.3 nats. In
the literature (triples, nats): DCGAN 99, 3.40; WGAN-GP 959, 0.73; PacGAN 1000, 0.06.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from check_gan import stop_after
from check_mnist import classifier, confidence
from matplotlib.figure import Figure

from unsup_fast import pictures
from unsup_fast.models import gan

SIDE, DISTANCE, DEVIATION = 5, 2.0, 0.05
CENTERS = DISTANCE * np.stack(np.meshgrid(*[np.arange(SIDE) - 2] * 2), -1).reshape(-1, 2)
N_GAUSSIANS, N_STACKED = 10_000, 26_000
LEAST_GOOD = 0.85
LEAST_TRIPLES, MOST_NATS = 950, 0.3
RECIPES = {
    "relativistic, R1 and R2": gan.Recipe(
        r1=0.1, r2=0.1, r_final=0.01, betas=(0.0, 0.9), learning_rate=1e-3
    ),
    "non-saturating": gan.Recipe(loss="non-saturating", betas=(0.5, 0.999), learning_rate=1e-3),
}


def divergence(counts):
    """Return KL(counts || uniform) in nats."""
    shares = counts[counts > 0] / counts.sum()
    return float((shares * np.log(shares * len(counts))).sum())


def quality(samples):
    """Return how many modes there are, the share of good samples, and KL of all over the modes."""
    distances = np.linalg.norm(samples[:, None] - CENTERS, axis=2)  # [n, 25]
    mode, good = distances.argmin(1), distances.min(1) < 3 * DEVIATION
    return {
        "modes": len(np.unique(mode[good])),
        "good": good.mean(),
        "nats": divergence(np.bincount(mode, minlength=len(CENTERS))),
    }


def gaussians(args):
    random = np.random.default_rng(args.seed)
    rows = CENTERS[random.integers(len(CENTERS), size=100_000)]
    rows = (rows + DEVIATION * random.normal(size=rows.shape)).astype(np.float32)
    args.out.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(12, 4))
    axes = figure.subplots(1, 1 + len(RECIPES))
    axes[0].plot(*rows[:N_GAUSSIANS].T, ".", markersize=1)
    axes[0].set_title("data")
    report = {"perfect": quality(rows[:N_GAUSSIANS])}
    for axis, (name, recipe) in zip(axes[1:], RECIPES.items(), strict=True):
        start = time.perf_counter()
        model = gan.train(
            rows,
            args.out / f"run-{args.seed}-{name.split(',')[0]}",
            config=gan.Config((2,), network="mlp", size=args.size, latent=8),
            options=gan.train_config(
                "r3gan",
                steps=args.steps,
                batch_size=512,
                learning_rate=recipe.learning_rate,
                ema=0.999,
                seed=args.seed,
                save_every=2000,
                sample_every=10**9,
            ),
            recipe=recipe,
        )
        samples = model.sample(N_GAUSSIANS, seed=1).numpy()
        report[name] = quality(samples) | {"seconds": time.perf_counter() - start}
        axis.plot(*samples.T, ".", markersize=1)
        axis.set_title(f"{name}: {report[name]['modes']} modes, {report[name]['good']:.0%} good")
        print(name, report[name], flush=True)
    figure.savefig(args.out / "modes.png", dpi=100)
    first = report[next(iter(RECIPES))]
    return report, first["modes"] == len(CENTERS) and first["good"] >= LEAST_GOOD


def stacked(args):
    with np.load(args.mnist) as file:
        images, labels = file["x_train"], file["y_train"]
    network = classifier(args.classifier, images, labels)
    random = np.random.default_rng(0)
    if args.minutes > 0:
        triples = random.integers(len(images), size=(args.n_train, 3))
        gan.train(
            images[triples],  # [N, 3, 28, 28]
            args.run,
            config=gan.Config(
                shape=(3, 28, 28),
                network=gan.NETWORKS[args.family],
                size=args.size,
                latent=128,
            ),
            options=gan.train_config(
                args.family, steps=args.steps, save_every=500, sample_every=10**9
            ),
            recipe=gan.FAMILIES[args.family],
            progress=stop_after(args.minutes),
        )
    model = gan.load(args.run)
    counts = np.zeros(1000, np.int64)
    for seed, n in enumerate([1000] * (N_STACKED // 1000)):
        samples = pictures.to_bytes(model.sample(n, seed=seed))  # [n, 3, 28, 28]
        digits = confidence(network, samples.reshape(-1, 28, 28))[0].reshape(n, 3)
        counts += np.bincount(digits @ [100, 10, 1], minlength=1000)
    report = {
        "model": repr(model),
        "modes": int((counts > 0).sum()),
        "nats": divergence(counts),
        "nats_of_a_perfect_sampler": 999 / (2 * N_STACKED),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    pictures.save_grid(args.out / "stacked.png", model.sample(100), 10)
    return report, report["modes"] >= LEAST_TRIPLES and report["nats"] <= MOST_NATS


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", choices=["gaussians", "stacked"])
    parser.add_argument("--out", type=Path, default=Path("results/modes"), help="folder")
    parser.add_argument("--size", help="of the networks")
    parser.add_argument("--steps", type=int, help="of training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--mnist", type=Path, help="mnist.npz")
    parser.add_argument("--run", type=Path, help="folder of the model of stacked digits")
    parser.add_argument("--classifier", type=Path, default=Path("results/mnist.safetensors"))
    parser.add_argument("--family", choices=gan.FAMILIES, default="r3gan")
    parser.add_argument("--minutes", type=float, default=0.0, help="train for as long")
    parser.add_argument("--n-train", type=int, default=200_000, help="pictures to train on")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.data == "gaussians":
        args.size, args.steps = args.size or "small", args.steps or 40_000
        report, passed = gaussians(args)
    else:
        if args.mnist is None or args.run is None:
            parser.error("stacked needs --mnist and --run")
        args.size, args.steps = args.size or "tiny", args.steps or 12_000
        report, passed = stacked(args)
    text = json.dumps(report, indent=2, default=float)
    (args.out / "check.json").write_text(text + "\n")
    print(text)
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
