"""Compute the Frechet distance of a model's samples in several processes: the same bits.

    torchrun --nproc-per-node 2 examples/fid_processes.py RUN photos/ --samples 10000 \
        --weights pt_inception-2015-12-05-6726825d.pth

RUN is the folder of a training of a diffusion model. Without DATA the pictures are scikit-learn's
digits; without --weights pixels are compared, not Inception's features.

Pictures and samples are cut into units of --unit. A process computes whole units, each sample from
its own seed and in the same batch, and the statistics of units are merged in their order: no sum
depends on the number of processes. torchrun sets OMP_NUM_THREADS=1 unless it is set: give one
process the same number, as the network's sums depend on it.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import accelerate
import numpy as np
import torch
from accelerate.utils import gather_object

from unsup_fast import pictures
from unsup_fast.metrics import FrechetDistance, Inception
from unsup_fast.models import diffusion

BATCH = 128


def main() -> None:
    """Print the distance, and all of its digits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="Folder of a training of a diffusion model.")
    parser.add_argument("data", type=Path, nargs="?", help="Pictures, as `pictures.load` takes.")
    parser.add_argument("--samples", type=int, default=10_000, help="Number of samples.")
    parser.add_argument("--steps", type=int, default=20, help="Steps of the sampler.")
    parser.add_argument("--seed", type=int, default=0, help="Seed of the first sample.")
    parser.add_argument("--unit", type=int, default=1024, help="Pictures in a unit.")
    parser.add_argument("--weights", type=Path, help="File of the Inception network.")
    arguments = parser.parse_args()

    processes = accelerate.PartialState(cpu=not torch.cuda.is_available())
    model = diffusion.load(arguments.run, device=processes.device)
    if arguments.data is None:
        real = pictures.digits().pixels
    else:
        real = pictures.load(arguments.data, size=model.config.shape[-1]).pixels  # [N, C, H, W]
    inception = arguments.weights and Inception(arguments.weights, device=processes.device)
    classes = len(model.config.classes)

    def features(images: np.ndarray) -> np.ndarray:
        if inception is None:
            return images.reshape(len(images), -1) / 255  # [n, CHW]
        return inception(np.moveaxis(images, 1, -1))  # [n, 2048]

    def generated(rows: range) -> np.ndarray:
        images = model.sample(
            steps=arguments.steps,
            label=[row % classes for row in rows] if classes else None,
            seed=[arguments.seed + row for row in rows],
            batch_size=BATCH,
            progress=False,
        )
        return np.asarray(pictures.to_bytes(images))

    total = FrechetDistance(n_threads=1)

    def collect(n: int, images: Callable[[range], np.ndarray], *, real: bool) -> None:
        starts = range(0, n, arguments.unit)
        for first in range(0, len(starts), processes.num_processes):
            unit = FrechetDistance(features, n_threads=1)
            for start in starts[first:][processes.process_index :][:1]:
                unit.update(images(range(start, min(start + arguments.unit, n))), real=real)
            for state in gather_object([unit.state_dict()]):  # in the order of the units
                other = FrechetDistance()
                other.load_state_dict(state)
                total.merge(other)

    collect(len(real), lambda rows: real[rows.start : rows.stop], real=True)
    collect(arguments.samples, generated, real=False)
    if processes.is_main_process:
        distance = total.compute()
        print(f"{total!r} in {processes.num_processes} processes")
        print(f"Frechet distance {distance:.6g} ({distance.hex()})")
    processes.destroy_process_group()


if __name__ == "__main__":
    main()
