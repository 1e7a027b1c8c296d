"""Property tests draw the same cases in every CI run; elsewhere they go on looking for new ones.

None has a deadline: on a busy machine a case may take any time.
"""

import faulthandler
import os
import pickle
import re
import select
import signal
import subprocess
import warnings
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings

if "PYTEST_XDIST_WORKER" in os.environ:  # processes share the cores: threads only add waiting
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell's background jobs are born deaf to Ctrl-C, and so would be what the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
untimed = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("default", **untimed)
settings.register_profile("ci", derandomize=True, **untimed)
settings.load_profile("ci" if os.environ.get("CI") else "default")


class Compiled(NamedTuple):
    """What a kernel takes of a GPU."""

    registers: int
    stack: int  # bytes that a thread spills
    shared: int
    ptx: str


def _fork(run, seconds=60):
    """Return `run()` of a forked child, or the exception that it raised."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: threads and fork
        child = os.fork()
    if child == 0:
        faulthandler.disable()
        try:
            result = run()
        except BaseException as error:
            result = error
        with os.fdopen(writing, "wb") as file:
            pickle.dump(result, file)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        if not select.select([file], [], [], seconds)[0]:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise TimeoutError(f"the child hung for {seconds} s")
        sent = file.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != 0:
        raise ChildProcessError(f"the child ended with status {status}")
    return pickle.loads(sent)


@pytest.fixture
def in_child():
    """Return a function that runs another in a forked child and returns its result."""
    return _fork


@pytest.fixture
def compiled(tmp_path):
    """Return a function that compiles a Triton kernel for aligned pointers and any D."""
    triton = pytest.importorskip("triton")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    def compile_for(capability, kernel, types, constants, **options):
        signature = {
            name: "constexpr" if name in constants else types[name] for name in kernel.arg_names
        }
        aligned = {
            (i,): [["tt.divisibility", 16]]
            for i, name in enumerate(signature)
            if signature[name].startswith("*") or name == "width"
        }
        compiled = triton.compile(
            ASTSource(kernel, signature=signature, constexprs=constants, attrs=aligned),
            target=GPUTarget("cuda", capability, 32),
            options=options,
        )
        binary = tmp_path / "kernel.cubin"
        binary.write_bytes(compiled.asm["cubin"])
        usage = subprocess.run(
            [triton.knobs.nvidia.cuobjdump.path, "--dump-resource-usage", binary],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        registers, stack = (int(re.search(rf"{what}:(\d+)", usage)[1]) for what in ("REG", "STACK"))
        return Compiled(registers, stack, compiled.metadata.shared, compiled.asm["ptx"])

    return compile_for


@pytest.fixture(scope="session")
def inception_file(tmp_path_factory):
    """Return a file of random weights with the names and shapes of the one that FID is taken from.

    They are scaled so that all layers pass on something of the size of one.
    """
    torch = pytest.importorskip("torch")
    from unsup_fast.metrics._network import Network

    random = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in Network().state_dict().items()}

    def draw(name, shape):
        if name.endswith("num_batches_tracked"):
            return torch.tensor(7)
        if name.endswith("running_var"):
            return 0.5 + torch.rand(shape, generator=random)
        normal = torch.randn(shape, generator=random)
        if len(shape) > 1:
            return normal * (2 / shape[1:].numel()) ** 0.5
        return 0.1 * normal + (1.0 if name.endswith("bn.weight") else 0.0)

    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save({name: draw(name, shape) for name, shape in shapes.items()}, path)
    return path
