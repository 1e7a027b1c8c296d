"""Triton kernels of randn, compiled without a GPU; randn_on_gpu.py holds what they compute."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from unsup_fast.kernels.randn import triton_  # noqa: E402


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("channels_last", [False, True], ids=["row-major", "channels-last"])
@pytest.mark.parametrize("element", ["fp32", "fp64"])
def test_no_register_spills(compiled, capability, element, channels_last):
    groups, block = triton_.TILE if channels_last else (triton_.GROUPS, 1)
    types = dict.fromkeys(("seed", "stream", "first", "channels", "positions"), "i64")
    types |= {"tiles": "i32", "out_ptr": f"*{element}", "seeds_ptr": "*i64"}
    constants = {"SEEDED": True, "WIDE": element == "fp64", "CHANNELS_LAST": channels_last}
    constants["ALIGNED"] = False
    constants |= {"BG": groups, "BC": block}
    options = {"num_warps": triton_.WARPS, "enable_fp_fusion": True}
    binary = compiled(capability, triton_.draw, types, constants, **options)
    assert binary.stack == 0, "registers spill"
