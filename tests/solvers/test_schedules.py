"""Schedules: closed forms, diffusers' own, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unsup_fast import solvers
from unsup_fast.models import diffusion
from unsup_fast.solvers import schedules

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def run(code):
    import subprocess
    import sys

    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return process.stdout


def test_importing_the_package_imports_no_torch():
    code = (
        "import sys, unsup_fast.models.diffusion as d; d.vp_path; d.flow_sigmas;"
        "assert 'torch' not in sys.modules; print(len([getattr(d, n) for n in d.__all__]))"
    )
    assert int(run(code)) == len(diffusion.__all__)


def test_solvers_build_tables_without_torch():
    code = (
        "import sys, numpy, unsup_fast.solvers as s, unsup_fast.models.diffusion as d;"
        "path = s.vp_path(s.alphas_cumprod(s.linear_betas()), [900, 500, 100]);"
        "[f(path) for f in (s.consistency, s.ddim, s.ddpm, s.deis, s.dpm_solver, s.euler,"
        " s.euler_ancestral, s.heun, s.lcm, s.lms, s.tcd, s.unipc)]; assert d.samplers is s;"
        "print('torch' in sys.modules)"
    )
    assert run(code) == "False\n"


def test_schedules_are_those_of_diffusers():
    diffusers = pytest.importorskip("diffusers")
    pairs = [
        ("linear", schedules.linear_betas()),
        ("scaled_linear", schedules.scaled_linear_betas(beta_start=1e-4, beta_end=0.02)),
        ("squaredcos_cap_v2", schedules.cosine_betas()),
        ("sigmoid", schedules.sigmoid_betas()),
    ]
    for name, betas in pairs:
        wanted = diffusers.DDPMScheduler(beta_schedule=name)
        np.testing.assert_allclose(betas, wanted.betas.numpy(), rtol=1e-4, atol=2e-7)
        got = schedules.alphas_cumprod(betas)
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, wanted.alphas_cumprod.numpy(), rtol=1e-4, atol=1e-6)
    wanted = diffusers.DDPMScheduler(rescale_betas_zero_snr=True).alphas_cumprod.numpy()
    got = schedules.zero_terminal_snr(schedules.alphas_cumprod(schedules.linear_betas()))
    np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("spacing", schedules.SPACINGS)
@pytest.mark.parametrize("n_steps", [1, 7, 50, 999])
def test_timesteps_are_those_of_diffusers(spacing, n_steps):
    diffusers = pytest.importorskip("diffusers")
    ddpm = diffusers.DDPMScheduler(timestep_spacing=spacing)
    dpm = diffusers.DPMSolverMultistepScheduler(timestep_spacing=spacing)
    for scheduler, skip_last in ((ddpm, False), (dpm, True)):
        scheduler.set_timesteps(n_steps)
        got = schedules.spaced_timesteps(n_steps, spacing=spacing, skip_last=skip_last)
        np.testing.assert_array_equal(got, scheduler.timesteps.numpy())


def test_the_cosine_schedule_is_a_squared_cosine():
    curve = np.cos((np.arange(1001) / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
    got = schedules.alphas_cumprod(schedules.cosine_betas())
    np.testing.assert_allclose(got[:-1], curve[1:-1] / curve[0], rtol=1e-10)


def test_zero_terminal_snr_keeps_the_first_and_ends_at_zero():
    before = schedules.alphas_cumprod(schedules.scaled_linear_betas())
    after = schedules.zero_terminal_snr(before)
    assert after[-1] == 0
    np.testing.assert_allclose(after[0], before[0], rtol=1e-14)
    assert (np.diff(after) < 0).all()


@given(
    n_steps=st.integers(2, 60),
    low=st.floats(1e-3, 1.0),
    ratio=st.floats(1.5, 1e4),
    rho=st.floats(1.0, 10.0),
)
def test_sigmas_fall_from_the_greatest_to_the_least(n_steps, low, ratio, rho):
    ends = {"sigma_min": low, "sigma_max": low * ratio}
    for sigmas in (
        schedules.karras_sigmas(n_steps, rho=rho, **ends),
        schedules.exponential_sigmas(n_steps, **ends),
        schedules.beta_sigmas(n_steps, **ends),
    ):
        assert (np.diff(sigmas) < 0).all()
        np.testing.assert_allclose(sigmas[[0, -1]], [low * ratio, low], rtol=1e-9)


def test_karras_sigmas_are_evenly_spaced_in_roots():
    roots = schedules.karras_sigmas(10, rho=7.0) ** (1 / 7)
    np.testing.assert_allclose(np.diff(roots, 2), 0, atol=1e-12)


@given(shift=st.floats(0.1, 20.0), sigma=st.floats(1e-3, 0.99))
def test_shifts_combine_and_undo(shift, sigma):
    there = schedules.shift_sigmas([sigma], shift)
    np.testing.assert_allclose(schedules.shift_sigmas(there, 1 / shift), sigma, rtol=1e-10)
    assert 0 < there[0] <= 1
    # The ratio of noise to signal is multiplied by the shift.
    np.testing.assert_allclose(there / (1 - there), shift * sigma / (1 - sigma), rtol=1e-8)


def test_timesteps_and_sigmas_lead_to_each_other():
    schedule = schedules.alphas_cumprod(schedules.linear_betas())
    times = schedules.spaced_timesteps(40)
    sigmas = schedules.sigmas_at(schedule, times)
    np.testing.assert_allclose(schedules.timesteps_at(schedule, sigmas), times, atol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: schedules.linear_betas(0), "n_timesteps=0 must be a whole number"),
        (lambda: schedules.linear_betas(beta_start=0.5, beta_end=0.1), "0 < beta_start <="),
        (lambda: schedules.linear_betas(beta_end=1.5), "0 < beta_start <= beta_end < 1"),
        (lambda: schedules.cosine_betas(beta_max=2.0), "beta_max=2.0 must lie between"),
        (lambda: schedules.cosine_betas(offset=-1.0), "offset=-1.0 is negative"),
        (lambda: schedules.alphas_cumprod([0.1, -0.1]), "pass numbers from 0 to 1"),
        (lambda: schedules.alphas_cumprod([[0.1]]), "pass a vector with at least one number"),
        (lambda: schedules.alphas_cumprod([np.nan]), "not finite"),
        (lambda: schedules.zero_terminal_snr([0.5]), "at least two different numbers"),
        (lambda: schedules.karras_sigmas(5, rho=0), "rho=0 must be above 0"),
        (lambda: schedules.karras_sigmas(5, sigma_min=0.0), "0 < sigma_min <= sigma_max"),
        (lambda: schedules.shift_sigmas([0.5], 0), "shift=0 must be above 0"),
        (lambda: schedules.spaced_timesteps(1001), "n_steps <= 1000"),
        (lambda: schedules.spaced_timesteps(1000, skip_last=True), "n_steps <= 999"),
        (lambda: schedules.spaced_timesteps(5, spacing="even"), "spacing='even' is unknown"),
        (lambda: schedules.sigmas_of([0.5, 0.0]), "sigma is infinite"),
        (lambda: schedules.sigmas_of([0.5, 0.9]), "alphas_cumprod rises"),
        (lambda: schedules.sigmas_of([0.5, 1.9]), "pass numbers from 0 to 1"),
        (lambda: solvers.vp_path([0.9, 0.5], [2, 0]), "whole numbers from 0 to 1"),
        (lambda: solvers.vp_path([0.9, 0.5], [0.5]), "whole numbers"),
        (lambda: solvers.vp_path([0.9, 0.5], [1], arrivals=[0, -1]), "it needs 1"),
        (lambda: solvers.vp_path([0.9, 0.5], [1], final=0.0), "final=0.0 must be above 0"),
        (lambda: solvers.ve_path([3.0, 1.0], [1.0, 0.0]), "2 timesteps go with 3 sigmas"),
        (lambda: solvers.vp_path_from_sigmas([3.0, -1.0], [1.0]), "numbers of at least 0"),
        (lambda: solvers.flow_path([3.0, 1.0]), "are at most 1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
