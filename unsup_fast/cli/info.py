"""`unsup-fast info`: this build, this machine, and the optional packages."""

import os
import platform
from importlib import metadata

PACKAGES = ("numpy", "scipy", "scikit-learn", "numba", "torch", "triton", "pyarrow")
RIVALS = (  # what the benchmarks time
    "scikit-learn",
    "scikit-learn-intelex",
    "faiss-cpu",
    "superkmeans",
    "flash-kmeans",
    "flashlib",
    "torch",
    "diffusers",
)
LEVELS = {  # what x86-64 processors need for a level
    "v3": "AVX2, FMA, BMI2 and F16C",
    "v4": "AVX-512 F, BW, CD, DQ and VL",
}
VNNI, DOT = "AVX-512 VNNI at level v4, or AVX-VNNI", "the dot product of Armv8.2"
MISSING = "not installed"


def facts() -> dict[str, str]:
    """Return what is known of the installation, by the names that `show` prints."""
    from unsup_fast.kernels import _dispatch, threads

    return {
        "unsup_fast": version("unsup-fast"),
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "backend": _dispatch.describe(),
        "SIMD level": _level(),
        "to be faster": faster() or "nothing is missing",
        "threads": f"{threads.effective(None)} (OMP_NUM_THREADS or the CPUs: {threads.allowed()})",
        **{name: version(name) for name in PACKAGES},
        "GPU": _gpu(),
        "rivals": rivals(),
    }


def faster() -> str:
    """Return what the processor, or the environment, lacks for faster kernels; "" if nothing."""
    from unsup_fast.kernels import _dispatch

    if _dispatch.missing() is not None:
        return f"the compiled part: {_dispatch.REMEDY}"
    module = _dispatch.compiled()
    available, on_x86 = module.simd_levels(), platform.machine().lower() in ("x86_64", "amd64")
    lacks = [f"{name} needs {LEVELS[name]}" for name in LEVELS if on_x86 and name not in available]
    if module.simd() != available[-1]:
        lacks.append(f"{available[-1]} needs UNSUP_FAST_SIMD to be unset")
    if module.byte_products() < 4:
        lacks.append(f"sums of four products of bytes need {VNNI if on_x86 else DOT}")
    return "; ".join(lacks)


def rivals() -> str:
    """Return the libraries that the benchmarks compare with: versions, and what is missing."""
    versions = {name: version(name) for name in RIVALS}
    installed = [f"{name} {text}" for name, text in versions.items() if text != MISSING]
    missing = [name for name, text in versions.items() if text == MISSING]
    lists = [", ".join(installed)] if installed else []
    return "; ".join(lists + ([f"{MISSING}: {', '.join(missing)}"] if missing else []))


def version(distribution: str) -> str:
    """Return the installed version of a distribution, or "not installed"."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return MISSING


def show() -> str:
    """Return the facts as aligned lines."""
    values = facts()
    width = max(map(len, values))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in values.items())


def _level() -> str:
    from unsup_fast.kernels import _dispatch

    if _dispatch.missing() is not None:
        return "chosen by Numba"
    module = _dispatch.compiled()
    available = ", ".join(module.simd_levels())
    origin = "from UNSUP_FAST_SIMD" if os.environ.get("UNSUP_FAST_SIMD") else "the best of them"
    return f"{module.simd()} ({origin}; this machine has {available})"


def _gpu() -> str:
    try:
        import torch
    except ImportError:
        return "not looked for (torch is not installed)"
    if not torch.cuda.is_available():
        return "none found"
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return ", ".join(names)
