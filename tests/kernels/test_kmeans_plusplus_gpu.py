"""Triton kernels of kmeans_plusplus, compiled without a GPU (their results: its on_gpu file)."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from unsup_fast.kernels.kmeans_plusplus import triton_  # noqa: E402


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("itemsize", [4, 8])
def test_no_register_spills(compiled, capability, itemsize):
    types = dict.fromkeys(("n", "d", "trials", "blocks", "first"), "i32")
    types |= dict.fromkeys(("sums_ptr", "uniforms_ptr"), "*fp64") | {"candidates_ptr": "*i64"}
    own = ("x_ptr", "closest_ptr", "weight_ptr", "distances_ptr")
    types |= dict.fromkeys(own, {4: "*fp32", 8: "*fp64"}[itemsize])
    rows, columns = triton_.tiles(100, itemsize)
    scored = {"CLOSEST": True, "WEIGHTED": True, "T": 16, "BN": rows, "BD": columns}
    scored |= {"ROWS": triton_.ROWS}
    picked = {"WEIGHTED": True, "ROWS": triton_.ROWS, "BLOCKS": triton_.BLOCKS}
    for kernel, constants, warps in ((triton_.score, scored, 4), (triton_.pick, picked, 8)):
        options = {"num_warps": warps, "enable_fp_fusion": False}
        binary = compiled(capability, kernel, types, constants, **options)
        assert binary.stack == 0
        assert binary.shared <= 48 << 10
