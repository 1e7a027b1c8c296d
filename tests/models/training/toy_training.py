"""Small runs of the training loop, in this process or in forked ones that are killed.

    python toy_training.py CASES.json

forks for each case. Forks are safe here, and cost no import each: the parent computes nothing.
"""

import importlib
import json
import os
import random
import resource
import signal
import sys
import time
import warnings
from pathlib import Path

import accelerate
import torch
import torch.nn.functional as F
from torch import nn

from unsup_fast.models import training
from unsup_fast.models.training import checkpoint, metrics_log
from unsup_fast.storage import tensors as files

N = 20


def rows(n, *shape):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(3))


def plain(options, make=None):
    """One network with dropout and buffers, channels-last, fused AdamW."""
    torch.manual_seed(training.fold_in("weights", options.seed, 0))
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.SiLU(),
        nn.Dropout(0.2),
        nn.Conv2d(8, 3, 3, padding=1),
    ).to(memory_format=torch.channels_last)
    make = make or (lambda weights, rate: torch.optim.AdamW(weights, rate, fused=True))
    optimizer = make(network.parameters(), options.learning_rate)
    images = rows(N, 3, 4, 4)

    def step(batch, context):
        loss = F.mse_loss(network(batch + torch.randn(batch.shape)), batch)
        context.optimizer_step(loss, optimizer)
        return {"loss": loss}

    return training.init_state({"network": network}, {"network": optimizer}), step, images


def gan(options, make=None):
    """Two networks, updated in turn by optimizers of two kinds and rates."""
    torch.manual_seed(training.fold_in("weights", options.seed, 0))
    generator = nn.Sequential(nn.Linear(2, 8), nn.SiLU(), nn.Linear(8, 3))
    discriminator = nn.Sequential(nn.Linear(3, 8), nn.SiLU(), nn.Linear(8, 1))
    rate = options.learning_rate
    optimizers = {
        "generator": torch.optim.Adam(generator.parameters(), rate, betas=(0.5, 0.9)),
        "discriminator": torch.optim.SGD(discriminator.parameters(), 4 * rate, momentum=0.9),
    }

    def step(real, context):
        drawn = torch.Generator().manual_seed(training.fold_in("z", options.seed, context.index))
        fake = generator(context.shard(torch.randn(options.batch_size, 2, generator=drawn)))
        critic = F.softplus(discriminator(fake.detach())) + F.softplus(-discriminator(real))
        context.optimizer_step(critic.mean(), optimizers["discriminator"])
        fooled = F.softplus(-discriminator(fake)).mean()
        context.optimizer_step(fooled, optimizers["generator"])
        return {"critic": critic.mean(), "fooled": fooled}

    networks = {"generator": generator, "discriminator": discriminator}
    return training.init_state(networks, optimizers), step, rows(N, 3)


def game(options, make=None):
    """A GAN with one averaged network, two batches a step, and a penalty at every fourth step."""
    torch.manual_seed(training.fold_in("weights", options.seed, 0))
    generator = nn.Sequential(nn.Linear(2, 8), nn.SiLU(), nn.Linear(8, 3))
    discriminator = nn.Sequential(nn.Linear(3, 8), nn.SiLU(), nn.Linear(8, 1))
    controls = nn.Module()  # without parameters
    controls.register_buffer("p", torch.zeros(()))
    make = make or (lambda weights, rate: torch.optim.Adam(weights, rate, betas=(0.0, 0.9)))
    optimizers = {
        "generator": make(generator.parameters(), options.learning_rate),
        "discriminator": make(discriminator.parameters(), options.learning_rate),
    }

    def step(real, context):
        drawn = torch.Generator().manual_seed(training.fold_in("z", options.seed, context.index))
        optimizers["discriminator"].param_groups[0]["betas"] = (0.0, 0.9 + 0.001 * context.index)
        losses = {}
        for batch in real.chunk(2):
            fake = generator(torch.randn(len(batch), 2, generator=drawn))
            batch = batch.requires_grad_(context.index % 4 == 0)
            scores = discriminator(batch)
            critic = (F.softplus(discriminator(fake.detach())) + F.softplus(-scores)).mean()
            if batch.requires_grad:
                slope = torch.autograd.grad(scores.sum(), batch, create_graph=True)[0]
                losses["r1"] = slope.square().sum(1).mean()
                critic = critic + losses["r1"]
            losses["critic"] = context.optimizer_step(critic, optimizers["discriminator"])
        controls.p.add_(0.1 * scores.detach().sign().mean())
        losses["fooled"] = F.softplus(-discriminator(fake)).mean()
        context.optimizer_step(losses["fooled"], optimizers["generator"])
        return losses

    networks = {"generator": generator, "discriminator": discriminator, "controls": controls}
    state = training.init_state(networks, optimizers, ema=["generator"], scheduled=["betas"])
    return state, step, rows(N, 3)


def parted(options, make=None):
    """A network with dropout, channels-last, whose step computes its loss part by part."""
    torch.manual_seed(training.fold_in("weights", options.seed, 0))
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.GroupNorm(2, 8),
        nn.SiLU(),
        nn.Dropout(0.2),
        nn.Conv2d(8, 3, 3, padding=1),
    ).to(memory_format=torch.channels_last)
    network.unused = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW(network.parameters(), options.learning_rate, fused=True)

    def step(batch, context):
        losses = (
            F.mse_loss(network(batch[rows] + torch.randn(batch[rows].shape)), batch[rows])
            for rows in context.parts(len(batch))
        )
        return {"loss": context.optimizer_step(losses, optimizer)}

    state = training.init_state({"network": network}, {"network": optimizer})
    return state, step, rows(N, 3, 4, 4)


def parted_gan(options, make=None):
    """Two networks, updated in turn part by part, and a number to log besides their losses."""
    torch.manual_seed(training.fold_in("weights", options.seed, 0))
    generator = nn.Sequential(nn.Linear(2, 8), nn.SiLU(), nn.Dropout(0.1), nn.Linear(8, 3))
    discriminator = nn.Sequential(nn.Linear(3, 8), nn.SiLU(), nn.Linear(8, 1))
    rate = options.learning_rate
    optimizers = {
        "generator": torch.optim.Adam(generator.parameters(), rate, betas=(0.5, 0.9)),
        "discriminator": torch.optim.SGD(discriminator.parameters(), 4 * rate, momentum=0.9),
    }

    def step(real, context):
        drawn = torch.Generator().manual_seed(training.fold_in("z", options.seed, context.index))
        z = context.shard(torch.randn(options.batch_size, 2, generator=drawn))
        parts = context.parts(len(real))
        critic = (
            F.softplus(discriminator(generator(z[i]).detach())).mean()
            + F.softplus(-discriminator(real[i])).mean()
            for i in parts
        )
        fooled = (F.softplus(-discriminator(generator(z[i]))).mean() for i in parts)
        return {
            "critic": context.optimizer_step(critic, optimizers["discriminator"]),
            "fooled": context.optimizer_step(fooled, optimizers["generator"]),
            "spread": context.mean(generator(z[i]).std() for i in parts),
        }

    networks = {"generator": generator, "discriminator": discriminator}
    return training.init_state(networks, optimizers), step, rows(N, 3)


def judge(state):
    with torch.no_grad():
        fake = state.ema["generator"](rows(50, 2))
    return {"bias": float(fake.mean()), "distance": float((fake.mean(0) - 1).square().sum())}


KINDS = {each.__name__: each for each in (plain, gan, game, parted, parted_gan)}
HOOKS = {"game": {"batches": 2, "judge": judge, "best": ("distance", "min")}}


def run(kind, folder, *, make=None, wrap=None, accelerator=None, hooks=None, **options):
    """Train a toy; `wrap` gets its step and returns another."""
    defaults = {"batch_size": 8, "warmup": 3, "save_every": 5, "judge_every": 3}
    settings = training.TrainConfig(**{**defaults, **options})
    state, step, examples = KINDS[kind](settings, make)
    return training.train(
        state,
        wrap(step) if wrap else step,
        examples.__getitem__,
        len(examples),
        settings,
        folder,
        accelerator=accelerator or accelerate.Accelerator(cpu=True),
        **{**HOOKS.get(kind, {}), **(hooks or {})},
    )


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def arm(where, count):
    """Have this process die when it calls `where` for the `count`-th time; return `wrap`."""
    met = 0

    def here():
        nonlocal met
        met += 1
        if met == count:
            die()

    def step_then_die(step):
        def stepped(batch, context):
            losses = step(batch, context)
            here()
            return losses

        return stepped

    def before(module, name):
        inner = getattr(module, name)

        def called(*arguments):
            here()
            return inner(*arguments)

        setattr(module, name, called)

    if where == "step":
        return step_then_die
    before(*{"write": (files, "_bytes_of"), "save": (checkpoint, "save")}.get(where, (os, where)))
    return None


def forked(work):
    """Fork, and return the id of the process that does the work."""
    process = os.fork()
    if process:
        return process
    try:
        torch.set_num_threads(1)
        metrics_log.Throughput.EVERY = 0  # each step has its row
        work()
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        os._exit(1)
    os._exit(0)


def wait(process):
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def killed(case):
    """A run that is killed at a given point, and resumed."""
    begun = forked(lambda: run(**case["run"], wrap=arm(*case["kill"])))
    assert wait(begun) == -signal.SIGKILL
    assert wait(forked(lambda: run(**case["run"]))) == 0


def hunted(case):
    """A run that is killed several times, at random."""

    def slowly(step):
        def stepped(batch, context):
            time.sleep(0.005)
            return step(batch, context)

        return stepped

    for _ in range(case["times"]):
        begun = forked(lambda: run(**case["run"], wrap=slowly))
        time.sleep(random.uniform(0.01, 0.15))
        os.kill(begun, signal.SIGKILL)
        wait(begun)
    assert wait(forked(lambda: run(**case["run"]))) == 0


def undisturbed(case):
    assert wait(forked(lambda: run(**case["run"]))) == 0


def cramped(case):
    """A run on a disk where the second checkpoint does not fit."""

    def work():
        def full(step):
            def stepped(batch, context):
                if context.index == 7:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
                return step(batch, context)

            return stepped

        try:
            run(**case["run"], wrap=full)
        except OSError as error:
            Path(case["run"]["folder"], "error").write_text(str(error))

    assert wait(forked(work)) == 0


def together(case):
    """A run of several processes; each leaves its weights."""
    processes = case["processes"]

    def work(index):
        # torch's own distributed store warns that it listens on all interfaces.
        warnings.simplefilter("ignore")
        os.environ |= {
            "RANK": str(index),
            "LOCAL_RANK": str(index),
            "WORLD_SIZE": str(processes),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(case["port"]),
            "GLOO_SOCKET_IFNAME": "lo" if sys.platform == "linux" else "lo0",
        }

        def stop(step):
            def stepped(batch, context):
                if index == context.index == case.get("stop"):
                    os.kill(os.getpid(), signal.SIGINT)
                return step(batch, context)

            return stepped

        accelerator = accelerate.Accelerator(cpu=True)
        assert accelerator.num_processes == processes
        for _ in range(2):
            try:
                state = run(**case["run"], wrap=stop, accelerator=accelerator)
            except KeyboardInterrupt:
                continue
            break
        folder = Path(case["run"]["folder"])
        tensors = dict(checkpoint._weights(state))
        files.write(
            folder / f"rank{index}.safetensors", tensors, {}, kind="weights", what="the weights"
        )
        accelerator.end_training()

    codes = [wait(process) for process in [forked(lambda i=i: work(i)) for i in range(processes)]]
    assert codes == [0] * processes


def launched(case):
    """A run of processes that torchrun started: once, a process kills itself in a step."""
    torch.set_num_threads(1)
    metrics_log.Throughput.EVERY = 0
    warnings.simplefilter("ignore")
    rank, index = case["kill"]
    before = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0" and os.environ["RANK"] == str(rank)

    def killing(step):
        def stepped(batch, context):
            if before and context.index == index:
                Path(case["run"]["folder"], f"killed-at-{index}").touch()
                die()
            return step(batch, context)

        return stepped

    accelerator = accelerate.Accelerator(cpu=True)
    run(**case["run"], wrap=killing, accelerator=accelerator)
    accelerator.end_training()


if __name__ == "__main__":
    importlib.import_module("torch._dynamo")  # optimizers import it, which takes a second each time
    for case in json.loads(Path(sys.argv[1]).read_text()):
        globals()[case["how"]](case)
