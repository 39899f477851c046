"""Every file name of a run, in one place."""

import re
from pathlib import Path

SCHEMA = (
    1  # of run.json, status.json, summary.json, state.json, COMMIT.json and the tables' columns
)

CONFIG = "config.yaml"  # the user's bytes
RESOLVED = "resolved.yaml"  # every value with its origin
RECORD = "run.json"  # written once
STATUS = "status.json"  # replaced atomically
SUMMARY = "summary.json"  # written last; its presence means finished
EVENTS = "events.jsonl"
LOG = "log.txt"
LOCK = ".lock"
TABLES = ("steps", "utilization", "cv", "aux_loss", "eval", "router", "timing")
ARRAYS = "router"  # folder of what is no table

SWEEP = "sweep.json"  # of a sweep's folder, as the next three: the plan, written once
BASE = "base.yaml"  # what every run of it changes a little
RUNS_TABLE = "runs.csv"
POINTS_TABLE = "summary.csv"

CHECKPOINTS = "checkpoints"
MODEL = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"
STATE = "state.json"
COMMIT = "COMMIT.json"

STAGING = ".staging-"  # prefix of what is being prepared
REPLACED = ".replaced-"  # prefix of a checkpoint that gives way to a new one of its step
_STEP = re.compile(r"step-(\d{8,})")
_ARRAYS = re.compile(r"step-(\d{8,})\.npz")


def table(directory: Path, name: str) -> Path:
    """The CSV of one of TABLES."""
    assert name in TABLES, name
    return directory / f"{name}.csv"


def arrays(directory: Path, step: int) -> Path:
    """The arrays of one evaluation."""
    return directory / ARRAYS / f"step-{step:08d}.npz"


def array_step(path: Path) -> int | None:
    """The step that a file's name stands for; None if it is no arrays' name."""
    match = _ARRAYS.fullmatch(path.name)
    return int(match[1]) if match else None


def checkpoint(directory: Path, step: int) -> Path:
    """The folder of one step's checkpoint."""
    return directory / CHECKPOINTS / f"step-{step:08d}"


def checkpoint_step(folder: Path) -> int | None:
    """The step that a folder's name stands for; None if it is no checkpoint's name."""
    match = _STEP.fullmatch(folder.name)
    return int(match[1]) if match else None
