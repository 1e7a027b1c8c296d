"""Build of the compiled modules; everything else is in pyproject.toml.

Where they cannot be compiled the package is installed without them, with a warning; with
UNSUP_FAST_REQUIRE_NATIVE=1 that is an error.
"""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext  # Cython's, where there is a .pyx

OPTIONAL = os.environ.get("UNSUP_FAST_REQUIRE_NATIVE", "0") == "0"
WARNING = """
WARNING: unsup_fast is installed WITHOUT its compiled modules, which could not be built:
{reasons}
Portable implementations (Numba, NumPy, SciPy) take their place; they are slower. If there is no
C++17 compiler, install one and reinstall; an error of the compiler above is a bug to report.
"""


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
    """Keep objects in build/ in editable installs too, so that the next build uses them again.

    What could not be compiled, and why, is said at the end.
    """

    reasons: dict[str, str]

    def finalize_options(self) -> None:
        """Set the folder of objects, unless the command line does."""
        chosen = self.build_temp
        super().finalize_options()
        if chosen is None:
            platform = f"{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
            self.build_temp = os.path.join("build", f"temp.{platform}")

    def build_extensions(self) -> None:
        """Build what can be built."""
        self.reasons = {}
        super().build_extensions()
        if self.reasons:
            reasons = "\n".join(f"* {name}: {why}" for name, why in self.reasons.items())
            print(WARNING.format(reasons=reasons), file=sys.stderr)

    def build_extension(self, extension: Extension) -> None:
        """Build one, or remove what an earlier build left of it."""
        try:
            super().build_extension(extension)
        except Exception as error:
            self.reasons[extension.name] = reason(error)
            Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)
            raise


def reason(error: BaseException) -> str:
    """Return an error of the build, with the first lines that its command writes."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, subprocess.CalledProcessError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return str(error)
    again = subprocess.run(cause.cmd, capture_output=True, text=True, errors="replace")
    lines = (again.stderr or again.stdout).splitlines()[:20]
    return "\n".join((str(error), *lines))


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
    optional=OPTIONAL,
)

lapack = [
    Extension(
        f"unsup_fast.kernels.{op}._lapack",
        [f"kernels/{op}/_lapack.pyx"],
        extra_compile_args=["-O1", "-g0", "-MMD"],
        optional=OPTIONAL,
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
