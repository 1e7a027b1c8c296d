"""Build of the compiled modules; everything else is in pyproject.toml."""

import glob
import sys

from pybind11.setup_helpers import Pybind11Extension
from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext  # Cython's, where there is a .pyx

native = Pybind11Extension(
    "unsup_fast.kernels._native",
    sorted([*glob.glob("csrc/*.cpp"), *glob.glob("csrc/bindings/*.cpp")]),
    depends=sorted([*glob.glob("csrc/**/*.hpp", recursive=True), *glob.glob("csrc/*-inl.h")]),
    include_dirs=["csrc"],
    cxx_std=17,
    # Baseline flags only: isa_*.cpp raise the instruction set by pragma, after the system headers.
    extra_compile_args=["-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]
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
setup(
    packages=[*find_packages(include=["unsup_fast", "unsup_fast.*"]), *kernels],
    package_dir={"unsup_fast.kernels": "kernels"},
    ext_modules=[native, *lapack],
    cmdclass={"build_ext": build_ext},
)
