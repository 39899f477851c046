"""The machine a run is on: settings that results and speed depend on, and what is recorded about it."""

import ctypes
import os
import platform
import resource
import subprocess
import sys
from typing import Any

import numpy as np
import torch

from moe_lab import __version__
from moe_lab.errors import ConfigError, Place

# mallopt parameters of glibc's malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4


def prepare(threads: int) -> None:
    """Fix threads and determinism for this process, and keep freed memory instead of returning it.

    Results depend on the number of threads; the malloc setting saves page faults at every step.
    """
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # would fill every empty tensor
    os.environ.setdefault(
        "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
    )  # what cuBLAS needs to be deterministic
    torch.backends.cuda.matmul.allow_tf32 = False
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        for parameter, value in (
            (M_MMAP_MAX, 0),
            (M_TRIM_THRESHOLD, 2**31 - 1),
            (M_TOP_PAD, 2**26),
        ):
            libc.mallopt(parameter, value)


def device(wanted: str, place: Place | None = None) -> torch.device:
    """`auto`, `cpu` or `cuda` as a device; raises ConfigError where there is no CUDA."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"device cuda was asked for, but torch {torch.__version__} finds no CUDA GPU here",
            help="use train.device=cpu, or install a CUDA build of torch on a machine with a GPU",
            place=place,
        )
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def peak_memory_mb(on: torch.device) -> float:
    """Peak memory so far, in MB: of the GPU's allocator, or resident memory of this process."""
    if on.type == "cuda":
        return torch.cuda.max_memory_allocated(on) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def describe(on: torch.device) -> dict[str, Any]:
    """What run.json says of the machine; no host, user or environment names."""
    gpu = torch.cuda.get_device_name(on) if on.type == "cuda" else None
    return {
        "versions": {
            "moe_lab": __version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": np.__version__,
        },
        "host": {
            "system": f"{platform.system()} {platform.machine()}",
            "cores": os.cpu_count(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "gpu": gpu,
        },
        "git": _git(),
    }


def _git() -> dict[str, Any] | None:
    """Commit of the repository one stands in, and whether tracked files differ from it."""
    try:
        commit = _run_git("rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_run_git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _run_git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], check=True, capture_output=True, text=True, timeout=10
    )
    return done.stdout.strip()
