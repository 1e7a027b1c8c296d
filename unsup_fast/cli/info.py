"""`unsup-fast info`: this build, this machine, and the optional packages."""

import os
import platform
from importlib import metadata

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "triton", "pyarrow")


def facts() -> dict[str, str]:
    """Return what is known of the installation, by the names that `show` prints."""
    from unsup_fast.kernels import _native, threads

    available = ", ".join(_native.simd_levels())
    origin = "from UNSUP_FAST_SIMD" if os.environ.get("UNSUP_FAST_SIMD") else "the best of them"
    return {
        "unsup_fast": version("unsup-fast"),
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "SIMD level": f"{_native.simd()} ({origin}; this machine has {available})",
        "threads": f"{threads.effective(None)} (OMP_NUM_THREADS or the CPUs: "
        f"{_native.max_threads()})",
        **{name: version(name) for name in PACKAGES},
        "GPU": _gpu(),
    }


def version(distribution: str) -> str:
    """Return the installed version of a distribution, or "not installed"."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def show() -> str:
    """Return the facts as aligned lines."""
    values = facts()
    width = max(map(len, values))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in values.items())


def _gpu() -> str:
    try:
        import torch
    except ImportError:
        return "not looked for (torch is not installed)"
    if not torch.cuda.is_available():
        return "none found"
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return ", ".join(names)
