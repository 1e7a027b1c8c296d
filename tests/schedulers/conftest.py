"""Runs of a scheduler over a model that is a formula."""

import inspect
from typing import NamedTuple

import pytest


class Run(NamedTuple):
    samples: list
    images: list


def model(x, t):
    """Return the output of a toy network: bounded, nonlinear, different for each timestep."""
    return (0.8 * x + 0.1).tanh() - 0.3 * (0.01 * float(t) + x).sin()


@pytest.fixture
def walk():
    """Return a function that runs a scheduler and returns the samples and images of all steps."""
    torch = pytest.importorskip("torch")

    def run(
        scheduler, n_steps=None, *, shape=(2, 3, 5, 7), dtype=torch.float32, seed=3, start=0,
        channels=1, begin=None, drift=0.0, chosen=None, torch_noise=True, **options,
    ):  # fmt: skip
        generator = torch.Generator().manual_seed(seed)
        if n_steps is not None or chosen:
            scheduler.set_timesteps(n_steps, **(chosen or {}))
        if begin is not None:
            scheduler.set_begin_index(begin)
            start = begin
        x = torch.randn(shape, generator=generator).to(dtype)
        x = x * getattr(scheduler, "init_noise_sigma", 1.0)
        if "generator" in inspect.signature(scheduler.step).parameters and torch_noise:
            options["generator"] = generator
        samples, images = [], []
        for t in scheduler.timesteps[start:]:
            scaled = (
                scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
            )
            output = torch.cat([model(scaled, t)] + [0.1 * scaled.sin()] * (channels - 1), dim=1)
            outputs = scheduler.step(output, t, x, return_dict=False, **options)
            x = outputs[0]
            samples.append(x)
            images += outputs[1:]
        return Run(samples, images)

    return run


@pytest.fixture
def agree():
    """Return a function that compares two runs, relative to the size of what they hold."""

    def check(ours, theirs, tolerance):
        for one, other in ((ours.samples, theirs.samples), (ours.images, theirs.images)):
            assert len(one) == len(other)
            for step, (a, b) in enumerate(zip(one, other, strict=True)):
                assert a.shape == b.shape
                size = b.double().abs().max().clamp(min=1)
                error = (a.double() - b.double()).abs().max() / size
                assert error <= tolerance, (step, float(error))

    return check
