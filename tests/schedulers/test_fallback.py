"""What no table expresses runs diffusers' own step, and a warning says so once."""

import inspect
import math
import pickle
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

import unsup_fast  # noqa: E402

pytestmark = pytest.mark.filterwarnings(  # of diffusers
    "ignore:__array__ implementation:DeprecationWarning",
    "ignore:.*is deprecated:FutureWarning",
    "ignore:divide by zero:RuntimeWarning",
)

ZERO_SIGNAL = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
OPTIONS = [
    ("DDPM", {"variance_type": "fixed_large_log"}, "variance_type='fixed_large_log'"),
    ("DDPM", {"prediction_type": "score"}, "prediction_type='score'"),
    ("DDPM", {"thresholding": True, "sample_max_value": 0.5}, "sample_max_value=0.5"),
    ("DDIM", {"thresholding": True, "sample_max_value": -1.0}, "sample_max_value=-1.0"),
    ("DDIM", {"prediction_type": "flow_prediction"}, "prediction_type='flow_prediction'"),
    ("EulerDiscrete", {"prediction_type": "score"}, "prediction_type='score'"),
    ("EulerAncestralDiscrete", {"prediction_type": "sample"}, "prediction_type='sample'"),
    ("DPMSolverMultistep", {"thresholding": True, "sample_max_value": 0.5}, "sample_max_value=0.5"),
    (
        "DPMSolverMultistep",
        {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"},
        "algorithm_type='dpmsolver'",
    ),
    (
        "DPMSolverMultistep",
        {
            "algorithm_type": "sde-dpmsolver",
            "final_sigmas_type": "sigma_min",
            "solver_type": "heun",
        },
        "algorithm_type='sde-dpmsolver'",
    ),
    ("DPMSolverMultistep", {"solver_order": 4}, "solver_order=4"),
    (
        "DPMSolverMultistep",
        {"prediction_type": "v_prediction", "use_flow_sigmas": True},
        "prediction_type='v_prediction'",
    ),
    ("UniPCMultistep", {"solver_order": 4}, "solver_order=4"),
    ("UniPCMultistep", {"prediction_type": "flow_prediction"}, "prediction_type='flow_prediction'"),
    (
        "UniPCMultistep",
        {"predict_x0": False, "prediction_type": "flow_prediction", "use_flow_sigmas": True},
        "prediction_type='flow_prediction'",
    ),
]
TIMESTEPS = [
    ("DDPM", ZERO_SIGNAL, {}, "rescale_betas_zero_snr=True"),
    ("DDIM", ZERO_SIGNAL, {}, "rescale_betas_zero_snr=True"),
    ("DDIM", {}, {"eta": 1.2}, "eta=1.2"),
    ("DDIM", {"clip_sample_range": 0.0}, {}, "clip_sample_range=0.0"),
    ("DDIM", {"beta_start": 0.1, "beta_end": 2.0}, {}, "beta_end=2.0"),
    ("DDPM", {"beta_start": -0.1}, {}, "beta_start=-0.1"),
    ("DDPM", {"trained_betas": [0.1, 0.3]}, {}, "trained_betas="),
    ("EulerAncestralDiscrete", {"beta_start": 0.0}, {}, "beta_start=0.0"),
    ("FlowMatchEulerDiscrete", {"shift": -2.0}, {}, "shift=-2.0"),
    ("LCM", {"timestep_scaling": -1.0}, {}, "timestep_scaling=-1.0"),
    ("TCD", {"rescale_betas_zero_snr": True}, {}, "rescale_betas_zero_snr=True"),
]


def pair(name):
    """Return our class and diffusers'."""
    return getattr(unsup_fast, f"Fused{name}"), getattr(diffusers, f"{name}Scheduler")


def outcome(run):
    """Return the samples of a run up to its error, and the error or None."""
    samples = []
    try:
        run(samples)
    except Exception as error:
        return samples, error
    return samples, None


def loop(kind, config, n_steps, channels=1, **options):
    """Return a function that runs a scheduler and appends the sample of each step to a list."""

    def run(samples):
        scheduler = kind(**config)
        generator = torch.Generator().manual_seed(3)
        chosen = {"mu": 0.8} if config.get("use_dynamic_shifting") else {}
        scheduler.set_timesteps(n_steps, **chosen)
        x = torch.randn(2, 3, 3, 4, generator=generator)
        if "generator" in inspect.signature(scheduler.step).parameters:
            options["generator"] = generator
        x = x * float(getattr(scheduler, "init_noise_sigma", 1.0))
        for t in scheduler.timesteps:
            scaled = x
            if hasattr(scheduler, "scale_model_input"):
                scaled = scheduler.scale_model_input(x, t)
            output = torch.cat([scaled.tanh()] + [0.1 * scaled.sin()] * (channels - 1), dim=1)
            x = scheduler.step(output, t, x, **options).prev_sample
            samples.append(x)

    return run


def is_like(ours, theirs, tolerance):
    """Return whether two outcomes agree; where diffusers' is not finite, ours may be anything."""
    (samples, error), (expected, expected_error) = ours, theirs
    for one, other in zip(samples, expected, strict=False):
        if not other.isfinite().all():
            return True
        size = other.abs().max().clamp(min=1)
        if not (one - other).abs().max() <= tolerance * size:
            return False
    return (error is None) == (expected_error is None) and len(samples) == len(expected)


@pytest.mark.parametrize(("name", "config", "option"), OPTIONS)
def test_option_is_said_once_and_runs_as_diffusers(name, config, option):
    ours, theirs = pair(name)
    expected = outcome(loop(theirs, config, 5))
    with pytest.warns(UserWarning, match="own step runs") as caught:
        result = outcome(loop(ours, config, 5))
    said = [str(w.message) for w in caught if "own step runs" in str(w.message)]
    assert len(said) == 1
    assert option in said[0]
    assert type(result[1]) is type(expected[1])
    assert len(result[0]) == len(expected[0])
    for one, other in zip(result[0], expected[0], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(("name", "config", "options", "reason"), TIMESTEPS)
def test_timesteps_that_no_table_reaches(name, config, options, reason):
    ours, theirs = pair(name)
    expected = outcome(loop(theirs, config, 5, **options))
    with pytest.warns(UserWarning, match="own step runs") as caught:
        result = outcome(loop(ours, config, 5, **options))
    said = [str(w.message) for w in caught if "own step runs" in str(w.message)]
    assert len(said) == 1
    assert reason in said[0]
    assert type(result[1]) is type(expected[1])
    for one, other in zip(result[0], expected[0], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


def test_solver_p():
    """Predictions by another scheduler, corrections by UniPC."""
    samples = []
    for kind in pair("UniPCMultistep"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = outcome(loop(kind, {"solver_p": diffusers.DDIMScheduler()}, 6))
        assert result[1] is None
        samples.append(torch.stack(result[0]))
    torch.testing.assert_close(*samples, rtol=0, atol=0)


def test_option_of_a_newer_diffusers(monkeypatch):
    monkeypatch.setattr(
        unsup_fast.FusedDDIM, "KNOWN", unsup_fast.FusedDDIM.KNOWN.replace("beta_end", "")
    )
    unsup_fast.FusedDDIM()
    with pytest.warns(UserWarning, match=r"no table expresses beta_end=0\.5"):
        unsup_fast.FusedDDIM(beta_end=0.5)


def test_config_that_changes_is_looked_at_again():
    scheduler = unsup_fast.FusedDDIM()
    x = torch.ones(1, 1, 2, 2)
    scheduler.set_timesteps(4)
    scheduler.register_to_config(thresholding=True, sample_max_value=0.5)
    with pytest.warns(UserWarning, match=r"sample_max_value=0\.5"):
        image = scheduler.step(x, scheduler.timesteps[0], 3 * x).pred_original_sample
    assert image.max() == 1
    scheduler.register_to_config(sample_max_value=1.0)
    assert scheduler.step(x, scheduler.timesteps[0], x).prev_sample.isfinite().all()
    pickle.loads(pickle.dumps(scheduler)).register_to_config(sample_max_value=0.5)  # said before


VARIANCE_PRESERVING = {
    "beta_schedule": ["scaled_linear", "squaredcos_cap_v2"],
    "trained_betas": [np.linspace(0.002, 0.04, 60).tolist(), [0.1, 0.3]],
    "num_train_timesteps": [60, 6],
    "beta_start": [0.5, 0.0, -0.1],
    "beta_end": [2.0, 1e-4, 0.0],
    "rescale_betas_zero_snr": [True],
    "prediction_type": ["sample", "v_prediction", "flow_prediction", "original_sample", "score"],
    "timestep_spacing": ["linspace", "leading", "trailing", "none"],
    "steps_offset": [1, 50],
}
THRESHOLDING = {
    "thresholding": [True],
    "dynamic_thresholding_ratio": [0.5, 0.0, 1.0],
    "sample_max_value": [2.0, 0.5, -1.0],
}
CLIPPING = {"clip_sample": [False], "clip_sample_range": [0.3, 0.0, -1.0]}
DISTILLED = {
    **VARIANCE_PRESERVING,
    **THRESHOLDING,
    **CLIPPING,
    "clip_sample": [True],
    "set_alpha_to_one": [False],
    "original_inference_steps": [20, 3, 2000],
    "timestep_scaling": [1.0, 0.0, -1.0],
}
SIGMAS = {f"use_{name}_sigmas": [True] for name in ("karras", "exponential", "beta")}
ENDS = {"final_sigmas_type": ["sigma_min", "none"]}
VARIANCES = [
    "fixed_small_log",
    "fixed_large",
    "fixed_large_log",
    "learned",
    "learned_range",
    "none",
]
LEGAL = {
    "DDPM": {
        **VARIANCE_PRESERVING,
        **THRESHOLDING,
        **CLIPPING,
        "beta_schedule": ["scaled_linear", "squaredcos_cap_v2", "sigmoid", "laplace", "none"],
        "variance_type": VARIANCES,
    },
    "DDIM": {**VARIANCE_PRESERVING, **THRESHOLDING, **CLIPPING, "set_alpha_to_one": [False]},
    "LCM": DISTILLED,
    "TCD": DISTILLED,
    "EulerDiscrete": {
        **VARIANCE_PRESERVING,
        **SIGMAS,
        **ENDS,
        "interpolation_type": ["log_linear", "none"],
        "sigma_min": [0.01],
        "sigma_max": [50.0],
        "timestep_type": ["continuous"],
    },
    "EulerAncestralDiscrete": VARIANCE_PRESERVING,
    "DPMSolverMultistep": {
        **VARIANCE_PRESERVING,
        **THRESHOLDING,
        **SIGMAS,
        **ENDS,
        "solver_order": [1, 3, 4],
        "algorithm_type": ["dpmsolver", "sde-dpmsolver", "sde-dpmsolver++", "deis", "none"],
        "solver_type": ["heun", "bh1", "logrho", "none"],
        "lower_order_final": [False],
        "euler_at_final": [True],
        "use_lu_lambdas": [True],
        "use_flow_sigmas": [True],
        "lambda_min_clipped": [-5.1],
        "variance_type": ["fixed_small", "learned", "learned_range", "none"],
    },
    "UniPCMultistep": {
        **VARIANCE_PRESERVING,
        **THRESHOLDING,
        **SIGMAS,
        **ENDS,
        "solver_order": [1, 3, 4],
        "predict_x0": [False],
        "solver_type": ["bh1", "midpoint", "none"],
        "lower_order_final": [False],
        "disable_corrector": [[0], [0, 1, 2]],
        "use_flow_sigmas": [True],
        "sigma_min": [0.01],
        "shift_terminal": [0.1],
    },
    "FlowMatchEulerDiscrete": {
        **SIGMAS,
        "num_train_timesteps": [60],
        "shift": [3.0, 0.5, -2.0, 0.0],
        "use_dynamic_shifting": [True],
        "invert_sigmas": [True],
        "shift_terminal": [0.1],
        "time_shift_type": ["linear", "none"],
        "stochastic_sampling": [True],
    },
}
PAIRS = [
    ("DDIM", {"beta_schedule": "squaredcos_cap_v2", "thresholding": True, "sample_max_value": 0.5}),
    ("DDPM", {"variance_type": "learned_range", "clip_sample": False}),
    ("EulerDiscrete", {"prediction_type": "v_prediction", "timestep_type": "continuous"}),
    ("EulerDiscrete", {"interpolation_type": "log_linear", "use_karras_sigmas": True}),
    ("DPMSolverMultistep", {"solver_order": 3, "algorithm_type": "sde-dpmsolver++"}),
    ("DPMSolverMultistep", {"use_flow_sigmas": True, "prediction_type": "sample"}),
    ("DPMSolverMultistep", {"use_lu_lambdas": True, "final_sigmas_type": "sigma_min"}),
    ("UniPCMultistep", {"use_flow_sigmas": True, "shift_terminal": 0.1}),
    ("UniPCMultistep", {"use_flow_sigmas": True, "use_beta_sigmas": True}),
    ("FlowMatchEulerDiscrete", {"use_dynamic_shifting": True, "time_shift_type": "linear"}),
    ("FlowMatchEulerDiscrete", {"invert_sigmas": True, "stochastic_sampling": True}),
]


@pytest.mark.parametrize("name", LEGAL)
@pytest.mark.filterwarnings("ignore")
def test_each_value_of_each_option(name):
    """Our scheduler runs where diffusers' does, with its result, and raises where it raises."""
    configs = [{option: value} for option, values in LEGAL[name].items() for value in values]
    configs += [config for of, config in PAIRS if of == name]
    for config in configs:
        channels = 2 if str(config.get("variance_type")).startswith("learned") else 1
        ours, theirs = (outcome(loop(kind, config, 6, channels)) for kind in pair(name))
        assert is_like(ours, theirs, 3e-4), (config, ours[1], theirs[1])


@pytest.mark.parametrize("churn", [-1.0, 4.0])
def test_euler_churn_of_either_sign(churn):
    ours, theirs = (outcome(loop(x, {}, 6, s_churn=churn)) for x in pair("EulerDiscrete"))
    assert is_like(ours, theirs, 1e-5)
    assert theirs[1] is None


def test_euler_from_sigma_zero():
    """A first beta of 0: the last step starts at the image, where diffusers divides 0 by 0."""
    ours = outcome(loop(unsup_fast.FusedEulerDiscrete, {"beta_start": 0.0}, 6))
    assert ours[1] is None
    assert ours[0][-1].isfinite().all()


@pytest.mark.parametrize("name", ["EulerDiscrete", "FlowMatchEulerDiscrete", "DPMSolverMultistep"])
def test_shapes_and_types_that_only_torch_takes(name):
    x = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    for sample, output in (
        (x[:1], x),
        (x, x[:1]),
        (torch.complex(x, -x), torch.complex(x, x)),
        (x[0, 0, 0], x[0, 0, 1]),
    ):
        results = []
        for kind in pair(name):
            scheduler = kind()
            scheduler.set_timesteps(4)
            scheduler.is_scale_input_called = True
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch discards an imaginary part
                results.append(scheduler.step(output, scheduler.timesteps[0], sample).prev_sample)
        torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)


def test_rows_are_not_computed_again_in_a_run(monkeypatch):
    """What the run takes is decided once, in set_timesteps."""
    scheduler = unsup_fast.FusedDPMSolverMultistep()
    scheduler.set_timesteps(5)
    monkeypatch.setattr(type(scheduler), "_attempt", lambda *_: pytest.fail("computed again"))
    x = torch.ones(1, 1, 2, 2)
    for t in scheduler.timesteps:
        x = scheduler.step(x, t, x).prev_sample
    assert math.isfinite(x.sum())
