"""Build of the compiled modules; everything else is in pyproject.toml."""

import os
import sys
import sysconfig
from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext  # Cython's, where there is a .pyx


def is_stale(obj: str, source: str) -> bool:
    """Return whether a file of the tree that an object was compiled from is newer than it."""
    listing = Path(obj).with_suffix(".d")  # written by the compiler: -MMD
    if not listing.exists():
        return True
    files = listing.read_text(encoding="utf-8").replace("\\\n", " ").split()[1:]
    # pybind11's headers have another path in each isolated build.
    ours = [name for name in files if not os.path.isabs(name)]
    compiled = os.stat(obj).st_mtime
    return any(
        not os.path.exists(name) or os.stat(name).st_mtime > compiled
        for name in ("setup.py", "pyproject.toml", source, *ours)
    )


class BuildExt(build_ext):
    """Keep objects in build/ in editable installs too, so that the next build uses them again."""

    def finalize_options(self) -> None:
        """Set the folder of objects, unless the command line does."""
        chosen = self.build_temp
        super().finalize_options()
        if chosen is None:
            platform = f"{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
            self.build_temp = os.path.join("build", f"temp.{platform}")


native = Pybind11Extension(
    "unsup_fast.kernels._native",
    sorted(str(path) for path in Path("csrc").glob("*/*.cpp")),
    depends=sorted(str(path) for path in Path("csrc").rglob("*.h*")),
    include_dirs=["csrc"],
    cxx_std=17,
    # Baseline flags only: simd/target-inl.h raises the instruction set by pragma.
    extra_compile_args=[
        "-O3",
        "-fno-math-errno",
        "-fno-trapping-math",
        "-ffp-contract=fast",
        "-MMD",
    ]
    + ([] if sys.platform == "darwin" else ["-pthread", "-Wno-psabi"]),
    extra_link_args=[] if sys.platform == "darwin" else ["-pthread"],
)

lapack = [
    Extension(
        f"unsup_fast.kernels.{op}._lapack",
        [f"kernels/{op}/_lapack.pyx"],
        extra_compile_args=["-O3", "-g0"],
    )
    for op in ("eigh", "sqrtm")
]
for extension in lapack:
    extension.cython_c_in_temp = True

kernels = ["unsup_fast.kernels", *(f"unsup_fast.kernels.{p}" for p in find_packages("kernels"))]
ParallelCompile("MAX_JOBS", needs_recompile=is_stale).install()
setup(
    packages=[*find_packages(include=["unsup_fast", "unsup_fast.*"]), *kernels],
    package_dir={"unsup_fast.kernels": "kernels"},
    ext_modules=[native, *lapack],
    cmdclass={"build_ext": BuildExt},
)
