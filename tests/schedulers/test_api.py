"""The schedulers' API beyond the numbers: noise, types, errors, attributes."""

import copy
import inspect
import pickle
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

import unsup_fast  # noqa: E402
from unsup_fast import schedulers  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

NAMES = schedulers.__all__
NOISY = [
    ("FusedDDPM", {}, {}),
    ("FusedDDPM", {"variance_type": "learned_range"}, {"channels": 2}),
    ("FusedDDIM", {}, {"eta": 1.0}),
    ("FusedEulerAncestralDiscrete", {}, {}),
    ("FusedDPMSolverMultistep", {"algorithm_type": "sde-dpmsolver++"}, {}),
    ("FusedFlowMatchEulerDiscrete", {"stochastic_sampling": True}, {}),
    ("FusedLCM", {}, {}),
    ("FusedTCD", {}, {}),
]
TABLED = ["FusedDDIM", "FusedDDPM", "FusedLCM", "FusedTCD"]  # whose levels are abar_t's
COUNTED = [name for name in NAMES if name not in TABLED]


def theirs(name):
    return getattr(diffusers, name.removeprefix("Fused") + "Scheduler")


@pytest.mark.parametrize("name", NAMES)
def test_stands_in_for_diffusers_own(name):
    ours = getattr(unsup_fast, name)
    assert ours is getattr(schedulers, name)
    assert issubclass(ours, theirs(name))
    assert name in dir(unsup_fast)
    for method in ("__init__", "set_timesteps", "step"):
        one, other = (inspect.signature(getattr(x, method)) for x in (ours, theirs(name)))
        assert list(one.parameters) == list(other.parameters)
        assert [p.default for p in one.parameters.values()] == [
            p.default for p in other.parameters.values()
        ]
    fused, plain = ours(), theirs(name)()
    assert len(fused) == len(plain)
    assert fused.order == plain.order
    assert getattr(fused, "init_noise_sigma", 1) == getattr(plain, "init_noise_sigma", 1)
    assert hasattr(fused, "add_noise") == hasattr(plain, "add_noise")
    assert hasattr(fused, "scale_model_input") == hasattr(plain, "scale_model_input")
    assert theirs(name) in fused.compatibles


@pytest.mark.parametrize("name", NAMES)
def test_output(name):
    ours, plain = getattr(unsup_fast, name)(), theirs(name)()
    kinds = []
    for scheduler in (ours, plain):
        scheduler.set_timesteps(4)
        scheduler.is_scale_input_called = True
        x = torch.ones(1, 1, 2, 2)
        options = {"generator": torch.Generator()} if name in ("FusedDDPM",) else {}
        output = scheduler.step(x, scheduler.timesteps[0], x, **options)
        kinds.append((type(output), list(output.keys())))
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize(("name", "config", "options"), NOISY)
def test_own_noise_follows_torch_seed(name, config, options, walk):
    runs = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        scheduler = getattr(unsup_fast, name)(**config)
        runs.append(walk(scheduler, 6, torch_noise=False, **options).samples[0])
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


@pytest.mark.parametrize(("name", "config", "options"), NOISY)
def test_own_noise_is_fresh_in_each_step_and_run(name, config, options):
    scheduler = getattr(unsup_fast, name)(**config)
    x = torch.zeros(1, 1, 40, 50)
    output = torch.zeros(1, options.get("channels", 1), 40, 50)
    arguments = {"eta": 1.0} if "eta" in options else {}
    drawn = []
    for _ in range(2):
        scheduler.set_timesteps(5)
        scheduler.is_scale_input_called = True
        for t in scheduler.timesteps[:3]:
            z = scheduler.step(output, t, x, **arguments).prev_sample.flatten()
            drawn.append((z - z.mean()) / z.std())
    similar = torch.stack(drawn) @ torch.stack(drawn).T / 2000
    torch.testing.assert_close(similar, torch.eye(6), rtol=0, atol=0.12)


@pytest.mark.parametrize("name", ["FusedDDPM", "FusedDDIM"])
def test_coefficients_outlive_a_copy(name):
    """They stay of float64 when the float32 table is copied; a table that is changed counts."""
    scheduler = getattr(unsup_fast, name)()
    exact = scheduler._alphas()
    for copied in (copy.deepcopy(scheduler), pickle.loads(pickle.dumps(scheduler))):
        assert (copied._alphas() == exact).all()
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.clone()
    assert (scheduler._alphas() == exact).all()
    scheduler.alphas_cumprod *= 0.5
    torch.testing.assert_close(torch.from_numpy(scheduler._alphas()), torch.from_numpy(exact) / 2)


@pytest.mark.parametrize("name", ["FusedDPMSolverMultistep", "FusedUniPCMultistep"])
def test_as_many_steps_as_timesteps(name, walk):
    scheduler = getattr(unsup_fast, name)(num_train_timesteps=100)
    assert all(x.isfinite().all() for x in walk(scheduler, 100).samples)


def test_no_number_is_taken_from_torch_without_need(walk):
    for name, config in (("FusedDDIM", {}), ("FusedDPMSolverMultistep", {})):
        before = torch.get_rng_state()
        walk(getattr(unsup_fast, name)(**config), 4, torch_noise=False)
        assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(("name", "config", "options"), NOISY)
def test_list_of_generators(name, config, options):
    """Each sample of a batch is that of a batch of one."""
    scheduler = getattr(unsup_fast, name)(**config)
    x = torch.randn(2, 3, 4, 4)
    output = torch.randn(2, 3 * options.get("channels", 1), 4, 4)
    arguments = {"eta": 1.0} if "eta" in options else {}

    def steps(rows, generator):
        scheduler.set_timesteps(5)
        scheduler.is_scale_input_called = True
        t = scheduler.timesteps[0]
        return scheduler.step(
            output[rows], t, x[rows], generator=generator, **arguments
        ).prev_sample

    both = steps(slice(0, 2), [torch.Generator().manual_seed(i) for i in (1, 2)])
    for i in (0, 1):
        alone = steps(slice(i, i + 1), torch.Generator().manual_seed(i + 1))
        torch.testing.assert_close(both[i : i + 1], alone)


@pytest.mark.parametrize("name", TABLED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_add_noise_and_velocity(name, dtype):
    scheduler = getattr(unsup_fast, name)()
    x, eps = torch.randn(2, 4, 3, 5, 5).to(dtype)
    t = torch.tensor([0, 9, 400, 999])
    alphas = torch.from_numpy(scheduler._alphas())[t].view(-1, 1, 1, 1)
    a, s = alphas.sqrt(), (1 - alphas).sqrt()
    close = {"rtol": torch.finfo(dtype).eps, "atol": 1e-6}
    noisy = scheduler.add_noise(x, eps, t)
    assert noisy.dtype == dtype
    torch.testing.assert_close(noisy.double(), a * x.double() + s * eps.double(), **close)
    velocity = scheduler.get_velocity(x, eps, t)
    torch.testing.assert_close(
        velocity.double(), a * eps.double() - s * x.double(), rtol=close["rtol"], atol=1e-6
    )
    one = scheduler.add_noise(x, eps, t[2:3])
    torch.testing.assert_close(one[2], noisy[2])


def test_add_noise_in_bfloat16_where_diffusers_adds_no_noise():
    x = torch.zeros(1, 1, 8, 8, dtype=torch.bfloat16)
    eps, t = torch.ones_like(x), torch.tensor([3])
    assert diffusers.DDPMScheduler().add_noise(x, eps, t).abs().max() == 0
    noisy = unsup_fast.FusedDDPM().add_noise(x, eps, t)
    assert noisy.float().mean().item() == pytest.approx((1 - 0.9995) ** 0.5, rel=0.1)


@pytest.mark.parametrize("name", COUNTED)
def test_add_noise_along_sigmas(name):
    noisy = []
    for kind in (getattr(unsup_fast, name), theirs(name)):
        scheduler = kind()
        scheduler.set_timesteps(10)
        add = scheduler.add_noise if hasattr(scheduler, "add_noise") else scheduler.scale_noise
        if hasattr(scheduler, "add_noise"):
            call = add
        else:
            call = lambda x, eps, t: scheduler.scale_noise(x, t, eps)  # noqa: B023, E731
        x, eps = torch.randn(2, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
        times = scheduler.timesteps
        results = [call(x, eps, times[[2, 7]]), call(x, eps, times[[3, 3]])]
        scheduler.set_begin_index(4)
        results.append(call(x, eps, times[[4, 4]]))
        scheduler.is_scale_input_called = True
        scheduler.step(eps, times[4], x)
        results.append(call(x, eps, times[:1].repeat(2)))
        noisy.append(torch.stack(results))
    torch.testing.assert_close(*noisy, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_types_may_differ(name):
    """A sample in float32 and a model in bfloat16: the result has the type diffusers gives it."""
    kinds = []
    for kind in (getattr(unsup_fast, name), theirs(name)):
        scheduler = kind()
        scheduler.set_timesteps(4)
        scheduler.is_scale_input_called = True
        output, x = torch.ones(1, 1, 2, 2, dtype=torch.bfloat16), torch.ones(1, 1, 2, 2)
        kinds.append(scheduler.step(output, scheduler.timesteps[0], x).prev_sample.dtype)
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize("name", NAMES)
def test_gradients_come_from_diffusers_own_step(name):
    grads = []
    for kind in (getattr(unsup_fast, name), theirs(name)):
        scheduler = kind()
        scheduler.set_timesteps(6)
        scheduler.is_scale_input_called = True
        generator = torch.Generator().manual_seed(1)
        arguments = (
            {"generator": generator}
            if "generator" in inspect.signature(scheduler.step).parameters
            else {}
        )
        x = torch.randn(1, 2, 4, 4, generator=generator)
        for i, t in enumerate(scheduler.timesteps[:4]):
            x = x.detach().requires_grad_(i == 3)
            y = scheduler.step((x / 9).tanh(), t, x, **arguments).prev_sample
            if i == 3:
                grads.append(torch.autograd.grad(y.square().sum(), x)[0])
            x = y
    torch.testing.assert_close(*grads, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_timesteps_of_all_kinds(name):
    """A view, a copy, a number: the same step."""
    samples = []
    for form in (lambda t: t, lambda t: t.clone(), lambda t: t[None], lambda t: t.item()):
        scheduler = getattr(unsup_fast, name)()
        scheduler.set_timesteps(7)
        scheduler.is_scale_input_called = True
        torch.manual_seed(0)
        x = torch.ones(1, 1, 2, 2)
        samples.append(scheduler.step(x, form(scheduler.timesteps[2]), x).prev_sample)
    for other in samples[1:]:
        assert torch.equal(samples[0], other)


def test_sigmas_may_be_changed(walk, agree):
    """A pipeline of diffusers writes into `sigmas` after it has set the timesteps."""
    runs = []
    for kind in (unsup_fast.FusedEulerDiscrete, diffusers.EulerDiscreteScheduler):
        scheduler = kind(use_karras_sigmas=True)
        scheduler.set_timesteps(6)
        scheduler.sigmas[-1] = scheduler.sigmas[-2]
        runs.append(walk(scheduler))
    agree(*runs, 1e-5)


def test_refuses_steps():
    x = torch.ones(1, 1, 2, 2)
    with pytest.raises(ValueError, match="set_timesteps"):
        unsup_fast.FusedDDIM().step(x, 0, x)
    with pytest.raises(ValueError, match="none of the scheduler's 1000 timesteps"):
        unsup_fast.FusedDDPM().step(x, 1000, x)
    euler = unsup_fast.FusedEulerDiscrete()
    euler.set_timesteps(2)
    with pytest.raises(ValueError, match="is an integer"):
        euler.step(x, 1, x)
    with pytest.raises(ValueError, match="none of the scheduler's 2 timesteps"):
        euler.step(x, 1.5, x)
    for t in euler.timesteps:
        euler.step(x, t, euler.scale_model_input(x, t))
    with pytest.raises(ValueError, match="all 2 steps are taken"):
        euler.step(x, t, x)
    ddim = unsup_fast.FusedDDIM()
    ddim.set_timesteps(2)
    with pytest.raises(ValueError, match="both generator and variance_noise"):
        ddim.step(x, 500, x, eta=1.0, generator=torch.Generator(), variance_noise=x)
    for kind in (unsup_fast.FusedLCM, unsup_fast.FusedTCD):
        distilled = kind()
        with pytest.raises(ValueError, match="set_timesteps"):
            distilled.step(x, 999, x)
        distilled.set_timesteps(2)
        with pytest.raises(ValueError, match="none of the scheduler's 2 timesteps"):
            distilled.step(x, 5, x)
        for t in distilled.timesteps:
            distilled.step(x, t, x)
        with pytest.raises(ValueError, match="all 2 steps are taken"):
            distilled.step(x, t, x)
    learned = unsup_fast.FusedDDPM(variance_type="learned")
    with pytest.raises(ValueError, match="2 output channels"):
        learned.step(x, 500, x)
    assert learned.step(x, 0, x).prev_sample.shape == x.shape  # no variance, as in diffusers


def test_says_what_is_missing(monkeypatch):
    from unsup_fast import _extras

    monkeypatch.setattr(_extras, "find_spec", lambda name: None)
    monkeypatch.delitem(schedulers.__dict__, "FusedDDIM", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'unsup-fast\[diffusers\]'"):
        _ = schedulers.FusedDDIM
    with pytest.raises(AttributeError, match="FusedPNDM"):
        _ = schedulers.FusedPNDM


def test_import_is_light():
    code = (
        "import sys, unsup_fast, unsup_fast.schedulers\n"
        "from unsup_fast import *\n"
        "assert not {'torch', 'diffusers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")
