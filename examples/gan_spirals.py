"""Draw how two players move around their equilibrium, by rule, and compare with exact rates.

    python examples/gan_spirals.py  # writes spirals.svg

V = theta phi is the simplest game of a generator (theta, which minimizes V) and a discriminator
(phi, which maximizes it); the Dirac-GAN is the simplest GAN.
"""

import argparse
import math
from pathlib import Path
from typing import get_args

import torch

from unsup_fast.models.gan import dynamics
from unsup_fast.report.dynamics import spirals


def main() -> None:
    """Play by each rule, print the factor of the squared distance in a step, and draw the paths."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lr", type=float, default=0.2, help="Learning rate of the first four.")
    parser.add_argument("--steps", type=int, default=45, help="Steps of the first four.")
    parser.add_argument("--out", type=Path, default=Path("spirals.svg"), help="The picture.")
    arguments = parser.parse_args()
    lr, steps = arguments.lr, arguments.steps

    start = torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64)
    paths = {}
    for rule in get_args(dynamics.Rule):
        path = dynamics.play(lambda theta, phi: theta * phi, *start, lr=lr, rule=rule, steps=steps)
        growth = (path.theta[-1] ** 2 + path.phi[-1] ** 2).item() ** (1 / steps)
        exact = dynamics.bilinear_growth(lr, rule=rule)
        print(f"theta phi, {rule}: {growth:.6f} a step, exactly {exact:.6f} in the long run")
        paths[rule.capitalize()] = path
    for title, gamma in (("Dirac-GAN", 0.0), ("Dirac-GAN with R1", 0.3)):
        value = dynamics.dirac_gan(gamma)
        paths[title] = dynamics.play(value, *start, lr=lr, rule="simultaneous", steps=150)
        rate = math.sqrt(dynamics.dirac_growth(lr, gamma))
        print(f"{title}: the distance changes by {rate:.4f} a step near the equilibrium")

    arguments.out.write_text(spirals(paths), encoding="utf-8")
    print(f"Paths: {arguments.out}")


if __name__ == "__main__":
    main()
