"""Count the alarms of GANs that fail and of GANs that do not.

    python benchmarks/check_alarm.py --out OUT [--runs 20] [--steps 2500]

Healthy runs, half of them on a ring of eight Gaussians and half on the 8 x 8 digits of
scikit-learn by class, have seeds of their own and should raise no alarm. Three kinds of sabotage
on the digits should: a learning rate 50 times the usual one (with --rates also other factors), a
discriminator whose weights are frozen, a generator that is fed constants. OUT gets `alarms.json`.
The exit status is 0 if no healthy run raises an alarm, and constants and a frozen discriminator do.
"""

import argparse
import json
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

from unsup_fast.models import gan
from unsup_fast.models.gan.players import discriminator_of, generator_of

DIGITS = tuple("0123456789")
ROWS = gan.Config((2,), network="mlp", size="tiny", latent=4)
PICTURES = gan.Config((1, 8, 8), classes=DIGITS, size="tiny", latent=16)
LR = 1e-3
NEVER = 10**9


class Constants(torch.nn.Module):
    """A generator that does not see its latents."""

    def __init__(self, seed):
        super().__init__()
        self.body = generator_of(PICTURES, seed)

    def forward(self, z, label):
        """Return pictures that depend on the class alone."""
        return self.body(torch.ones_like(z), label)


class Frozen(torch.nn.Module):
    """A discriminator that does not learn."""

    def __init__(self, seed):
        super().__init__()
        self.body = discriminator_of(PICTURES, gan.FAMILIES["r3gan"], seed).requires_grad_(False)
        self.zero = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x, label):
        """Return scores [B]."""
        return self.body(x, label) + 0 * self.zero


def ring(seed):
    """Return rows of 8 Gaussians on a circle."""
    random = np.random.default_rng(seed)
    angle = random.integers(8, size=5000) * np.pi / 4
    centers = np.stack([np.cos(angle), np.sin(angle)], 1)
    return (centers + 0.05 * random.normal(size=centers.shape)).astype(np.float32)


def alarms(folder, data, labels, config, *, steps, seed, factor=1.0, networks=(None, None)):
    """Return the alarms of a training."""
    options = gan.train_config(
        "r3gan",
        steps=steps,
        seed=seed,
        learning_rate=factor * LR,
        save_every=NEVER,
        sample_every=NEVER,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            gan.train(
                data,
                folder,
                labels=labels,
                config=config,
                options=options,
                generator=networks[0],
                discriminator=networks[1],
                device="cpu",
                progress=False,
            )
        except FloatingPointError as error:  # training stops, which tells as much
            return [str(error)]
    return [str(each.message) for each in caught if each.category is RuntimeWarning]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("results/alarms"), help="folder")
    parser.add_argument("--runs", type=int, default=20, help="healthy ones")
    parser.add_argument("--steps", type=int, default=2500, help="of each")
    parser.add_argument("--rates", type=float, nargs="+", default=[50.0], help="factors")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    images, digits = load_digits(return_X_y=True)
    images = (images.reshape(-1, 1, 8, 8) * 255 / 16).astype(np.uint8)
    args.out.mkdir(parents=True, exist_ok=True)
    start, report = time.monotonic(), {}

    def run(name, data, labels, config, **settings):
        folder = args.out / name.replace(" ", "-")
        report[name] = alarms(folder, data, labels, config, steps=args.steps, **settings)
        print(f"{time.monotonic() - start:.0f} s  {name}: {report[name] or 'no alarm'}", flush=True)

    own = replace(PICTURES, network="custom")
    run("constants", images, digits, own, seed=0, networks=(Constants(0), discriminator(0)))
    run("frozen", images, digits, own, seed=0, networks=(generator_of(PICTURES, 0), Frozen(0)))
    for factor in args.rates:
        run(f"rate x {factor:g}", images, digits, PICTURES, seed=0, factor=factor)
    for seed in range(args.runs):
        if seed % 2:
            run(f"digits {seed}", images, digits, PICTURES, seed=seed)
        else:
            run(f"ring {seed}", ring(seed), None, ROWS, seed=seed)
    report["seconds"] = time.monotonic() - start
    (args.out / "alarms.json").write_text(json.dumps(report, indent=2) + "\n")
    healthy = [report[name] for name in report if name.startswith(("digits", "ring"))]
    return 0 if not any(healthy) and report["constants"] and report["frozen"] else 1


def discriminator(seed):
    """Return a discriminator of the digits."""
    return discriminator_of(PICTURES, gan.FAMILIES["r3gan"], seed)


if __name__ == "__main__":
    raise SystemExit(main())
