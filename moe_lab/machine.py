"""The machine a run is on: settings that results and speed depend on, and what is recorded about it."""

import ctypes
import os
import platform
import re
import resource
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from moe_lab import __version__
from moe_lab.errors import ConfigError, Place

TORCH_FLOOR = (2, 10)
ENVIRONMENT = (  # the only variables that a run records
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "CUBLAS_WORKSPACE_CONFIG",
    "SLURM_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "MOE_LAB_RUNS",
)
PROMISES = {  # by type of device
    "cpu": "L2: tables and weights are bitwise equal, run again or resumed, where all of depends_on is the same",
    "cuda": "L5: the same is expected on one model of GPU with one driver, and was not tested",
}
AMONG_RANKS = {  # what is added where several ranks make a run
    "cpu": "; ranks add up in the order of gloo, which is tested on one machine, and expected between several alike",
    "cuda": "; NCCL may add up in another order with other links between the GPUs",
}
DEPENDS_ON = (  # keys of run.json
    *("versions.moe_lab", "versions.torch", "versions.numpy"),
    *("host.system", "host.cpu_capability", "host.gpu", "threads", "device", "world_size"),
)
# mallopt parameters of glibc's malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4


def prepare(threads: int) -> None:
    """Fix threads and determinism for this process, and keep freed memory instead of returning it.

    Results depend on the number of threads; the malloc setting saves page faults at every step.
    Raises ConfigError if torch is older than TORCH_FLOOR.
    """
    refuse_old(torch.__version__)
    torch.set_num_threads(threads)
    with suppress(RuntimeError):  # torch takes it once a process, and not after parallel work
        torch.set_num_interop_threads(1)
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


def refuse_old(version: str) -> None:
    """Raises ConfigError for a torch that reads tensors unsafely."""
    if tuple(map(int, version.split(".")[:2])) < TORCH_FLOOR:
        floor = ".".join(map(str, TORCH_FLOOR))
        raise ConfigError(
            f"torch {version} is too old: {floor} fixes CVE-2026-24747",
            help=f"pip install 'torch>={floor}'",
        )


def device(wanted: str, place: Place | None = None, index: int | None = None) -> torch.device:
    """`auto`, `cpu` or `cuda` as a device; raises ConfigError where there is no CUDA.

    index: of the GPU that is a rank's own, among those that it is shown; None: any.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"device cuda was asked for, but torch {torch.__version__} finds no CUDA GPU here",
            help="use train.device=cpu, or install a CUDA build of torch on a machine with a GPU",
            place=place,
        )
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cpu" or index is None:
        return torch.device(wanted)
    if index >= (there := torch.cuda.device_count()):
        raise ConfigError(
            f"rank {index} of this machine has no GPU of its own: there are {there}",
            help=f"use torchrun --nproc-per-node {there}, or train.device=cpu",
            place=place,
        )
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def peak_memory_mb(on: torch.device) -> float:
    """Peak memory so far, in MB: of the GPU's allocator, or resident memory of this process."""
    if on.type == "cuda":
        return torch.cuda.max_memory_allocated(on) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def describe(on: torch.device) -> dict[str, Any]:
    """What run.json says of the machine: no host or user name, and of the environment what is listed alone."""
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
        "torch": {
            "interop_threads": torch.get_num_interop_threads(),
            "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        },
        "environment": {
            name: _without_home(os.environ[name]) for name in ENVIRONMENT if name in os.environ
        },
        "git": _git(),
    }


def determinism(on: torch.device, world_size: int = 1) -> dict[str, Any]:
    """What run.json promises of a repetition of a run of ours, and the keys of run.json that must then be equal."""
    level = PROMISES[on.type] + (AMONG_RANKS[on.type] if world_size > 1 else "")
    return {"level": level, "depends_on": list(DEPENDS_ON)}


def command() -> list[str]:
    """What was typed, as run.json has it: the program without its folder, the home directory as ~."""
    return [Path(sys.argv[0]).name, *map(_without_home, sys.argv[1:])]


def _without_home(text: str) -> str:
    """`path=/home/me/x` as `path=~/x`."""
    home = re.escape(os.path.expanduser("~"))  # noqa: PTH111 - where none is known it stays ~
    return re.sub(rf"(?<![\w.~/-]){home}(?![\w.-])", "~", text)


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
