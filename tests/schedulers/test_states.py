"""States of a scheduler that trainers and scripts bring about, and pipelines do not."""

import copy
import functools
import inspect
import pickle

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

import unsup_fast  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

NAMES = [
    "DDPM",
    "DDIM",
    "EulerDiscrete",
    "EulerAncestralDiscrete",
    "DPMSolverMultistep",
    "UniPCMultistep",
    "FlowMatchEulerDiscrete",
    "LCM",
    "TCD",
]
TABLED, COUNTED, MULTISTEP, DISTILLED = NAMES[:2], NAMES[2:7], NAMES[4:6], NAMES[7:]
FLOATING = ["EulerDiscrete", "EulerAncestralDiscrete", "FlowMatchEulerDiscrete"]
X, EPS = torch.randn(2, 3, 2, 4, 5, generator=torch.Generator().manual_seed(0))


def pair(name):
    """Return our scheduler and diffusers'."""
    return getattr(unsup_fast, f"Fused{name}")(), getattr(diffusers, f"{name}Scheduler")()


def noisy(scheduler, timesteps, x=X, eps=EPS):
    if hasattr(scheduler, "scale_noise"):
        return scheduler.scale_noise(x, timesteps, eps)
    return scheduler.add_noise(x, eps, timesteps)


def step(scheduler, t, x=X, **options):
    if "generator" in inspect.signature(scheduler.step).parameters:
        options["generator"] = torch.Generator().manual_seed(5)
    scheduler.is_scale_input_called = True
    return scheduler.step(x.tanh(), t, x, **options).prev_sample


def close(results, tolerance=1e-4):
    torch.testing.assert_close(*results, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("index", [[900, 500, 3], [0, 999, 42], [7, 7, 7], [123]], ids=str)
def test_noise_before_set_timesteps(name, index):
    close([noisy(s, s.timesteps[index]) for s in pair(name)])


@pytest.mark.parametrize("name", [*TABLED, *DISTILLED])
def test_velocity_before_set_timesteps(name):
    close([s.get_velocity(X, EPS, s.timesteps[[900, 500, 3]]) for s in pair(name)])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("to", [torch.float16, torch.float32, torch.float64], ids=str)
def test_noise_at_timesteps_of_floating_types(name, to):
    """float16 holds all whole numbers of the schedule."""
    ours, _ = pair(name)
    index = [900, 500, 3]
    times = ours.timesteps[index]
    assert torch.equal(times.to(to).to(times.dtype), times)
    assert torch.equal(noisy(ours, times.to(to)), noisy(ours, times))


@pytest.mark.parametrize("name", NAMES)
def test_noise_at_timesteps_that_are_no_tensors(name):
    ours, _ = pair(name)
    times = ours.timesteps[[900, 500, 3]]
    expected = noisy(ours, times)
    for form in (times.tolist(), times.numpy(), tuple(times.tolist())):
        assert torch.equal(noisy(ours, form), expected)
    alone = noisy(ours, times[:1])
    for form in (times[0], times[0].item(), times[0].numpy()):
        assert torch.equal(noisy(ours, form), alone)


@pytest.mark.parametrize("name", [*TABLED, *DISTILLED])
def test_noise_at_rounded_timesteps_is_an_error(name):
    ours, _ = pair(name)
    with pytest.raises(ValueError, match=r"bfloat16, which rounds whole numbers above 256"):
        noisy(ours, torch.tensor([900, 500, 3]).bfloat16())
    with pytest.raises(ValueError, match="not whole numbers"):
        noisy(ours, torch.tensor([1.5, 2.0, 3.0]))
    short = type(ours)(num_train_timesteps=200)
    times = torch.tensor([199, 0, 77])
    assert torch.equal(noisy(short, times.bfloat16()), noisy(short, times))


@pytest.mark.parametrize("name", NAMES)
def test_noise_on_one_image_at_many_timesteps(name):
    """Shapes broadcast, as in diffusers."""
    for x, eps in ((X[:1], EPS[:1]), (X[:1], EPS), (X, EPS[:1])):
        close([noisy(s, s.timesteps[[900, 500, 3]], x, eps) for s in pair(name)])
    ours, _ = pair(name)
    with pytest.raises(ValueError, match="2 entries for 3 samples"):
        noisy(ours, ours.timesteps[:2])


@pytest.mark.parametrize("name", MULTISTEP)
@pytest.mark.parametrize("n_steps", [10, 100])
@pytest.mark.parametrize("to", [torch.float16, torch.bfloat16], ids=str)
def test_half_timesteps_as_torch_promotes(name, n_steps, to):
    for index in (0, 3, 9):
        results = []
        for scheduler in pair(name):
            scheduler.set_timesteps(n_steps)
            times = scheduler.timesteps
            results.append(step(scheduler, times[index].to(to)))
            # the second of those that round to it
            same = (times.to(to) == times[index].to(to)).nonzero().flatten().tolist()
            assert scheduler.step_index == same[:2][-1] + 1
        close(results)
        scheduler.set_timesteps(n_steps)
        results = []
        for scheduler in pair(name):
            scheduler.set_timesteps(n_steps)
            results.append(noisy(scheduler, scheduler.timesteps[[index, 5, 9]].to(to)))
        close(results)


@pytest.mark.parametrize("name", TABLED)
@pytest.mark.parametrize("to", [torch.float16, torch.bfloat16], ids=str)
def test_half_timesteps_find_the_one_they_were_rounded_from(name, to):
    ours, _ = pair(name)
    ours.set_timesteps(10)
    for t in ours.timesteps:
        assert torch.equal(step(ours, t.to(to)), step(ours, t))
    ours.set_timesteps(1000)
    assert torch.equal(step(ours, ours.timesteps[3].to(torch.float16)), step(ours, 996))
    with pytest.raises(ValueError, match="fits 3 of the scheduler's 1000 timesteps"):
        step(ours, ours.timesteps[3].bfloat16())


@pytest.mark.parametrize("name", FLOATING)
def test_rounded_timesteps_of_no_step_are_an_error(name):
    ours, _ = pair(name)
    ours.set_timesteps(7)
    t = ours.timesteps[2]
    assert t.bfloat16() != t
    with pytest.raises(ValueError, match=r"rounded to torch\.bfloat16, is none of"):
        step(ours, t.bfloat16())


@pytest.mark.parametrize("name", FLOATING)
def test_printed_timesteps(name):
    """A number that is a timestep once it is rounded to its type, as torch compares it."""
    ours, _ = pair(name)
    results = []
    for form in (lambda t: t, lambda t: float(f"{t.item():.9g}")):
        ours.set_timesteps(7)
        results.append(step(ours, form(ours.timesteps[2])))
    assert torch.equal(*results)


@pytest.mark.parametrize("name", MULTISTEP)
def test_timestep_of_no_step_is_the_last_and_said(name):
    results = []
    ours, theirs = pair(name)
    for scheduler in (ours, theirs):
        scheduler.set_timesteps(10)
    with pytest.warns(UserWarning, match=r"timestep=5\.5 is none of the scheduler's 10 timesteps"):
        results.append(step(ours, 5.5))
    results.append(step(theirs, 5.5))
    close(results)


@pytest.mark.parametrize("name", COUNTED)
def test_step_after_the_last(name):
    results = []
    for scheduler in pair(name):
        scheduler.set_timesteps(3)
        x = X
        for t in scheduler.timesteps:
            x = step(scheduler, t, x)
        with pytest.raises((ValueError, IndexError, AssertionError)):
            step(scheduler, t, x)
        scaled = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        results.append(torch.stack([noisy(scheduler, scheduler.timesteps[-1:]), scaled]))
    close(results)
    ours, _ = pair(name)
    ours.set_timesteps(1)
    step(ours, ours.timesteps[0])
    with pytest.raises(ValueError, match="all 1 steps are taken; call set_timesteps"):
        step(ours, ours.timesteps[0])


@pytest.mark.parametrize("name", ["EulerDiscrete", "DPMSolverMultistep", "FlowMatchEulerDiscrete"])
def test_equal_timesteps_at_the_start(name):
    """A run begins at the second of them, as in diffusers, or where set_begin_index says."""
    chosen = {"timesteps": [900, 900, 500, 10]}
    if name == "FlowMatchEulerDiscrete":
        chosen = {"sigmas": [1.0, 1.0, 0.5, 0.1]}
    for begin in (None, 0):
        results = []
        for scheduler in pair(name):
            scheduler.set_timesteps(**chosen)
            if begin is not None:
                scheduler.set_begin_index(begin)
            samples = [X]
            for t in scheduler.timesteps[:-1] if begin is None else scheduler.timesteps:
                samples.append(step(scheduler, t, samples[-1]))
            finite = [
                x for x in samples if x.isfinite().all()
            ]  # diffusers' are not after two at 900
            results.append(torch.stack(finite[:2] if "DPM" in name and begin == 0 else samples))
            if begin is None:
                with pytest.raises((ValueError, IndexError)):
                    step(scheduler, t)
        close(results)
    ours, _ = pair(name)
    ours.set_timesteps(**chosen)
    for t in ours.timesteps[:3]:
        step(ours, t)
    with pytest.raises(ValueError, match=r"set_begin_index\(0\)"):
        step(ours, ours.timesteps[3])


@pytest.mark.parametrize("name", NAMES)
def test_two_steps_at_one_timestep(name):
    results = []
    for scheduler in pair(name):
        scheduler.set_timesteps(6)
        x = X
        for i in (0, 1, 1, 1, 2):
            x = step(scheduler, scheduler.timesteps[i], x)
        results.append(x)
    close(results)


@pytest.mark.parametrize("name", [*COUNTED, *DISTILLED])
@pytest.mark.parametrize(("before", "to"), [(2, 5), (4, 1), (3, 0), (1, 7), (4, None)])
def test_step_index_set_by_hand(name, before, to):
    results = []
    for scheduler in pair(name):
        scheduler.set_timesteps(9)
        scheduler.set_begin_index(0)
        x = X
        for t in scheduler.timesteps[:before]:
            x = step(scheduler, t, x)
        scheduler._step_index, scheduler._begin_index = to, None
        for t in scheduler.timesteps[3 if to is None else to :]:
            x = step(scheduler, t, x)
        results.append(x)
    close(results, 5e-4)


@pytest.mark.parametrize("name", DISTILLED)
def test_timesteps_of_distilled_models_in_half_types(name):
    results = []
    for form in (lambda t: t, lambda t: t.bfloat16()):
        ours, _ = pair(name)
        ours.set_timesteps(4)
        results.append(step(ours, form(ours.timesteps[1])))
    assert torch.equal(*results)
    ours.set_timesteps(50)
    with pytest.raises(ValueError, match="fits 0 of the scheduler's 50 timesteps"):
        step(ours, torch.tensor(5.0).bfloat16())


@pytest.mark.parametrize("name", COUNTED)
def test_begins_before_where_it_began(name):
    results = []
    for scheduler in pair(name):
        scheduler.set_timesteps(9)
        scheduler.set_begin_index(5)
        x = step(scheduler, scheduler.timesteps[5])
        scheduler._step_index = 2
        results.append(step(scheduler, scheduler.timesteps[2], x))
    close(results)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_copy_within_a_run(name, copied):
    results = []
    for form in (copied, lambda s: s):
        scheduler, _ = pair(name)
        scheduler.set_timesteps(8)
        x = X
        for i, t in enumerate(scheduler.timesteps):
            scheduler = form(scheduler) if i == 4 else scheduler
            x = step(scheduler, t, x)
        results.append(x)
    assert torch.equal(*results)


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_loaded(name, tmp_path):
    ours, theirs = pair(name)
    ours.save_pretrained(tmp_path)
    results = []
    for scheduler in (type(ours).from_pretrained(tmp_path), theirs):
        scheduler.set_timesteps(6)
        x = X
        for t in scheduler.timesteps:
            x = step(scheduler, t, x)
        results.append(x)
    close(results)


@functools.cache
def configuration(name):
    return getattr(diffusers, f"{name}Scheduler")(num_train_timesteps=100).config


OTHERS = ["PNDM", "LMSDiscrete", "HeunDiscrete", "DEISMultistep", "DPMSolverSinglestep"]
OTHERS += ["KDPM2Discrete", "DDIMInverse", "SASolver", "UnCLIP", "EDMEuler", *NAMES]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore")
def test_from_the_configuration_of_every_other(name):
    for other in OTHERS:
        config = configuration(other)
        results = []
        for scheduler in pair(name):
            switched = type(scheduler).from_config(config)
            switched.set_timesteps(4)
            x = X
            for t in switched.timesteps:
                x = step(switched, t, x)
            results.append(x)
        close(results, 5e-4)


@pytest.mark.parametrize(
    "name", ["DDPM", "EulerDiscrete", "EulerAncestralDiscrete", "FlowMatchEulerDiscrete"]
)
def test_step_before_set_timesteps(name):
    for index in (0, 1, 500, 998):
        close([step(s, s.timesteps[index]) for s in pair(name)])


def test_ddpm_at_timesteps_set_by_hand():
    """Before set_timesteps the step from t goes to t - 1, whatever `timesteps` holds."""
    results = []
    for scheduler in pair("DDPM"):
        scheduler.timesteps = torch.tensor([900, 500, 20])
        results.append(step(scheduler, 500))
    close(results)


def test_ddim_without_steps():
    scheduler = unsup_fast.FusedDDIM(timestep_spacing="linspace")
    scheduler.set_timesteps(0)
    assert scheduler.timesteps.numel() == 0
