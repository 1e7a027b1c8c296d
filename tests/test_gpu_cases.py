"""Cases for Triton's interpreter and a GPU: each file of them in a process of its own.

Triton decides as it is imported whether it interprets. Interpreted, `DEVICE` of a file is "cpu".
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

CASES = sorted(Path(__file__).parent.rglob("*_on_gpu.py"))
every_file = pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)


def run(cases, environment):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(cases)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@every_file
def test_interpreted(cases):
    run(cases, {**os.environ, "TRITON_INTERPRET": "1"})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
@every_file
def test_on_the_gpu(cases):
    run(cases, None)
