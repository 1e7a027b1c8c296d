"""The figures that diffusers' own tests pin, by their recipe and to their tolerance."""

from typing import NamedTuple

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

import unsup_fast  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning", "ignore:.*own step runs"
)

SHAPE = (3, 8, 8, 4)
SUM, MEAN = 1e-2, 1e-3  # tolerances


class Pin(NamedTuple):
    """What a run of a scheduler comes to.

    Attributes
    ----------
    total, mean : float or None
        Sum and mean of the magnitudes of the last sample.
    start : int
        The step it starts at, from a sample with noise if that is above 0.
    """

    name: str
    config: dict
    total: float | None
    mean: float
    start: int = 0


V = {"prediction_type": "v_prediction"}
KARRAS = {"use_karras_sigmas": True}
BASE = {
    "DDPM": {},
    "DDIM": {},
    "EulerDiscrete": {"num_train_timesteps": 1100},
    "EulerAncestralDiscrete": {"num_train_timesteps": 1100},
    "DPMSolverMultistep": {"lower_order_final": False, "final_sigmas_type": "sigma_min"},
    "UniPCMultistep": {"final_sigmas_type": "sigma_min"},
}
THRESHOLD = {"thresholding": True, "dynamic_thresholding_ratio": 0.87, "sample_max_value": 0.5}
PINS = [
    Pin("DDPM", {}, 258.9606, 0.3372),
    Pin("DDPM", V, 202.0296, 0.2631),
    Pin("DDIM", {}, 172.0067, 0.223967),
    Pin("DDIM", V, 52.5302, 0.0684),
    Pin("DDIM", {"set_alpha_to_one": True, "beta_start": 0.01}, 149.8295, 0.1951),
    Pin("DDIM", {"set_alpha_to_one": False, "beta_start": 0.01}, 149.0784, 0.1941),
    Pin("DDIM", {}, 354.5418, 0.4616, start=8),
    Pin("EulerDiscrete", {}, 10.0807, 0.0131),
    Pin("EulerDiscrete", V, 0.0002, 2.2676e-06),
    Pin("EulerDiscrete", KARRAS, 124.52299499511719, 0.16213932633399963),
    Pin("EulerDiscrete", {}, 57062.9297, 74.3007, start=8),
    Pin("EulerAncestralDiscrete", {}, 152.3192, 0.1983),
    Pin("EulerAncestralDiscrete", V, 108.4439, 0.1412),
    Pin("EulerAncestralDiscrete", {}, 56163.0508, 73.1290, start=8),
    Pin("DPMSolverMultistep", {}, None, 0.3301),
    Pin("DPMSolverMultistep", THRESHOLD, None, 1.1364),
    Pin("DPMSolverMultistep", V, None, 0.2251),
    Pin("DPMSolverMultistep", {**V, **KARRAS}, None, 0.2096),
    Pin("DPMSolverMultistep", {**V, "use_lu_lambdas": True}, None, 0.1554),
    Pin("DPMSolverMultistep", {}, 318.4111, 0.4146, start=5),
    Pin("UniPCMultistep", {}, None, 0.2464),
    Pin("UniPCMultistep", KARRAS, None, 0.2925),
    Pin("UniPCMultistep", V, None, 0.1014),
    Pin("UniPCMultistep", {**V, **KARRAS}, None, 0.1966),
    Pin("UniPCMultistep", {}, 315.5757, 0.4109, start=8),
]


def model(x, t):
    """Return what the model of those tests does."""
    t = torch.as_tensor(t).to(x)
    return x * t / (t + 1)


def run(scheduler, start):
    """Return the last sample."""
    n = torch.Size(SHAPE).numel()
    ramp = torch.arange(n)
    x, eps = (each.reshape(SHAPE).div(n).permute(3, 0, 1, 2) for each in (ramp, ramp.flip(0)))
    if not isinstance(scheduler, diffusers.DDPMScheduler):
        scheduler.set_timesteps(10)
    x = x * getattr(scheduler, "init_noise_sigma", 1.0)
    times = scheduler.timesteps[start:]
    if start:
        x = scheduler.add_noise(x, eps, times[:1])
    options = {}
    if not isinstance(scheduler, (diffusers.DDIMScheduler, diffusers.UniPCMultistepScheduler)):
        options["generator"] = torch.Generator().manual_seed(0)
    for t in times:
        x = scheduler.scale_model_input(x, t)
        x = scheduler.step(model(x, t), t, x, **options).prev_sample
    return x


@pytest.mark.parametrize("pin", PINS, ids=lambda p: f"{p.name},{p.start},{','.join(p.config)}")
def test_pinned(pin):
    config = {**BASE[pin.name], **pin.config}
    x = run(getattr(unsup_fast, f"Fused{pin.name}")(**config), pin.start).abs()
    assert x.mean().item() == pytest.approx(pin.mean, abs=MEAN)
    if pin.total is not None:
        assert x.sum().item() == pytest.approx(pin.total, abs=SUM)


def test_ddpm_from_the_last_two_timesteps():
    """The figure diffusers pins, 387.9466, is that of 1 - abar_t in float32.

    There it has four digits, for abar_t is 1 - 1e-4. In float64 it is 387.9672, also with the
    arithmetic of diffusers.
    """
    ours, theirs = unsup_fast.FusedDDPM(), diffusers.DDPMScheduler()
    assert run(theirs, 998).abs().sum().item() == pytest.approx(387.9466, abs=SUM)
    theirs.alphas_cumprod = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000).double(), dim=0)
    exact = run(theirs, 998).abs().sum().item()
    assert exact == pytest.approx(387.9672, abs=2e-3)
    assert run(ours, 998).abs().sum().item() == pytest.approx(exact, abs=2e-3)
