"""Step for step, the schedulers do what diffusers' own do."""

import inspect

import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

import unsup_fast  # noqa: E402

# torch's tensors, handed to NumPy by diffusers
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

F64 = torch.float64
FLOAT64 = 1e-9
EXACT = 2e-5
FLOAT32 = 3e-5

LINEAR = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
ALL_NOISE = {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
TRAINED = {"trained_betas": np.linspace(0.002, 0.04, 60).tolist(), "num_train_timesteps": 60}
THRESHOLD = {
    "thresholding": True,
    "dynamic_thresholding_ratio": 0.8,
    "sample_max_value": 1.5,
    "clip_sample": False,
}
PREDICTIONS = [{"prediction_type": name} for name in ("epsilon", "sample", "v_prediction")]
SPACINGS = [
    {"timestep_spacing": "linspace"},
    {"timestep_spacing": "leading", "steps_offset": 1},
    {"timestep_spacing": "trailing"},
]
SIGMAS = [{f"use_{name}_sigmas": True} for name in ("karras", "exponential", "beta")]


def named(config):
    return ",".join(f"{k}={v}" for k, v in config.items() if k != "trained_betas") or "default"


def as_it_is(name, **config):
    """Return our scheduler and diffusers'."""
    ours = getattr(unsup_fast, f"Fused{name}")
    theirs = getattr(diffusers, f"{name}Scheduler")(**config)
    fused = ours.from_config(theirs.config)
    assert isinstance(fused, type(theirs))
    return fused, theirs


def pair(name, **config):
    """Return our scheduler and diffusers', with coefficients in float64 too."""
    ours, theirs = as_it_is(name, **config)
    choose = theirs.set_timesteps

    def widen():
        if hasattr(theirs, "sigmas"):
            theirs.sigmas = theirs.sigmas.double()
        else:
            alphas = torch.from_numpy(ours._alphas())
            torch.testing.assert_close(theirs.alphas_cumprod.double(), alphas, rtol=0, atol=1e-6)
            theirs.alphas_cumprod, theirs.one = alphas, torch.tensor(1.0, dtype=torch.float64)
            if hasattr(theirs, "final_alpha_cumprod"):
                first = 1.0 if theirs.config.set_alpha_to_one else alphas[0].item()
                theirs.final_alpha_cumprod = torch.tensor(first, dtype=torch.float64)

    def set_timesteps(*args, **options):
        choose(*args, **options)
        widen()

    widen()
    theirs.set_timesteps = set_timesteps
    return ours, theirs


DDPM = [
    {},
    *PREDICTIONS,
    *SPACINGS,
    {"clip_sample": False},
    {"clip_sample_range": 0.4},
    THRESHOLD,
    TRAINED,
    LINEAR,
    *({"beta_schedule": name} for name in ("squaredcos_cap_v2", "sigmoid", "laplace")),
    *({"variance_type": name} for name in ("fixed_small_log", "fixed_large")),
    {"variance_type": "fixed_large", "timestep_spacing": "leading", "steps_offset": 1},
    {"timestep_spacing": "trailing", **ALL_NOISE},
]


@pytest.mark.parametrize("config", DDPM, ids=named)
def test_ddpm(config, walk, agree):
    ours, theirs = pair("DDPM", **config)
    agree(walk(ours, 11, dtype=F64), walk(theirs, 11, dtype=F64), FLOAT64)


def test_ddpm_over_all_timesteps(walk, agree):
    ours, theirs = pair("DDPM", **TRAINED)
    agree(walk(ours, dtype=F64), walk(theirs, dtype=F64), FLOAT64)


@pytest.mark.parametrize("kind", ["learned", "learned_range"])
def test_ddpm_learned_variance(kind, walk, agree, monkeypatch):
    ours, theirs = pair("DDPM", variance_type=kind)
    chosen = {"timesteps": [900, 500, 300, 20, 0]}
    runs = (
        walk(ours, dtype=F64, channels=2, chosen=chosen),
        walk(theirs, dtype=F64, channels=2, chosen=chosen),
    )
    if kind == "learned":  # the root of a negative number, in both
        runs = tuple(type(run)([x.nan_to_num() for x in run.samples[:1]], []) for run in runs)
    agree(*runs, FLOAT64)


def test_ddpm_custom_timesteps(walk, agree):
    ours, theirs = pair("DDPM")
    chosen = {"timesteps": [950, 400, 399, 40, 3]}
    agree(walk(ours, dtype=F64, chosen=chosen), walk(theirs, dtype=F64, chosen=chosen), FLOAT64)


DDIM = [
    {},
    *PREDICTIONS,
    *SPACINGS,
    {"clip_sample": False},
    {"clip_sample_range": 0.4},
    {"set_alpha_to_one": False},
    THRESHOLD,
    TRAINED,
    {**LINEAR, "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1},
    {"timestep_spacing": "trailing", **ALL_NOISE},
]


@pytest.mark.parametrize("config", DDIM, ids=named)
@pytest.mark.parametrize(
    "options",
    [{}, {"eta": 0.7}, {"eta": 1.0, "use_clipped_model_output": True}],
    ids=named,
)
def test_ddim(config, options, walk, agree):
    if "rescale_betas_zero_snr" in config and options.get("eta") == 1:
        pytest.skip("diffusers takes the root of a number just below zero")
    ours, theirs = pair("DDIM", **config)
    agree(walk(ours, 9, dtype=F64, **options), walk(theirs, 9, dtype=F64, **options), FLOAT64)


def test_ddim_variance_noise(walk, agree):
    ours, theirs = pair("DDIM")
    options = {
        "eta": 1.0,
        "variance_noise": torch.randn(2, 3, 5, 7, dtype=F64),
        "torch_noise": False,
    }
    agree(walk(ours, 9, dtype=F64, **options), walk(theirs, 9, dtype=F64, **options), FLOAT64)


EULER = [
    {},
    *PREDICTIONS,
    *SPACINGS,
    *SIGMAS,
    TRAINED,
    LINEAR,
    {"final_sigmas_type": "sigma_min"},
    {"interpolation_type": "log_linear", "timestep_spacing": "linspace"},
    {"use_karras_sigmas": True, "sigma_min": 0.01, "sigma_max": 50.0},
    {"timestep_type": "continuous", "prediction_type": "v_prediction", "use_karras_sigmas": True},
    {"timestep_spacing": "trailing", **ALL_NOISE},
]


@pytest.mark.parametrize("config", EULER, ids=named)
def test_euler(config, walk, agree):
    ours, theirs = pair("EulerDiscrete", **config)
    agree(walk(ours, 11), walk(theirs, 11), EXACT)


@pytest.mark.parametrize(
    "chosen", [{"timesteps": [990, 500, 333, 10]}, {"sigmas": [12.0, 5.0, 1.0, 0.2, 0.0]}], ids=str
)
def test_euler_custom(chosen, walk, agree):
    ours, theirs = pair("EulerDiscrete")
    agree(walk(ours, chosen=chosen), walk(theirs, chosen=chosen), EXACT)


def test_euler_churn(walk, agree):
    ours, theirs = pair("EulerDiscrete")
    agree(walk(ours, 9, s_churn=4.0), walk(theirs, 9, s_churn=4.0), EXACT)


@pytest.mark.parametrize(
    "config", [{}, PREDICTIONS[2], *SPACINGS, TRAINED, LINEAR, ALL_NOISE], ids=named
)
def test_euler_ancestral(config, walk, agree):
    ours, theirs = pair("EulerAncestralDiscrete", **config)
    agree(walk(ours, 11), walk(theirs, 11), EXACT)


SOLVER = [
    {},
    *PREDICTIONS,
    *SPACINGS,
    *SIGMAS,
    TRAINED,
    LINEAR,
    {k: v for k, v in THRESHOLD.items() if k != "clip_sample"},
    {"final_sigmas_type": "sigma_min"},
    {"timestep_spacing": "trailing", **ALL_NOISE},
    {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0},
]
DPM = [
    *SOLVER,
    {"use_lu_lambdas": True},
    {"lower_order_final": False, "final_sigmas_type": "sigma_min"},
    {"lower_order_final": False, "final_sigmas_type": "sigma_min", "euler_at_final": True},
    {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1, "variance_type": "learned"},
]
KINDS = [
    {"solver_order": order, "solver_type": kind, "algorithm_type": algorithm}
    for algorithm in ("dpmsolver++", "sde-dpmsolver++")
    for order, kind in ((1, "midpoint"), (2, "midpoint"), (2, "heun"), (3, "midpoint"))
]


@pytest.mark.parametrize("config", DPM, ids=named)
@pytest.mark.parametrize("kind", [KINDS[1], KINDS[7]], ids=named)
def test_dpm_solver(config, kind, walk, agree):
    ours, theirs = pair("DPMSolverMultistep", **config, **kind)
    agree(walk(ours, 9), walk(theirs, 9), EXACT)


@pytest.mark.parametrize("kind", KINDS, ids=named)
@pytest.mark.parametrize("n_steps", [1, 2, 17])
def test_dpm_solver_kinds(kind, n_steps, walk, agree):
    ours, theirs = pair("DPMSolverMultistep", **kind)
    agree(walk(ours, n_steps), walk(theirs, n_steps), EXACT)


def test_dpm_solver_custom(walk, agree):
    ours, theirs = pair("DPMSolverMultistep", solver_order=3)
    chosen = {"timesteps": [950, 600, 400, 330, 40, 3]}
    agree(walk(ours, chosen=chosen), walk(theirs, chosen=chosen), EXACT)


def test_dpm_solver_variance_noise(walk, agree):
    ours, theirs = pair("DPMSolverMultistep", algorithm_type="sde-dpmsolver++")
    options = {"variance_noise": torch.randn(2, 3, 5, 7), "torch_noise": False}
    agree(walk(ours, 9, **options), walk(theirs, 9, **options), EXACT)


UNIPC = [
    *SOLVER,
    {"disable_corrector": [0, 3]},
    {"lower_order_final": False, "final_sigmas_type": "sigma_min"},
    {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "shift_terminal": 0.1},
    {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "use_karras_sigmas": True},
    *({"predict_x0": False, "final_sigmas_type": "sigma_min", **config} for config in PREDICTIONS),
]


@pytest.mark.parametrize("config", UNIPC, ids=named)
@pytest.mark.parametrize("order", [2, 3])
def test_unipc(config, order, walk, agree):
    ours, theirs = pair("UniPCMultistep", **config, solver_order=order)
    agree(walk(ours, 9, dtype=F64), walk(theirs, 9, dtype=F64), FLOAT64)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("kind", ["bh1", "bh2"])
@pytest.mark.parametrize("n_steps", [1, 2, 17])
def test_unipc_kinds(order, kind, n_steps, walk, agree):
    config = {"final_sigmas_type": "sigma_min"} if kind == "bh1" else {}  # else diffusers' is NaN
    ours, theirs = pair("UniPCMultistep", solver_order=order, solver_type=kind, **config)
    agree(walk(ours, n_steps, dtype=F64), walk(theirs, n_steps, dtype=F64), FLOAT64)


def test_unipc_dynamic_shift(walk, agree):
    config = {
        "prediction_type": "flow_prediction",
        "use_flow_sigmas": True,
        "use_dynamic_shifting": True,
    }
    ours, theirs = pair("UniPCMultistep", **config)
    chosen = {"mu": 0.8}
    agree(
        walk(ours, 9, dtype=F64, chosen=chosen), walk(theirs, 9, dtype=F64, chosen=chosen), FLOAT64
    )


FLOW = [
    {},
    {"shift": 3.0},
    {"shift": 2.0, "shift_terminal": 0.1},
    {"invert_sigmas": True},
    {"stochastic_sampling": True},
    *SIGMAS,
]


@pytest.mark.parametrize("config", FLOW, ids=named)
def test_flow_match(config, walk, agree):
    ours, theirs = pair("FlowMatchEulerDiscrete", **config)
    agree(walk(ours, 9), walk(theirs, 9), EXACT)


@pytest.mark.parametrize("kind", ["exponential", "linear"])
def test_flow_match_custom(kind, walk, agree):
    ours, theirs = pair("FlowMatchEulerDiscrete", use_dynamic_shifting=True, time_shift_type=kind)
    chosen = {"sigmas": [1.0, 0.8, 0.3, 0.1], "mu": 0.9}
    agree(walk(ours, chosen=chosen), walk(theirs, chosen=chosen), EXACT)


def test_flow_match_per_token(walk, agree):
    samples = []
    for scheduler in as_it_is("FlowMatchEulerDiscrete"):
        scheduler.set_timesteps(5)
        x = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(1))
        tokens = scheduler.timesteps[torch.arange(12).reshape(2, 6) % 4]
        samples.append(
            scheduler.step(x.sin(), scheduler.timesteps[0], x, per_token_timesteps=tokens)[0]
        )
    torch.testing.assert_close(*samples)


EACH = [
    ("DDPM", {}, {}),
    ("DDIM", {}, {"eta": 0.5}),
    ("EulerDiscrete", LINEAR, {}),
    ("EulerAncestralDiscrete", LINEAR, {}),
    ("DPMSolverMultistep", {"algorithm_type": "sde-dpmsolver++"}, {}),
    ("DPMSolverMultistep", {"solver_order": 3}, {}),
    ("UniPCMultistep", {"solver_order": 3}, {}),
    ("FlowMatchEulerDiscrete", {"shift": 3.0, "stochastic_sampling": True}, {}),
    ("LCM", {}, {}),
    ("TCD", {}, {"eta": 0.5}),
]
NAMES = [f"{name},{named(config)}" for name, config, _ in EACH]


DISTILLED = [
    {},
    *PREDICTIONS,
    {"set_alpha_to_one": False},
    {"original_inference_steps": 100},
    {"timestep_scaling": 0.01},
    {"clip_sample": True},
    {"clip_sample": True, "clip_sample_range": 0.4},
    THRESHOLD,
    {**TRAINED, "original_inference_steps": 30},
    *({"beta_schedule": name} for name in ("linear", "squaredcos_cap_v2")),
    ALL_NOISE,
]
RUNS = [  # arguments of set_timesteps
    (4, {}),
    (1, {}),
    (8, {"original_inference_steps": 20}),
    (5, {"strength": 0.4}),
    (None, {"timesteps": [999, 759, 100, 0]}),
    (None, {"timesteps": [979, 499, 259, 19], "strength": 0.5}),
]


def distilled(name, **config):
    """Return both, diffusers' with its boundary scalings in float64 too."""
    ours, theirs = pair(name, **config)
    if name == "LCM":
        scalings = theirs.get_scalings_for_boundary_condition_discrete
        theirs.get_scalings_for_boundary_condition_discrete = lambda t: scalings(int(t))
    return ours, theirs


@pytest.mark.parametrize("config", DISTILLED, ids=named)
@pytest.mark.parametrize(
    ("name", "options"), [("LCM", {}), *(("TCD", {"eta": eta}) for eta in (0.0, 0.3, 1.0))]
)
def test_distilled(name, config, options, walk, agree):
    ours, theirs = distilled(name, **config)
    agree(walk(ours, 7, dtype=F64, **options), walk(theirs, 7, dtype=F64, **options), FLOAT64)


@pytest.mark.parametrize(("n_steps", "chosen"), RUNS, ids=str)
@pytest.mark.parametrize("name", ["LCM", "TCD"])
def test_timesteps_of_distilled_models(name, n_steps, chosen, walk, agree):
    ours, theirs = distilled(name)
    runs = [walk(each, n_steps, dtype=F64, chosen=chosen) for each in (ours, theirs)]
    assert torch.equal(ours.timesteps, theirs.timesteps)
    agree(*runs, FLOAT64)


@pytest.mark.parametrize(("name", "config", "options"), EACH, ids=NAMES)
def test_any_strides(name, config, options):
    """A sample that is a view of a packed one, as of video and of transposed latents."""
    samples = []
    for scheduler in as_it_is(name, **config):
        generator = torch.Generator().manual_seed(1)
        takes = "generator" in inspect.signature(scheduler.step).parameters
        arguments = {"generator": generator, **options} if takes else options
        scheduler.set_timesteps(3)
        scheduler.is_scale_input_called = True
        x = torch.randn(2, 5, 3, 4, generator=generator).permute(0, 2, 3, 1)
        for t in scheduler.timesteps:
            x = scheduler.step(x.sin(), t, x, **arguments).prev_sample
        samples.append(x)
    torch.testing.assert_close(*samples, rtol=FLOAT32, atol=FLOAT32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("name", "config", "options"), EACH, ids=NAMES)
def test_half_types(name, config, options, dtype, monkeypatch):
    """A step is as near that in float32 as twice diffusers' in the half type, or two roundings."""
    draw = torch.randn

    def rounded(shape, *, generator, dtype, **_):
        return draw(shape, generator=generator).to(torch.bfloat16).to(dtype)

    ours, theirs = as_it_is(name, **config)
    schedulers = ours, theirs, as_it_is(name, **config)[1]
    generators = [torch.Generator().manual_seed(2) for _ in schedulers]
    takes = "generator" in inspect.signature(ours.step).parameters
    for scheduler in schedulers:
        scheduler.set_timesteps(8)
        scheduler.is_scale_input_called = True
    x = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(1))
    x = (x * getattr(ours, "init_noise_sigma", 1.0)).to(dtype)
    monkeypatch.setattr(torch, "randn", rounded)
    for i, t in enumerate(ours.timesteps):
        output = torch.tanh(x / x.float().std())
        samples = []
        for j, scheduler in enumerate(schedulers):
            drawn = {"generator": generators[j]} if takes else {}
            pair = (output, x) if j < 2 else (output.float(), x.float())
            samples.append(scheduler.step(pair[0], t, pair[1], **options, **drawn).prev_sample)
        assert samples[0].dtype == dtype
        size = max(1.0, x.float().abs().max().item())
        near, far = ((y.float() - samples[2]).abs().max().item() for y in samples[:2])
        assert near <= max(2 * far, 2 * torch.finfo(dtype).eps * size), (i, near, far)
        x = samples[0]


@pytest.mark.parametrize(("name", "config", "options"), EACH, ids=NAMES)
def test_begins_late(name, config, options, walk, agree):
    ours, theirs = as_it_is(name, **config)
    by_time = walk(ours, 20, start=6, **options), walk(theirs, 20, start=6, **options)
    agree(*by_time, FLOAT32)
    if hasattr(theirs, "set_begin_index"):
        agree(walk(ours, 20, begin=6, **options), walk(theirs, 20, begin=6, **options), FLOAT32)


@pytest.mark.parametrize(("name", "config", "options"), EACH, ids=NAMES)
def test_runs_again(name, config, options, walk, agree):
    ours, theirs = as_it_is(name, **config)
    walk(ours, 5, **options)
    agree(walk(ours, 7, **options), walk(theirs, 7, **options), FLOAT32)


@pytest.mark.parametrize(("name", "config", "options"), EACH, ids=NAMES)
def test_other_shapes(name, config, options, walk, agree):
    ours, theirs = as_it_is(name, **config)
    for shape in ((1, 4, 1), (3, 2, 3, 4, 5)):
        actual, expected = (walk(x, 5, shape=shape, **options) for x in (ours, theirs))
        agree(actual, expected, FLOAT32)
