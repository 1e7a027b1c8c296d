"""Instructions of processors that this machine is not: built for them, run by QEMU.

Needs a cross compiler and an emulator: ``apt install g++-12-aarch64-linux-gnu qemu-user-static``.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CSRC = HERE.parents[1] / "csrc"
COMPILERS = ("aarch64-linux-gnu-g++", "aarch64-linux-gnu-g++-12", "aarch64-linux-gnu-g++-13")
EMULATORS = ("qemu-aarch64-static", "qemu-aarch64")
FLAGS = "-std=c++17 -O2 -fno-math-errno -fno-trapping-math -ffp-contract=fast -pthread -static"


def first_of(programs):
    path = next(filter(None, map(shutil.which, programs)), None)
    if path is None:
        pytest.skip(f"none of {', '.join(programs)} is installed")
    return path


def check(program, names, products, folder):
    """Build a program with the files of csrc that it needs for Armv8, and run it."""
    compiler, emulator = first_of(COMPILERS), first_of(EMULATORS)
    files = [HERE / f"{program}.cpp", HERE / "base_level.cpp", *(CSRC / name for name in names)]
    built = folder / program
    subprocess.run([compiler, *FLAGS.split(), f"-I{CSRC}", *files, "-o", built], check=True)
    for count in products:
        environment = {**os.environ, "BYTE_PRODUCTS": count}
        ran = subprocess.run([emulator, built], env=environment, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout
        assert re.fullmatch(rf"base, {count} products: 0 of \d+ wrong\n", ran.stdout), ran.stdout


@pytest.mark.timeout(600)
def test_bytes_of_armv8_prune_as_the_dense_pass_labels(tmp_path):
    names = ("prune/prune.cpp", "assign/assign.cpp", "parallel/pool.cpp", "memory/mapped.cpp")
    check("check_prune", names, ("1", "4"), tmp_path)


@pytest.mark.timeout(600)
def test_bits_and_their_likelihood_on_armv8(tmp_path):
    check("check_bernoulli", ("bernoulli/bernoulli.cpp", "parallel/pool.cpp"), ("1",), tmp_path)


@pytest.mark.timeout(600)
def test_bias_and_activation_on_armv8(tmp_path):
    check("check_bias_act", ("bias_act/bias_act.cpp", "parallel/pool.cpp"), ("1",), tmp_path)
