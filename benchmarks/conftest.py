"""Benchmark options; each run writes a CSV with machine, versions and commit, and a chart."""

import csv
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

LIBRARIES = {
    "cpu": [
        "numpy",
        "scipy",
        "scikit-learn",
        "scikit-learn-intelex",
        "numba",
        "torch",
        "faiss-cpu",
        "superkmeans",
        "diffusers",
    ],
    "cuda": ["torch", "triton", "flash-kmeans", "flashlib", "diffusers"],
}
ON_BOTH = (
    "bench_randn",
    "bench_denoise",
    "bench_noise",
    "bench_sampling",
    "bench_sqrtm",
    "bench_upfirdn",
)
SHARES = {  # column of the chart: what it is a share of
    "of_sgemm": "sgemm's rate",
    "of_gemm": "gemm's rate",
    "of_matmul": "the rate of a bfloat16 matrix product",
    "of_dgemm": "the time of a product of two matrices of this size",
    "of_copy": "the bandwidth of a copy",
}


def pytest_addoption(parser):
    parser.addoption("--out", default=None, help="folder for the CSV and the chart")
    parser.addoption("--rounds", type=int, default=5, help="timed rounds of each benchmark")
    parser.addoption("--device", choices=LIBRARIES, default="cpu", help="what to time")
    parser.addoption("--mnist", default=None, help="mnist.npz with x_train; else a stand-in")
    parser.addoption("--model", default=None, help="run of `diffusion train` on 28 x 28 digits")
    parser.addoption("--sentences", default=None, help="50,000 x 384 embeddings as .npy")
    parser.addoption("--vae-steps", type=int, default=200, help="steps of a training")
    parser.addoption("--vae-images", type=int, default=20, help="pictures of `bench_vae.py`'s nll")
    parser.addoption("--vae-samples", type=int, default=500, help="importance samples of each")
    parser.addoption("--pictures", default=None, help="zip of RGB pictures, 16 x 16 or larger")


@pytest.fixture(autouse=True)
def backend(request, monkeypatch):
    """Run the library called "unsup_fast, numba" without the compiled module."""
    parameters = getattr(request.node, "callspec", None)
    if parameters is not None and parameters.params.get("library") == "unsup_fast, numba":
        monkeypatch.setenv("UNSUP_FAST_BACKEND", "numba")


@pytest.fixture
def raised():
    """Return a function that measures the MB of memory that a run takes, NaN if not known."""

    def measured(run):
        try:
            Path("/proc/self/clear_refs").write_text("5")
            before = _memory("VmRSS")
            run()
            return (_memory("VmHWM") - before) / 1000
        except OSError:
            return float("nan")

    return measured


def _memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def pytest_sessionstart(session):
    session.config.rows = []


def pytest_ignore_collect(collection_path, config):
    if collection_path.name.startswith("bench_"):
        if collection_path.stem in ON_BOTH:
            return None
        on_gpu = collection_path.stem.endswith("_cuda")
        return True if on_gpu != (config.getoption("--device") == "cuda") else None
    return None


def _processor():
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else []:
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


def _machine(device):
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name()
    from unsup_fast.kernels import _native, threads

    return f"{_processor()} {threads.effective()} threads {_native.simd()}"


def _environment(device):
    versions = {}
    for name in LIBRARIES[device]:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "none"
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True
    ).stdout.strip()
    return {
        "machine": _machine(device),
        "versions": " ".join(f"{k}={v}" for k, v in versions.items()),
        "commit": commit,
    }


def pytest_sessionfinish(session):
    rows, out = session.config.rows, session.config.getoption("--out")
    if not rows or out is None:
        return
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    device = session.config.getoption("--device")
    environment = _environment(device)
    tables = {}
    for row in rows:
        tables.setdefault(row.pop("bench", "kmeans"), []).append(_timed(row))
    for bench, table in tables.items():
        name = bench if device == "cpu" else f"{bench}-{device}"
        with open(folder / f"{name}.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, [*table[0], *environment])
            writer.writeheader()
            writer.writerows(row | environment for row in table)
        _chart(table, folder / f"{name}.png")


def _timed(row):
    """Return a row with times instead of pytest-benchmark's statistics."""
    timed = {}
    for name, value in row.items():
        if name == "stats":
            timed |= {"median_s": value.median, "min_s": value.min, "max_s": value.max}
            timed["rounds"] = value.rounds
        else:
            timed[name] = value
    return timed


def _chart(rows, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    cases = list(dict.fromkeys(row["case"] for row in rows))
    names = list(dict.fromkeys(row["library"] for row in rows))
    height = 0.8 / len(names)
    share = next(column for column in SHARES if column in rows[0])
    figure, axes = plt.subplots(figsize=(9, 1.0 + 0.95 * len(cases)), layout="constrained")
    for j, name in enumerate(names):
        own = [
            (i, row)
            for i, case in enumerate(cases)
            for row in rows
            if row["case"] == case and row["library"] == name
        ]
        bars = axes.barh(
            [i + j * height for i, _ in own],
            [row[share] for _, row in own],
            height,
            label=name,
            color="#c2410c" if name == "unsup_fast" else plt.cm.Greys(0.75 - 0.12 * j),
        )
        axes.bar_label(bars, [f" {row['median_s']:.3g} s" for _, row in own], fontsize=7)
    axes.set_yticks([i + 0.4 - height / 2 for i in range(len(cases))], cases)
    axes.invert_yaxis()
    what = "memory read and written" if share == "of_copy" else "dense arithmetic done"
    axes.set_xlabel(f"{what} in the time taken, as a share of {SHARES[share]}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper right")
    figure.savefig(path, dpi=150)
