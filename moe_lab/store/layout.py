"""Every file name of a run, in one place."""

import re
from pathlib import Path

SCHEMA = 2  # of every JSON file and of the tables' columns; 1 had no hashes of tables, and a seal on COMMIT.json alone

CONFIG = "config.yaml"  # the user's bytes
RESOLVED = "resolved.yaml"  # every value with its origin
RECORD = "run.json"  # written once
STATUS = "status.json"  # replaced atomically
SUMMARY = "summary.json"  # written last; its presence means finished
EVENTS = "events.jsonl"
LOG = "log.txt"
LOCK = ".lock"
TABLES = ("steps", "utilization", "cv", "aux_loss", "eval", "router", "timing")
CLOCKED = ("timing",)  # those whose rows no second run has
ARRAYS = "router"  # folder of what is no table

SWEEP = "sweep.json"  # of a sweep's folder, as the next three: the plan, written once
BASE = "base.yaml"  # what every run of it changes a little
RUNS_TABLE = "runs.csv"
POINTS_TABLE = "summary.csv"
ATTEMPTS = ".attempts"  # folder in that of a sweep: the latest attempt of each run

TAILS = "tail"  # folder of rows that no checkpoint had counted when the run was resumed
CHECKPOINTS = "checkpoints"
MODEL = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"
STATE = "state.json"
COMMIT = "COMMIT.json"

EXPORTS = "export"  # folder in that of a run or a sweep: what was written for other tools
EXPORT = "EXPORT.json"  # in each of these: of what, when, and which files

STAGING = ".staging-"  # prefix of what is being prepared
ASIDE = ".aside-"  # prefix of a run of a sweep that gives way to a new one
REPLACED = ".replaced-"  # prefix of a checkpoint that gives way to a new one of its step
_STEP = re.compile(r"step-(\d{8,})")
_ARRAYS = re.compile(r"step-(\d{8,})\.npz")
_TAIL = re.compile(rf"({'|'.join(TABLES)})-(\d+)\.csv")


def table(directory: Path, name: str) -> Path:
    """The CSV of one of TABLES."""
    assert name in TABLES, name
    return directory / f"{name}.csv"


def appended(directory: Path) -> list[Path]:
    """The files of a run whose ends are written to, whether they are there or not."""
    return [*(table(directory, name) for name in TABLES), directory / EVENTS, directory / LOG]


def attempt(sweep: Path, run_name: str) -> Path:
    """The file of the latest attempt of a run."""
    return sweep / ATTEMPTS / f"{run_name}.json"


def arrays(directory: Path, step: int) -> Path:
    """The arrays of one evaluation."""
    return directory / ARRAYS / f"step-{step:08d}.npz"


def array_step(path: Path) -> int | None:
    """The step that a file's name stands for; None if it is no arrays' name."""
    match = _ARRAYS.fullmatch(path.name)
    return int(match[1]) if match else None


def tail(directory: Path, table: str, offset: int) -> Path:
    """What a table had from an offset on, in bytes."""
    return directory / TAILS / f"{table}-{offset}.csv"


def tail_place(path: Path) -> tuple[str, int] | None:
    """Table and offset that a file's name stands for; None if it is no tail's name."""
    match = _TAIL.fullmatch(path.name)
    return (match[1], int(match[2])) if match else None


def checkpoint(directory: Path, step: int) -> Path:
    """The folder of one step's checkpoint."""
    return directory / CHECKPOINTS / f"step-{step:08d}"


def checkpoint_step(folder: Path) -> int | None:
    """The step that a folder's name stands for; None if it is no checkpoint's name."""
    match = _STEP.fullmatch(folder.name)
    return int(match[1]) if match else None
