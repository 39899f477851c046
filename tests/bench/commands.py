"""What commands take from their start to their end, by CPU time and peak memory of the whole process."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import tables
from processes import measure

PROGRAM = Path(sys.executable).with_name("moe-lab")


def start(run: Path, times: int) -> None:
    """Every command that does not train."""
    commands = {
        "--help": ["--help"],
        "--version": ["--version"],
        "config check": ["config", "check"],
        "ls": ["ls", "--runs-dir", str(run.parent)],
        "report, one run": ["report", str(run)],
    }
    tables.title("Start of commands (fresh process)")
    rows = [(name, *_cells(arguments, times)) for name, arguments in commands.items()]
    tables.table(("", "CPU s", "wall s", "peak MB"), rows)


def reports(run: Path, folder: Path, numbers: Sequence[int]) -> None:
    """`report` of so many runs; copies of one, which is as long as a usual one."""
    tables.title("`report` of many runs (fresh process)")
    steps = len((run / "steps.csv").read_text().splitlines()) - 1
    tables.note(f"Each run has {steps} steps and two layers of 8 experts.")
    rows = []
    for n in numbers:
        copies = [_copy(run, folder / f"{n}-runs" / f"run-{i}") for i in range(n)]
        rows.append((n, *_cells(["report", *map(str, copies)], times=1)))
    tables.table(("runs", "CPU s", "wall s", "peak MB"), rows)


def _copy(run: Path, copy: Path) -> Path:
    """Hard links to all files but the checkpoints: reports read each path anew and cannot tell."""
    copy.mkdir(parents=True)
    for file in run.iterdir():
        if file.is_file():
            os.link(file, copy / file.name)
    return copy


def _cells(arguments: Sequence[str], times: int) -> tuple[str, str, str]:
    """Medians over so many calls."""
    found = [measure([PROGRAM, *arguments]) for _ in range(times)]
    cpu, wall = (median(used.cpu_s for used in found), median(used.wall_s for used in found))
    return f"{cpu:.2f}", f"{wall:.2f}", f"{median(used.peak_mb for used in found):.0f}"
