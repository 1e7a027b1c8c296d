"""Triton kernels of assign, compiled without a GPU; assign_on_gpu.py holds what they compute."""

import re

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from unsup_fast.kernels.assign import triton_, triton_scores, triton_sums  # noqa: E402

SHARED = {80: 163 << 10, 90: 227 << 10}  # bytes that a block may have, by compute capability
TYPES = {4: "*fp32", 8: "*fp64"}


def test_tensors_on_the_cpu_are_refused():
    from unsup_fast.kernels.assign import assign

    with pytest.raises(TypeError, match=r"X is a tensor on device 'cpu'; pass a CUDA tensor or X"):
        assign(torch.ones((3, 2)), torch.ones((2, 2)))


def types(itemsize):
    """Return the type of each argument that is not a pointer to a value of X's type."""
    others = dict.fromkeys(("n", "k", "d", "width", "first", "last", "fresh"), "i32")
    others |= dict.fromkeys(("high_ptr", "low_ptr", "c_high_ptr"), "*bf16")
    others |= dict.fromkeys(("limits_ptr", "list_ptr", "labels_ptr", "doubtful_ptr"), "*i32")
    others |= dict.fromkeys(("nearest_ptr",), "*i32")
    others |= dict.fromkeys(("list_length_ptr", "n_doubtful_ptr", "n_changed_ptr"), "*i64")
    others |= dict.fromkeys(("sums_ptr", "weights_ptr"), "*i64")
    others |= dict.fromkeys(("quanta_ptr", "weight_quanta_ptr", "inertia_ptr"), "*fp64")
    others |= {"lengths_ptr": "*fp32"}
    own = ("x", "shift", "scale", "rows", "centers", "half", "weight", "distances")
    return others | {f"{name}_ptr": TYPES[itemsize] for name in own}


def fits(binary, capability):
    assert binary.stack == 0, "registers spill"
    assert binary.shared <= SHARED[capability]
    return binary


@pytest.mark.parametrize("capability", SHARED)
@pytest.mark.parametrize("d", [64, 256, 784])
def test_packed_scores_run_on_tensor_cores(compiled, capability, d):
    tile = triton_.tiles_packed(d, SHARED[capability])
    constants = {
        "CERTIFY": True,
        "ONE": tile.columns >= d,
        "BN": tile.rows,
        "BK": tile.centroids,
        "BD": tile.columns,
    }
    binary = fits(
        compiled(
            capability,
            triton_scores.nearest_packed,
            types(4),
            constants,
            num_warps=tile.warps,
            num_stages=tile.stages,
            enable_fp_fusion=True,
        ),
        capability,
    )
    assert ("wgmma.mma_async" if capability == 90 else "mma.sync") in binary.ptx


@pytest.mark.parametrize("capability", SHARED)
@pytest.mark.parametrize(
    ("mode", "itemsize"), [("bf16x3", 4), ("tf32", 4), ("exact", 4), ("exact", 8)]
)
def test_scores_in_higher_precision(compiled, capability, mode, itemsize):
    tile = triton_.tiles(mode, 100, itemsize)
    constants = {
        "MODE": mode,
        "SHIFTED": True,
        "LISTED": mode != "tf32",
        "BN": tile.rows,
        "BK": tile.centroids,
        "BD": tile.columns,
    }
    if mode != "bf16x3":
        constants |= {"doubtful_ptr": None, "n_doubtful_ptr": None}
    if mode == "tf32":
        constants |= {"list_ptr": None, "list_length_ptr": None, "lengths_ptr": None}
    fits(
        compiled(
            capability,
            triton_scores.nearest,
            types(itemsize),
            constants,
            num_warps=tile.warps,
            num_stages=tile.stages,
            enable_fp_fusion=True,
        ),
        capability,
    )


@pytest.mark.parametrize("capability", SHARED)
@pytest.mark.parametrize("itemsize", [4, 8])
def test_sums(compiled, capability, itemsize):
    constants = {
        "SHIFTED": True,
        "WEIGHTED": True,
        "UPDATE": True,
        "MEASURE": True,
        "DISTANCES": True,
        "LIMBS": itemsize // 4,
        "BN": triton_.block_rows(100, itemsize),
        "BD": triton_.columns_at_once(100),
    }
    binary = compiled(
        capability,
        triton_sums.total,
        types(itemsize),
        constants,
        num_warps=8,
        enable_fp_fusion=False,
    )
    fits(binary, capability)
    assert re.search(r"(red|atom)\..*\.add\.u64", binary.ptx)


@pytest.mark.parametrize("capability", SHARED)
def test_preparation(compiled, capability):
    constants = {"SHIFTED": True, "BD": triton_.columns_at_once(100)}
    options = {"num_warps": 4, "enable_fp_fusion": False}
    for kernel, size in ((triton_scores.pack, {"BN": 32}), (triton_scores.prepare, {"BK": 16})):
        fits(compiled(capability, kernel, types(8), constants | size, **options), capability)
