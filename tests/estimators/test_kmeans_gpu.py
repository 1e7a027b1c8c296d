"""Devices that do not exist; kmeans_on_gpu.py tests what a GPU computes."""

import numpy as np
import pytest

from unsup_fast.cluster import KMeans

pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("device", "reason"),
    [("cuda:99", r"PyTorch finds \d+ CUDA GPUs"), ("tpu", "neither 'cpu' nor 'cuda'")],
)
def test_a_device_that_is_not_there(device, reason):
    X = np.ones((4, 2))
    with pytest.raises(ValueError, match=f"device='{device}' is not available: .*{reason}; pass"):
        KMeans(2, device=device).fit(X)
