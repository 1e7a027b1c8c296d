"""Samplers on a Gaussian target whose score is known: order, moments, and what they refuse."""

from functools import partial

import numpy as np
import pytest
import torch

from unsup_fast.kernels.sampler_terms import (
    CLIP,
    GUIDANCE,
    KEEP_X,
    KEEP_X0,
    NEXT_HISTORY,
    NEXT_KEEP,
    NEXT_NOISE,
    NEXT_X,
    X0_OUTPUT,
    X0_X,
)
from unsup_fast.models.diffusion import (
    alphas_cumprod,
    flow_path,
    flow_sigmas,
    inversion_path,
    linear_betas,
    sample,
    spaced_timesteps,
    truncate,
    vp_path,
    vp_path_from_sigmas,
    zero_terminal_snr,
)
from unsup_fast.models.diffusion.process import convert_prediction
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

PREDICTIONS = ["epsilon", "sample", "v_prediction", "flow_prediction"]
full = {"lower_order_final": False}
ORDERS = [
    ("euler", euler, 1),
    ("ddim", ddim, 1),
    ("heun", heun, 2),
    ("dpm 1", partial(dpm_solver, order=1, **full), 1),
    ("dpm 2 midpoint", partial(dpm_solver, order=2, **full), 2),
    ("dpm 2 heun", partial(dpm_solver, order=2, kind="heun", **full), 2),
    ("dpm 3", partial(dpm_solver, order=3, **full), 3),
    ("deis 2", partial(deis, order=2, **full), 2),
    ("deis 3", partial(deis, order=3, **full), 3),
    *((f"lms {order}", partial(lms, order=order), order) for order in (2, 3, 4)),
    *(
        (
            f"unipc {order} {kind} {image}",
            partial(unipc, order=order, kind=kind, predict_image=image, **full),
            order + 1,
        )
        for order in (1, 2, 3)
        for kind in ("bh1", "bh2")
        for image in (True, False)
    ),
]
EVERY = [
    *(sampler for _, sampler, _ in ORDERS),
    ddpm,
    partial(ddpm, variance="fixed_large"),
    partial(ddim, eta=0.5),
    euler_ancestral,
    partial(dpm_solver, stochastic=True),
    partial(dpm_solver, order=3, stochastic=True),
]
ENDING = [*EVERY, consistency, lcm, tcd]


def halved(errors):
    return np.log2(errors[:-1] / errors[1:])


@pytest.mark.parametrize("kind", ["vp", "ve"])
@pytest.mark.parametrize(("name", "sampler", "order"), ORDERS, ids=[row[0] for row in ORDERS])
def test_order_of_convergence(gaussian, name, sampler, order, kind):
    rho = 7.0 if name.startswith("lms") else 0
    model = gaussian.model(kind, "epsilon")
    errors = []
    for n_steps in (80, 160, 320):
        path = gaussian.path(kind, n_steps, rho=rho)
        x = torch.full((1, 1), 1.3 * path.init_noise_sigma, dtype=torch.float64)
        sampled = sample(model, sampler(path), x).item()
        errors.append(abs(sampled - gaussian.end(path, 1.3 * path.init_noise_sigma)))
    rates = halved(np.array(errors))
    assert errors[-1] < 5e-3
    assert (rates > order - 0.25).all()
    assert name in ("dpm 3", "deis 3") or (rates < order + 0.25).all()


def test_the_third_order_weights_in_common_use_are_of_second_order(gaussian):
    errors = []
    for n_steps in (80, 160, 320):
        path = gaussian.path("vp", n_steps, rho=0)
        table = dpm_solver(path, order=3, kind="midpoint", **full)
        x = torch.full((1, 1), 1.3, dtype=torch.float64)
        sampled = sample(gaussian.model("vp", "epsilon"), table, x).item()
        errors.append(abs(sampled - gaussian.end(path, 1.3)))
    np.testing.assert_allclose(halved(np.array(errors)), 2, atol=0.1)


@pytest.mark.parametrize(
    ("name", "sampler", "order"),
    [
        ("ddpm", ddpm, 1),
        ("ddpm large", partial(ddpm, variance="fixed_large"), 1),
        ("ddim", partial(ddim, eta=0.5), 1),
        ("euler ancestral", euler_ancestral, 1),
        ("2m sde", partial(dpm_solver, stochastic=True, **full), 2),
        ("2m sde heun", partial(dpm_solver, kind="heun", stochastic=True, **full), 2),
        ("3m sde", partial(dpm_solver, order=3, stochastic=True, **full), 2),
        (
            "3m sde in common use",
            partial(dpm_solver, order=3, kind="midpoint", stochastic=True, **full),
            1,
        ),
    ],
)
def test_order_of_the_distribution(gaussian, name, sampler, order):
    errors = []
    for n_steps in (80, 160, 320):
        path = gaussian.path("vp", n_steps, rho=0)
        _, variance = gaussian.moments(sampler(path), path, "vp", "epsilon")
        a, s = path.next_signal[-1], path.next_sigma[-1]
        errors.append(abs(variance - (a * gaussian.std) ** 2 - s**2))
    np.testing.assert_allclose(halved(np.array(errors)), order, atol=0.3)


@pytest.mark.parametrize("sampler", EVERY)
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("kind", ["vp", "ve"])
def test_samples_have_the_mean_and_variance_of_the_target(gaussian, sampler, prediction, kind):
    path = gaussian.path(kind, 400, low=1e-3)
    table = sampler(path, prediction=prediction)
    mean, variance = gaussian.moments(table, path, kind, prediction)
    assert abs(mean - gaussian.mean) < 2e-2
    assert abs(variance / gaussian.std**2 - 1) < 4e-2


def test_drawn_samples_have_the_moments_that_were_computed(gaussian):
    path = gaussian.path("vp", 20, low=1e-3)
    table = dpm_solver(path, stochastic=True)
    generator = torch.Generator().manual_seed(0)
    draw = partial(torch.randn, (4, 8000), generator=generator, dtype=torch.float64)
    x = path.signal[0] * (gaussian.mean + gaussian.std * draw()) + path.sigma[0] * draw()
    model = gaussian.model("vp", "v_prediction")
    table = dpm_solver(path, stochastic=True, prediction="v_prediction")
    samples = sample(model, table, x, noise=[draw() for _ in range(20)])
    mean, variance = gaussian.moments(table, path, "vp", "v_prediction")
    assert abs(samples.mean().item() - mean) < 0.015
    assert abs(samples.var().item() / variance - 1) < 0.03


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("n_steps", [1, 2, 7])
@pytest.mark.parametrize("kind", ["vp", "ve"])
def test_a_consistency_model_samples_the_target_in_any_number_of_steps(
    gaussian, prediction, n_steps, kind
):
    path = gaussian.path(kind, n_steps, low=1e-9)
    table = consistency(path, prediction=prediction)
    target = gaussian._replace(consistent=True)
    moments = target.moments(table, path, kind, prediction)
    np.testing.assert_allclose(moments, (gaussian.mean, gaussian.std**2), rtol=1e-8)
    denoiser = gaussian.moments(table, path, kind, prediction)
    assert denoiser[1] < 0.9 * gaussian.std**2  # whose samples lie too close to the mean


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("clip", [None, 0.6])
def test_one_step_of_consistency_is_the_image_of_one_call(prediction, clip):
    path = flow_path([0.8, 0.0])
    x = torch.linspace(-2, 2, 6, dtype=torch.float64).view(3, 2)
    calls = []

    def model(x, t):
        calls.append(t)
        return x.sin()

    sampled = sample(model, consistency(path, prediction=prediction, clip=clip), x, seed=0)
    image = convert_prediction(x.sin(), x, 0.2, 0.8, prediction_type=prediction, to="sample")
    torch.testing.assert_close(sampled, image if clip is None else image.clamp(-clip, clip))
    assert len(calls) == 1


def test_consistency_draws_fresh_noise_between_its_steps():
    path = flow_path([0.9, 0.5, 0.2, 0.0])
    x, *noise = torch.randn(4, 3, 2, dtype=torch.float64)
    seen = []

    def model(x, t):
        seen.append(x.clone())
        return x.sin()

    sampled = sample(model, consistency(path, prediction="sample"), x, noise=noise)
    torch.testing.assert_close(seen[1], 0.5 * seen[0].sin() + 0.5 * noise[0])
    torch.testing.assert_close(seen[2], 0.8 * seen[1].sin() + 0.2 * noise[1])
    assert torch.equal(sampled, seen[2].sin())  # and none at the image


def test_lcm_is_consistency_but_for_the_last_timesteps():
    schedule = alphas_cumprod(linear_betas())
    path = vp_path(schedule, [900.0, 500.0, 3.0, 0.0])
    rows = lcm(path, sigma_data=0.7, timestep_scaling=0.1).rows
    tau = np.array([90.0, 50.0, 0.3, 0.0])
    np.testing.assert_allclose(rows[:, KEEP_X], 0.49 / (tau**2 + 0.49))
    np.testing.assert_allclose(rows[:, KEEP_X0], tau / (tau**2 + 0.49) ** 0.5)
    assert (rows[-1, [KEEP_X, KEEP_X0]] == [1, 0]).all()  # the boundary condition
    same = [NEXT_KEEP, NEXT_NOISE, X0_X, X0_OUTPUT]
    np.testing.assert_array_equal(rows[:, same], consistency(path).rows[:, same])


def test_timesteps_of_a_distillation():
    assert lcm_timesteps(4).tolist() == [999, 759, 499, 259]
    assert lcm_timesteps(1).tolist() == [999]
    assert lcm_timesteps(50).tolist() == [20 * k - 1 for k in range(50, 0, -1)]
    assert lcm_timesteps(2, 20, original_steps=5).tolist() == [19, 11]
    assert tcd_arrivals([999, 500, 10], gamma=0.3).tolist() == [350, 7, -1]
    assert tcd_arrivals([0.9, 0.5], gamma=0.5, end=0, rounded=False).tolist() == [0.25, 0]


GAMMAS = [0.0, 0.3, 1.0]


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_tcd_goes_from_ddim_to_consistency(gamma, prediction):
    levels = np.array([0.9, 0.6, 0.3, 0.0])
    arrivals = tcd_arrivals(levels[:-1], gamma=gamma, end=0.0, rounded=False)
    table = tcd(flow_path(levels, arrivals=arrivals), prediction=prediction)
    x, *noise = torch.randn(4, 2, 3, dtype=torch.float64)
    wanted = {0.0: euler, 1.0: consistency}.get(gamma)
    model = lambda x, t: x.sin()  # noqa: E731
    sampled = sample(model, table, x, noise=noise)
    assert (table.rows[:-1, NEXT_NOISE] > 0).all() == (gamma > 0)
    assert table.rows[-1, NEXT_NOISE] == 0
    if wanted is not None:
        same = wanted(flow_path(levels), prediction=prediction)
        torch.testing.assert_close(sampled, sample(model, same, x, noise=noise))


@pytest.mark.parametrize("gamma", GAMMAS)
def test_tcd_keeps_the_level_of_noise(gaussian, gamma):
    """A target that is one point is where x_0 and eps are known exactly."""
    point = gaussian._replace(std=0.0)
    times = np.array([9.0, 4.0, 2.0, 0.7])  # sigma / signal
    path = vp_path_from_sigmas(np.append(times, 0.0), times)
    after = vp_path_from_sigmas(np.append((1 - gamma) * times, 0.0), times)
    path = path._replace(next_signal=after.next_signal, next_sigma=after.next_sigma)
    whole = tcd(path, prediction="v_prediction")
    for n in (1, 2, 3):
        table = whole._replace(rows=whole.rows[:n], timesteps=times[:n])
        moments = point.moments(table, path, "vp", "v_prediction")
        wanted = path.signal[n] * point.mean, path.sigma[n] ** 2
        np.testing.assert_allclose(moments, wanted, rtol=1e-12)


@pytest.mark.parametrize("sampler", ENDING)
def test_a_path_may_end_at_the_image(sampler):
    path = vp_path_from_sigmas([40.0, 9.0, 3.0, 1.0, 0.3, 0.0], np.arange(5.0))
    table = sampler(path)
    assert np.isfinite(np.delete(table.rows, CLIP, axis=1)).all()
    assert table.rows[-1, NEXT_NOISE] == 0


@pytest.mark.parametrize("sampler", ENDING)
def test_a_path_may_be_one_step(sampler):
    table = sampler(vp_path_from_sigmas([1.0, 0.0], [3.0]))
    assert len(table.rows) == 1
    assert np.isfinite(np.delete(table.rows, CLIP, axis=1)).all()


@pytest.mark.parametrize("sampler", [deis, lms, dpm_solver, unipc])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_path_may_stand_still(sampler, order):
    """Equal timesteps: a step that changes nothing, and an output that is there twice."""
    levels = [9.0, 5.0, 5.0, 5.0, 3.0, 2.0, 2.0, 1.0, 0.5]
    table = sampler(vp_path_from_sigmas(levels, np.arange(8.0)), order=order)
    assert np.isfinite(np.delete(table.rows, CLIP, axis=1)).all()
    x = torch.linspace(-2, 2, 8, dtype=torch.float64).view(2, 4)
    seen = []
    sample(lambda x, t: x.tanh(), table, x, callback=lambda i, x: seen.append(x.clone()))
    if sampler is not unipc:  # which corrects where it stands
        assert torch.allclose(seen[0], seen[1])
        assert torch.allclose(seen[4], seen[5])
    assert torch.allclose(seen[1], seen[2])


@pytest.mark.parametrize(
    "sampler", [ddim, ddpm, partial(dpm_solver, order=3), consistency, lcm, tcd]
)
def test_a_path_may_start_without_any_image(sampler):
    schedule = zero_terminal_snr(alphas_cumprod(linear_betas()))
    path = vp_path(schedule, spaced_timesteps(20, spacing="trailing"))
    assert path.signal[0] == 0
    table = sampler(path, prediction="v_prediction")
    assert np.isfinite(np.delete(table.rows, CLIP, axis=1)).all()
    with pytest.raises(ValueError, match="nothing is left of the image, and prediction='epsilon'"):
        sampler(path)


@pytest.mark.parametrize("sampler", [deis, lms, heun, unipc])
def test_samplers_that_divide_by_the_signal_say_so(sampler):
    path = vp_path([1.0, 0.5, 0.0], [2.0, 1.0, 0.0])
    with pytest.raises(ValueError, match="nothing is left of the image"):
        sampler(path, prediction="v_prediction")


def test_euler_is_a_straight_line_in_flow_matching():
    path = flow_path(np.append(flow_sigmas(7, shift=3.0), 0.0))
    table = euler(path, prediction="flow_prediction")
    x, velocity = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    sampled = sample(lambda x, t: velocity, table, x)
    torch.testing.assert_close(sampled, x - velocity)


def test_inversion_comes_back(gaussian):
    path = gaussian.path("vp", 600, low=0.05, rho=0)
    model = gaussian.model("vp", "epsilon")
    back = inversion_path(path, end=0.05)
    image = torch.linspace(-1, 2, 5, dtype=torch.float64)[:, None]
    for sampler, tolerance in ((dpm_solver, 1e-3), (heun, 1e-3), (ddim, 5e-2)):
        noisy = sample(model, sampler(back), image)
        torch.testing.assert_close(
            sample(model, sampler(path), noisy), image, atol=tolerance, rtol=0
        )


def test_ddim_inversion_may_start_at_the_image_itself():
    schedule = alphas_cumprod(linear_betas())
    path = vp_path(schedule, spaced_timesteps(50))
    back = inversion_path(path)
    assert back.sigma[0] == 0
    assert back.timesteps[0] == 0
    noise = torch.randn(2, 3, dtype=torch.float64)
    image = torch.randn(2, 3, dtype=torch.float64)
    noisy = sample(lambda x, t: noise, ddim(back), image)
    torch.testing.assert_close(noisy, path.signal[0] * image + path.sigma[0] * noise)
    torch.testing.assert_close(sample(lambda x, t: noise, ddim(path), noisy), image)


def test_a_start_from_an_image_keeps_the_last_steps():
    schedule = alphas_cumprod(linear_betas())
    path = vp_path(schedule, spaced_timesteps(50))
    late = truncate(path, 0.3)
    assert late.timesteps.tolist() == path.timesteps[35:].tolist()
    table = dpm_solver(late)
    assert table.signal == path.signal[35]
    np.testing.assert_allclose(table.init_noise_sigma, 1)
    assert truncate(path, 1.0).timesteps.size == 50


def test_guidance_of_an_output_that_is_not_clipped():
    schedule = alphas_cumprod(linear_betas())
    path = vp_path(schedule, spaced_timesteps(5))
    table = ddim(path, clip=1.0, clipped_noise=False)
    assert table.direct
    guided = table.guided(3.0)
    assert (guided.rows[:, GUIDANCE] == 3).all()
    before = table.rows[:, NEXT_HISTORY]
    np.testing.assert_allclose(guided.rows[:, NEXT_HISTORY], 3 * before)
    np.testing.assert_allclose(guided.rows[:, NEXT_HISTORY + 1], -2 * before)
    assert not ddim(path, clip=1.0).direct


def test_first_order_methods_are_one():
    path = vp_path_from_sigmas(np.geomspace(40, 0.1, 9), np.arange(8.0))
    for table in (dpm_solver(path, order=1), deis(path, order=1), lms(path, order=1)):
        model = lambda x, t: torch.sin(x)  # noqa: E731
        x = torch.linspace(-3, 3, 6, dtype=torch.float64)[:, None]
        torch.testing.assert_close(sample(model, table, x), sample(model, euler(path), x))
    np.testing.assert_allclose(ddpm(path).rows, ddim(path, eta=1.0).rows, atol=1e-14)
    np.testing.assert_allclose(euler_ancestral(path).rows, ddpm(path).rows, atol=1e-14)
    stochastic = dpm_solver(path, order=1, stochastic=True).rows
    np.testing.assert_allclose(stochastic[:, NEXT_X], ddpm(path).rows[:, NEXT_X], rtol=1e-12)


RISING = inversion_path(vp_path_from_sigmas([2.0, 1.0, 0.5], [1, 0]))  # to higher noise


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: ddim(p, eta=1.5), "eta=1.5 must lie between 0 and 1"),
        (lambda p: ddim(inversion_path(p), eta=1.0), "sigma = 0|higher noise"),
        (lambda p: ddpm(p, variance="learned"), "variance='learned' is unknown"),
        (lambda p: ddpm(p, prediction="score"), "prediction='score' is unknown; pass one of"),
        (lambda p: ddpm(p, clip=0.0), "clip=0.0 must be above 0"),
        (lambda p: dpm_solver(p, order=4), "order=4 must be a whole number from 1 to 3"),
        (lambda p: dpm_solver(p, kind="bh1"), "kind='bh1' is unknown"),
        (lambda p: unipc(p, kind="heun"), "kind='heun' is unknown"),
        (lambda p: lms(p, order=0), "order=0 must be a whole number from 1 to 4"),
        (lambda p: euler_ancestral(RISING), "higher noise"),
        (lambda p: ddpm(RISING), "higher noise"),
        (lambda p: dpm_solver(inversion_path(p)), "starts at sigma = 0"),
        (lambda p: ddim(inversion_path(p), prediction="sample"), "says nothing of the noise"),
        (lambda p: lcm(p, sigma_data=0.0), "sigma_data=0.0 must be above 0"),
        (lambda p: lcm(p, timestep_scaling=-1.0), "timestep_scaling=-1.0 must be above 0"),
        (lambda p: lcm_timesteps(51), "n_steps=51, original_steps=50 and n_timesteps=1000"),
        (lambda p: tcd_arrivals([2, 1], gamma=1.5), "gamma=1.5 must lie between 0"),
        (lambda p: tcd(inversion_path(p)), "starts at sigma = 0"),
        (lambda p: tcd(flow_path([0.9, 0.5, 0.0], arrivals=[0.6, 0.0])), "arrivals of less noise"),
        (lambda p: tcd(flow_path([0.9, 0.5, 0.0], arrivals=[1.0, 0.0])), "less noise"),
        (lambda p: flow_path([0.9, 0.5, 0.0], arrivals=[0.0]), "1 entries; it needs 2"),
        (lambda p: flow_path([0.9, 0.0], arrivals=[-0.1]), "arrivals hold -0.1"),
        (lambda p: truncate(p, 0.0), "strength=0.0 must be above 0"),
        (lambda p: truncate(p, 0.01), "keeps none of 20 steps; pass at least 0.05"),
    ],
)
def test_bad_input(call, message):
    path = vp_path(alphas_cumprod(linear_betas()), spaced_timesteps(20))
    with pytest.raises(ValueError, match=message):
        call(path)
