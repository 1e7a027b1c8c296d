"""Build of the compiled modules; everything else is in pyproject.toml."""

import glob
import os
import sys
import tempfile

from pybind11.setup_helpers import Pybind11Extension
from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext  # Cython's, where there is a .pyx


class BuildExt(build_ext):
    """Adds OpenMP where the compiler has it; without it the module runs in one thread."""

    def build_extensions(self):
        compile_args, link_args = self._openmp()
        for extension in self.extensions:
            extension.extra_compile_args += compile_args
            extension.extra_link_args += link_args
        super().build_extensions()

    def _openmp(self):
        if sys.platform == "darwin":
            compile_args, link_args = ["-Xpreprocessor", "-fopenmp"], ["-lomp"]
        else:
            compile_args, link_args = ["-fopenmp"], ["-fopenmp"]
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "probe.cpp")
            with open(source, "w") as file:
                file.write("#include <omp.h>\nint main() { return omp_get_max_threads() < 1; }\n")
            try:
                objects = self.compiler.compile([source], folder, extra_postargs=compile_args)
                self.compiler.link_executable(
                    objects, "probe", output_dir=folder, extra_postargs=link_args
                )
            except Exception as error:
                print(f"warning: no OpenMP ({error}); building for one thread", file=sys.stderr)
                return [], []
        return compile_args, link_args


native = Pybind11Extension(
    "unsup_fast.kernels._native",
    sorted([*glob.glob("csrc/*.cpp"), *glob.glob("csrc/bindings/*.cpp")]),
    depends=sorted([*glob.glob("csrc/**/*.hpp", recursive=True), *glob.glob("csrc/*-inl.h")]),
    include_dirs=["csrc"],
    cxx_std=17,
    # Baseline flags only: isa_*.cpp raise the instruction set by pragma, after the system headers.
    extra_compile_args=["-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]
    + ([] if sys.platform == "darwin" else ["-Wno-psabi"]),
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
    cmdclass={"build_ext": BuildExt},
)
