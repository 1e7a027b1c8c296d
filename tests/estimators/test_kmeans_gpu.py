"""k-means on a GPU: interpreted, and run on one if there is one."""

from pathlib import Path

import numpy as np
import pytest

from unsup_fast.cluster import KMeans

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

CASES = Path(__file__).with_name("kmeans_on_gpu.py")


def test_interpreted(run_cases):
    run_cases(CASES, interpret=True)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_on_the_gpu(run_cases):
    run_cases(CASES, interpret=False)


@pytest.mark.parametrize(
    ("device", "reason"),
    [("cuda:99", r"PyTorch finds \d+ CUDA GPUs"), ("tpu", "neither 'cpu' nor 'cuda'")],
)
def test_a_device_that_is_not_there(device, reason):
    X = np.ones((4, 2))
    with pytest.raises(ValueError, match=f"device='{device}' is not available: .*{reason}; pass"):
        KMeans(2, device=device).fit(X)
