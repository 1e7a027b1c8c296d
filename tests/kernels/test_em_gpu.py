"""Triton kernels of em, compiled without a GPU; em_on_gpu.py holds what they compute."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from unsup_fast.kernels.em import em, triton_, triton_densities, triton_moments  # noqa: E402
from unsup_fast.kernels.em.triton_tiles import in_one, precision, tiles  # noqa: E402

SHARED = {80: 163 << 10, 90: 227 << 10}  # bytes that a block may have, by compute capability
OWN = ("x", "scale", "high", "low", "factors", "offsets", "weight", "work", "norms", "log_prob")
OWN += ("y", "least", "resp", "shares")
SUMS = ("constant", "likelihood", "totals", "resp_sums", "sums", "second")
every_capability = pytest.mark.parametrize("capability", SHARED)
every_itemsize = pytest.mark.parametrize("itemsize", [4, 8])
every_size = pytest.mark.parametrize(("itemsize", "d"), [(4, 8), (4, 32), (4, 100), (8, 100)])


def test_tensors_on_the_cpu_are_refused():
    one = torch.ones(1, dtype=torch.float64)
    with pytest.raises(TypeError, match=r"X is a tensor on device 'cpu'; pass a CUDA tensor or X"):
        em(torch.ones((3, 1)), one, one[:, None], one[:, None, None])


def fits(compiled, capability, kernel, itemsize, constants, warps, **others):
    """Compile for any N, D and K; fail if registers spill."""
    types = dict.fromkeys(("first", "from_", "count", "chunk", "k", "d"), "i32")
    types |= {f"{name}_ptr": {4: "*fp32", 8: "*fp64"}[itemsize] for name in OWN}
    types |= {f"{name}_ptr": "*fp64" for name in SUMS} | {"labels_ptr": "*i32"} | others
    options = {"num_warps": warps, "num_stages": 2, "enable_fp_fusion": True}
    binary = compiled(capability, kernel, types, constants, **options)
    assert binary.stack == 0, "registers spill"
    assert binary.shared <= SHARED[capability]
    return binary


def products(tile, itemsize):
    sizes = {"PRECISION": precision(itemsize), "BN": tile.rows, "BD": tile.columns}
    return sizes | {"BI": tile.summed} if tile.summed else sizes


WANTED = {"WEIGHTED": True, "KEEP": True, "LOG_PROB": True, "LABELS": True}


@every_capability
@every_size
def test_densities_run_on_tensor_cores(compiled, capability, itemsize, d):
    tile = tiles("densities_full", d, itemsize)
    constants = products(tile, itemsize) | WANTED | {"ONE": in_one(tile.columns, d)}
    kernel = triton_densities.densities_full
    binary = fits(compiled, capability, kernel, itemsize, constants, tile.warps)
    wide = capability == 90 and itemsize == 4
    assert ("wgmma.mma_async" if wide else "mma.sync") in binary.ptx
    if d == 100:
        constants = products(tile, itemsize)
        fits(compiled, capability, triton_densities.project, itemsize, constants, tile.warps)


@every_capability
@every_itemsize
def test_densities_with_diagonal_factors(compiled, capability, itemsize):
    tile = tiles("densities_plain", 100, itemsize)
    constants = WANTED | {"BN": tile.rows, "BK": tile.components, "BD": tile.columns}
    for diag in (True, False):
        kernel, constants = triton_densities.densities_plain, constants | {"DIAG": diag}
        fits(compiled, capability, kernel, itemsize, constants, tile.warps)


@every_capability
@every_size
def test_moments(compiled, capability, itemsize, d):
    kernel = triton_moments.moments_full
    tile = tiles("moments_full", d, itemsize)
    binary = fits(compiled, capability, kernel, itemsize, products(tile, itemsize), tile.warps)
    assert "mma" in binary.ptx
    if itemsize == 4:
        tile = tiles("moments_full", d, 8)
        others = {"shares_ptr": "*fp64"}
        fits(compiled, capability, kernel, 4, products(tile, 8), tile.warps, **others)
    tile = tiles("moments_plain", d, itemsize)
    constants = {"SECOND": True, "BN": tile.rows, "BK": tile.components, "BD": tile.columns}
    fits(compiled, capability, triton_moments.moments_plain, itemsize, constants, tile.warps)


@every_capability
@every_itemsize
def test_shares(compiled, capability, itemsize):
    constants = {"SOURCE": "log", "WEIGHTED": True, "RESP": True, "TOTALS": True}
    constants |= dict(zip(("BN", "BK"), triton_.SHARES, strict=True))
    fits(compiled, capability, triton_moments.shares, itemsize, constants, 4)


def test_products_of_three_parts_err_by_no_more_than_stated():
    # What the interpreter cannot show: tf32 keeps 11 bits, rounded for h, cut for l.
    def tf32(x, carry):
        return ((x.view(np.uint32) + carry) & np.uint32(0xFFFFE000)).view(np.float32)

    def parts(x):
        high = tf32(x, np.uint32(0x1000))
        return high.astype(np.float64), tf32(x - high, np.uint32(0)).astype(np.float64)

    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(2, 100000)) * 2.0 ** rng.integers(-9, 9, (2, 100000))).astype("f4")
    (a_high, a_low), (b_high, b_low) = parts(a), parts(b)
    product = a_high * b_high + a_high * b_low + a_low * b_high
    truth = a.astype(np.float64) * b
    assert (np.abs(product - truth) <= 20 * 2.0**-24 * np.abs(truth)).all()
