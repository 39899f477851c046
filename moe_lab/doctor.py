"""What to paste into a bug report: the environment, and whether runs can be written."""

import os
import platform
import shutil
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from moe_lab import machine

PACKAGES = ("torch", "numpy", "pandas", "pydantic", "rich", "typer", "safetensors")
GIB = 2**30


def environment(runs_dir: Path) -> dict[str, Any]:
    """Versions, accelerator, cores, memory and the place of runs; no host or user names."""
    described = machine.describe(machine.device("auto"))
    return {
        "moe_lab": described["versions"]["moe_lab"],
        "python": f"{platform.python_version()} ({sys.platform})",
        "system": f"{described['host']['system']}, {platform.release()}",
        **{package: version(package) for package in PACKAGES},
        "cuda": _cuda(),
        "cpu": described["host"]["cpu_capability"],
        "cores": f"{os.cpu_count()}, {_usable_cores()} usable",
        "threads": f"torch {torch.get_num_threads()}, OMP_NUM_THREADS {os.environ.get('OMP_NUM_THREADS', 'unset')}",
        "torchrun": _backends(),
        "ray": _installed("ray"),
        "slurm": f"submitit {_installed('submitit')}, sbatch {shutil.which('sbatch') or 'not found'}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / GIB:.1f} GiB",
        "git": _git(described["git"]),
        "runs": _runs(runs_dir),
    }


def _cuda() -> str:
    build = torch.version.cuda or "none in this build of torch"
    if not torch.cuda.is_available():
        return f"{build}; no GPU found"
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return f"{build}; {', '.join(names)}"


def _backends() -> str:
    """By which ranks can talk to each other here."""
    known = torch.distributed.Backend.default_device_backend_map.values()
    there = sorted({name for name in known if torch.distributed.is_backend_available(name)})
    return ", ".join(there) or "no backend"


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _usable_cores() -> int:
    """Cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _git(found: dict[str, Any] | None) -> str:
    if found is None:
        return "not in a repository"
    return f"{found['commit'][:12]}{', with changes' if found['dirty'] else ''}"


def _runs(runs_dir: Path) -> str:
    """Whether a run could be put there, and the room that is left."""
    nearest = next(path for path in (runs_dir, *runs_dir.absolute().parents) if path.is_dir())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            free = shutil.disk_usage(nearest).free / GIB
    except OSError as error:
        return f"{runs_dir}: cannot be written: {error.strerror}"
    return f"{runs_dir}: writable, {free:.1f} GiB free"
