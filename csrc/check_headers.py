"""Check that each header of csrc compiles alone, and all of them in any order at each level.

Usage: python csrc/check_headers.py [compiler]
"""

import os
import random
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CSRC = Path(__file__).resolve().parent
ORDERS = 2  # shuffled orders of all headers


def headers() -> list[str]:
    """Return the headers, without those of the bindings, which need Python's and pybind11's."""
    paths = [path.relative_to(CSRC) for pattern in ("*.hpp", "*.h") for path in CSRC.rglob(pattern)]
    return sorted(
        path.as_posix()
        for path in paths
        if path.parts[0] != "bindings" and path.name != "foreach_target.hpp"
    )


def sources(folder: Path) -> dict[str, Path]:
    """Write what is to be compiled to a folder; return the files by what they check."""
    texts = {f"{name} alone": f'#include "{name}"\n' for name in headers()}
    for seed in range(ORDERS):
        order = headers()
        random.Random(seed).shuffle(order)
        preamble = (
            "#undef UNSUP_TARGET_INCLUDE\n"
            f'#define UNSUP_TARGET_INCLUDE "{folder / str(len(texts))}.cpp"\n'
            '#include "simd/foreach_target.hpp"\n'
        )
        includes = "".join(f'#include "{name}"\n' for name in order)
        texts[f"all headers, order {seed}"] = preamble + includes
    files = {what: folder / f"{i}.cpp" for i, what in enumerate(texts)}
    for what, file in files.items():
        file.write_text(texts[what])
    return files


def main() -> int:
    """Compile all sources on all cores; print the errors and return 1 if there are any."""
    compiler = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("CXX", "c++")
    command = [compiler, "-std=c++17", "-fsyntax-only", "-Wno-psabi", "-I", str(CSRC)]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        files = sources(Path(folder))
        results = pool.map(
            lambda file: subprocess.run([*command, str(file)], capture_output=True, text=True),
            files.values(),
        )
        errors = [
            f"{what}:\n{result.stderr}"
            for what, result in zip(files, results, strict=True)
            if result.returncode != 0
        ]
    print("\n".join(errors) or f"{len(files)} checks of headers passed")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
