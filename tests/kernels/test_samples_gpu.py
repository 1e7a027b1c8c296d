"""Triton kernels of noise and denoise, compiled without a GPU.

noise_on_gpu.py and denoise_on_gpu.py hold what they compute.
"""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from unsup_fast.kernels.denoise import triton_ as denoise  # noqa: E402
from unsup_fast.kernels.noise import triton_ as noise  # noqa: E402

NUMBERS = ("n", "channels", "positions")


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize(("element", "last"), [("fp32", False), ("bf16", True), ("fp64", True)])
def test_no_register_spills(compiled, capability, element, last):
    wide = element == "fp64"
    types = dict.fromkeys(NUMBERS, "i32") | dict.fromkeys(("seed", "stream"), "i64")
    types |= dict.fromkeys(("row_ptr", "signal_ptr", "sigma_ptr"), "*fp64")
    types |= {"seeds_ptr": "*i64", "bounds_ptr": "*fp64" if wide else "*fp32"}
    launch = {"num_warps": 4, "enable_fp_fusion": True}
    common = {"FOREIGN": 0, "LAST": last, "ALIGNED": True, "WIDE": wide}
    for kernel, options, absent in (
        (noise.add, {"TARGET": 2, "BLOCK": noise.BLOCK // (1 + wide)}, ("eps_ptr",)),
        (
            denoise.step,
            {"DRAWN": True, "BLOCK": denoise.BLOCK // (1 + wide)},
            ("noise_ptr", "bounds_ptr"),
        ),
    ):
        own = {name: f"*{element}" for name in kernel.arg_names if name.endswith("_ptr")}
        constants = common | options | dict.fromkeys(absent)
        assert compiled(capability, kernel, own | types, constants, **launch).stack == 0
