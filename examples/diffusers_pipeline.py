"""Replace the scheduler of a diffusers pipeline: the same images, less time outside the network.

    python examples/diffusers_pipeline.py

The network is tiny and has random weights, so nothing is downloaded and the images are noise. With
a pipeline of yours the change is the same line:

    pipe.scheduler = unsup_fast.FusedDDIM.from_config(pipe.scheduler.config)
"""

import argparse
import time

import diffusers
import torch

import unsup_fast

NAMES = ["DDPM", "DDIM", "DPMSolverMultistep"]


def tiny_pipeline(size: int) -> diffusers.DDPMPipeline:
    """Return a pipeline around a small network of random weights."""
    torch.manual_seed(0)
    network = diffusers.UNet2DModel(
        sample_size=size,
        block_out_channels=(8, 8),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
    )
    pipeline = diffusers.DDPMPipeline(unet=network, scheduler=diffusers.DDPMScheduler())
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def sample(pipeline: diffusers.DDPMPipeline, n: int, steps: int) -> torch.Tensor:
    """Return n images [n, H, W, 3] in [0, 1] from one seed."""
    generator = torch.Generator().manual_seed(1)
    options = {"batch_size": n, "num_inference_steps": steps, "output_type": "np"}
    return torch.from_numpy(pipeline(generator=generator, **options).images)


def step_time(scheduler: diffusers.SchedulerMixin, shape: tuple[int, ...], steps: int) -> float:
    """Return the milliseconds of a step of a scheduler, without the network."""
    scheduler.set_timesteps(steps)
    x = torch.randn(shape) * scheduler.init_noise_sigma
    output = torch.randn(shape)
    start = time.perf_counter()
    for t in scheduler.timesteps:
        scheduler.scale_model_input(x, t)
        x = scheduler.step(output, t, x).prev_sample
    return 1e3 * (time.perf_counter() - start) / len(scheduler.timesteps)


def main() -> None:
    """Compare each scheduler of diffusers with ours: images, and time of a step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="Take few steps and small images.")
    small = parser.parse_args().small
    size, n, steps, rounds = (16, 2, 4, 2) if small else (64, 4, 25, 5)

    pipeline = tiny_pipeline(size)
    config = pipeline.scheduler.config
    shape = (4, 3, 2 * size, 2 * size)
    print(f"{n} images of {size} x {size} in {steps} steps; steps of {shape}, best of {rounds}\n")
    print(f"{'scheduler':20}{'largest difference':>20}{'diffusers':>12}{'ours':>10}{'ratio':>8}")
    for name in NAMES:
        theirs = getattr(diffusers, f"{name}Scheduler").from_config(config)
        ours = getattr(unsup_fast, f"Fused{name}").from_config(config)
        images = []
        for scheduler in (theirs, ours):
            pipeline.scheduler = scheduler  # the one line
            images.append(sample(pipeline, n, steps))
        difference = float((images[0] - images[1]).abs().max())
        times = [
            min(step_time(scheduler, shape, steps) for _ in range(rounds))
            for scheduler in (theirs, ours)
        ]
        print(
            f"{name:20}{difference:20.1e}{times[0]:9.3f} ms{times[1]:7.3f} ms"
            f"{times[0] / times[1]:8.1f}"
        )
    print("\nImages have values in [0, 1]; a byte is 4e-3. The rest is rounding in float32.")


if __name__ == "__main__":
    main()
