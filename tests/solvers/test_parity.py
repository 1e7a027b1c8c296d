"""Samplers against diffusers' schedulers on the same outputs of a model and the same noise."""

import sys

import numpy as np
import pytest
import torch

from unsup_fast.models.diffusion import (
    flow_path,
    sample,
    spaced_timesteps,
    ve_path,
    vp_path,
    vp_path_from_sigmas,
)
from unsup_fast.solvers import (
    consistency,
    ddim,
    ddpm,
    deis,
    dpm_solver,
    euler,
    euler_ancestral,
    heun,
    lcm,
    lcm_timesteps,
    lms,
    tcd,
    tcd_arrivals,
    unipc,
)

diffusers = pytest.importorskip("diffusers")

pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

CASES = [(5, "epsilon"), (7, "v_prediction"), (12, "sample"), (16, "epsilon")]
STEPS = (5, 16)
SHAPE = (2, 3, 5, 4)


def scheduler(name, n_steps, **config):
    reference = getattr(diffusers, name)(**config)
    reference.set_timesteps(n_steps)
    return reference


def theirs(reference, x, outputs, noises, monkeypatch, **options):
    drawn = []
    monkeypatch.setattr(
        sys.modules[type(reference).__module__],
        "randn_tensor",
        lambda *a, **k: drawn[-1],
        raising=False,
    )
    for t, output, noise in zip(reference.timesteps, outputs, noises, strict=True):
        drawn.append(noise)
        if hasattr(reference, "scale_model_input"):
            reference.scale_model_input(x, t)
        x = reference.step(output, t, x, **options).prev_sample
    return x


def check(reference, table, monkeypatch, scale=1.0, **options):
    """Run both on random outputs and noise, in float64 where diffusers computes in float64."""
    np.testing.assert_allclose(table.timesteps, reference.timesteps.numpy(), atol=1e-4)
    exact = type(reference).__name__.startswith(("DEIS", "UniPC", "LCM", "TCD"))
    dtype = torch.float64 if exact else torch.float32
    if exact and hasattr(reference, "sigmas"):
        reference.sigmas = reference.sigmas.double()
    elif exact:
        reference.alphas_cumprod = reference.alphas_cumprod.double()
    generator = torch.Generator().manual_seed(len(table.rows))
    x, *rest = torch.randn(
        (1 + 2 * len(table.rows), *SHAPE), generator=generator, dtype=torch.float64
    )
    x, rest = (scale * x).to(dtype), [z.to(dtype) for z in rest]
    outputs, noises = rest[::2], rest[1::2]
    wanted = theirs(reference, x, outputs, noises, monkeypatch, **options)
    recorded = iter(outputs)
    got = sample(lambda x, t: next(recorded), table, x, noise=noises)
    error = (got - wanted).abs().max() / wanted.abs().max()
    assert error < (1e-12 if exact else 1e-5)


@pytest.mark.parametrize(("n_steps", "prediction"), CASES)
@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large"])
@pytest.mark.parametrize("clip", [None, 1.0])
def test_ddpm(monkeypatch, n_steps, prediction, variance, clip):
    reference = scheduler(
        "DDPMScheduler",
        n_steps,
        prediction_type=prediction,
        variance_type=variance,
        clip_sample=clip is not None,
    )
    path = vp_path(reference.alphas_cumprod.double().numpy(), spaced_timesteps(n_steps))
    table = ddpm(path, variance=variance, prediction=prediction, clip=clip)
    check(reference, table, monkeypatch)


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large"])
def test_ddpm_with_noise_at_the_end(monkeypatch, variance):
    reference = scheduler(
        "DDPMScheduler",
        7,
        variance_type=variance,
        timestep_spacing="trailing",
        beta_schedule="squaredcos_cap_v2",
    )
    times = spaced_timesteps(7, spacing="trailing")
    path = vp_path(reference.alphas_cumprod.double().numpy(), times)
    table = ddpm(path, variance=variance, clip=1.0, noise_at_end=True)
    check(reference, table, monkeypatch)


@pytest.mark.parametrize(("n_steps", "prediction"), CASES)
@pytest.mark.parametrize("eta", [0.0, 0.5])
@pytest.mark.parametrize("clipped_noise", [None, False, True])
def test_ddim(monkeypatch, n_steps, prediction, eta, clipped_noise):
    clip = None if clipped_noise is None else 1.0
    reference = scheduler(
        "DDIMScheduler", n_steps, prediction_type=prediction, clip_sample=clip is not None
    )
    times = spaced_timesteps(n_steps)
    arrivals = np.maximum(times - 1000 // n_steps, -1)
    path = vp_path(reference.alphas_cumprod.double().numpy(), times, arrivals=arrivals)
    table = ddim(
        path, eta=eta, prediction=prediction, clip=clip, clipped_noise=clipped_noise is not False
    )
    check(reference, table, monkeypatch, eta=eta, use_clipped_model_output=bool(clipped_noise))


def exploded(reference):
    return ve_path(reference.sigmas.double().numpy(), reference.timesteps.numpy())


@pytest.mark.parametrize(("n_steps", "prediction"), CASES)
@pytest.mark.parametrize("name", ["Euler", "EulerAncestral", "LMS", "Heun"])
@pytest.mark.parametrize("karras", [False, True])
def test_in_sigmas(monkeypatch, n_steps, prediction, name, karras):
    if name == "EulerAncestral" and (karras or prediction == "sample"):
        pytest.skip("diffusers has none")
    options = {} if name == "EulerAncestral" else {"use_karras_sigmas": karras}
    reference = scheduler(
        f"{name}DiscreteScheduler", n_steps, prediction_type=prediction, **options
    )
    if name == "Heun":
        sigmas = reference.sigmas.double().numpy()
        path = ve_path(np.append(sigmas[:-1:2], 0), np.append(sigmas[0], reference.timesteps[1::2]))
        path.timesteps[0] = reference.timesteps[0]
    else:
        path = exploded(reference)
    sampler = {"Euler": euler, "EulerAncestral": euler_ancestral, "LMS": lms, "Heun": heun}[name]
    check(reference, sampler(path, prediction=prediction), monkeypatch, path.init_noise_sigma)


def normal(reference):
    return vp_path_from_sigmas(reference.sigmas.double().numpy(), reference.timesteps.numpy())


@pytest.mark.parametrize(("n_steps", "prediction"), CASES)
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("kind", ["midpoint", "heun"])
@pytest.mark.parametrize("stochastic", [False, True])
def test_dpm_solver(monkeypatch, n_steps, prediction, order, kind, stochastic):
    reference = scheduler(
        "DPMSolverMultistepScheduler",
        n_steps,
        prediction_type=prediction,
        solver_order=order,
        solver_type=kind,
        algorithm_type="sde-dpmsolver++" if stochastic else "dpmsolver++",
    )
    table = dpm_solver(
        normal(reference), order=order, kind=kind, stochastic=stochastic, prediction=prediction
    )
    check(reference, table, monkeypatch)


@pytest.mark.parametrize(("n_steps", "prediction"), CASES)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_deis(monkeypatch, n_steps, prediction, order):
    reference = scheduler(
        "DEISMultistepScheduler", n_steps, prediction_type=prediction, solver_order=order
    )
    check(reference, deis(normal(reference), order=order, prediction=prediction), monkeypatch)


@pytest.mark.parametrize(("n_steps", "prediction"), CASES)
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("kind", ["bh1", "bh2"])
@pytest.mark.parametrize("image", [True, False])
def test_unipc(monkeypatch, n_steps, prediction, order, kind, image):
    reference = scheduler(
        "UniPCMultistepScheduler",
        n_steps,
        prediction_type=prediction,
        solver_order=order,
        solver_type=kind,
        predict_x0=image,
        final_sigmas_type="zero" if image and kind == "bh2" else "sigma_min",
        disable_corrector=[1],
    )
    table = unipc(
        normal(reference),
        order=order,
        kind=kind,
        predict_image=image,
        prediction=prediction,
        uncorrected=(1,),
    )
    check(reference, table, monkeypatch)


@pytest.mark.parametrize(("n_steps", "prediction"), CASES)
@pytest.mark.parametrize("clip", [None, 1.0])
def test_lcm(monkeypatch, n_steps, prediction, clip):
    reference = scheduler(
        "LCMScheduler", n_steps, prediction_type=prediction, clip_sample=clip is not None
    )
    scalings = reference.get_scalings_for_boundary_condition_discrete
    monkeypatch.setattr(  # numbers are scaled in float64, tensors in float32
        reference, "get_scalings_for_boundary_condition_discrete", lambda t: scalings(int(t))
    )
    path = vp_path(reference.alphas_cumprod.double().numpy(), lcm_timesteps(n_steps))
    check(reference, lcm(path, prediction=prediction, clip=clip), monkeypatch)


@pytest.mark.parametrize(("n_steps", "prediction"), CASES)
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_tcd(monkeypatch, n_steps, prediction, eta):
    """diffusers ends at the level of timestep 0."""
    reference = scheduler("TCDScheduler", n_steps, prediction_type=prediction)
    times = lcm_timesteps(n_steps)
    arrivals = tcd_arrivals(times, gamma=eta, end=0)
    path = vp_path(reference.alphas_cumprod.double().numpy(), times, arrivals=arrivals)
    check(reference, tcd(path, prediction=prediction), monkeypatch, eta=eta)


@pytest.mark.parametrize("n_steps", STEPS)
@pytest.mark.parametrize("stochastic", [False, True])
def test_flow_matching(monkeypatch, n_steps, stochastic):
    reference = scheduler(
        "FlowMatchEulerDiscreteScheduler", n_steps, shift=3.0, stochastic_sampling=stochastic
    )
    path = flow_path(reference.sigmas.double().numpy())
    sampler = consistency if stochastic else euler
    check(reference, sampler(path, prediction="flow_prediction"), monkeypatch)


@pytest.mark.parametrize("n_steps", STEPS)
def test_ddim_inversion(monkeypatch, n_steps):
    from unsup_fast.solvers import inversion_path

    reference = scheduler("DDIMInverseScheduler", n_steps, clip_sample=False)
    times = spaced_timesteps(n_steps)
    arrivals = np.maximum(times - 1000 // n_steps, -1)
    path = vp_path(reference.alphas_cumprod.double().numpy(), times, arrivals=arrivals)
    check(reference, ddim(inversion_path(path)), monkeypatch)
