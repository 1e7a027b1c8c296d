"""Build of the compiled modules; everything else is in pyproject.toml."""

import os
import sys
import sysconfig
from collections.abc import Callable, Sequence
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


class Compile(ParallelCompile):
    """Compile files of csrc on all cores: the largest folders first, so that all end together.

    The bindings, which convert and call, come last and with less optimisation.
    """

    def function(self) -> Callable[..., list[str]]:
        """Return what replaces `compile` of distutils' compilers."""
        compile_all = super().function()

        def compile_in_order(
            compiler: object, sources: list[str], extra_postargs: Sequence[str] = (), **rest: object
        ) -> list[str]:
            sources = sorted(sources, key=weight, reverse=True)
            kernels = [name for name in sources if not is_binding(name)]
            bindings = [name for name in sources if is_binding(name)]
            objects = compile_all(compiler, kernels, extra_postargs=[*extra_postargs], **rest)
            flags = [*extra_postargs, "-O1"]
            return objects + compile_all(compiler, bindings, extra_postargs=flags, **rest)

        return compile_in_order


def is_binding(source: str) -> bool:
    """Return whether a file converts and calls, and computes nothing."""
    return Path(source).parts[:2] == ("csrc", "bindings")


def weight(source: str) -> int:
    """Return how large the files next to one are: about as long as it takes to compile."""
    return sum(path.stat().st_size for path in Path(source).parent.iterdir())


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
    sorted(
        str(path)
        for path in Path("csrc").glob("**/*.cpp")
        if path.parent.name != "bindings"  # these are included by bindings/units
    ),
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
        extra_compile_args=["-O1", "-g0", "-MMD"],
    )
    for op in ("eigh", "sqrtm")
]
for extension in lapack:
    extension.cython_c_in_temp = True

kernels = ["unsup_fast.kernels", *(f"unsup_fast.kernels.{p}" for p in find_packages("kernels"))]
Compile("MAX_JOBS", needs_recompile=is_stale).install()
setup(
    packages=[*find_packages(include=["unsup_fast", "unsup_fast.*"]), *kernels],
    package_dir={"unsup_fast.kernels": "kernels"},
    ext_modules=[native, *lapack],
    cmdclass={"build_ext": BuildExt},
)
