"""What a sweep gets out of the machine, beside independent single-thread runs that keep every core busy."""

import csv
import subprocess
import time
from pathlib import Path
from statistics import fmean, median

import tables
from commands import PROGRAM

from moe_lab.cores import cores

RUNS_PER_CORE = 3  # of a sweep


def efficiency(folder: Path, *, steps: int, rounds: int) -> None:
    """Runs per second, by wall clock, in turn."""
    length = f"train.steps={steps}"
    found = [_round(folder / f"round-{i}", length) for i in range(rounds)]
    tables.title("A sweep beside independent runs (one thread a run, wall clock)")
    tables.note(
        f"{cores()} `moe-lab train` at once, each a fresh process, and one `moe-lab sweep` of {RUNS_PER_CORE} times as "
        f"many runs of the same {steps} steps: runs per second of the sweep, divided by theirs. Their training alone "
        "is the time from the first step to the last, without starts: no sweep can be above 100 % of it."
    )
    whole, training = ([pair[i] for pair in found] for i in (0, 1))
    rows = [("of whole processes", *_cells(whole)), ("of their training alone", *_cells(training))]
    tables.table(("efficiency", "median", "by round"), rows)


def _round(folder: Path, length: str) -> tuple[float, float]:
    apart_s, trained_s = _apart(folder / "apart", length)
    swept = RUNS_PER_CORE * cores() / _sweep(folder / "together", length)
    return swept / (cores() / apart_s), swept / (cores() / trained_s)


def _apart(runs: Path, length: str) -> tuple[float, float]:
    """Seconds until all independent runs have ended, and mean seconds of their training."""
    began = time.perf_counter()
    started = [
        subprocess.Popen(
            [PROGRAM, "train", length, f"seed={seed}", f"name=r{seed}", "--runs-dir", runs],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for seed in range(cores())
    ]
    assert all(process.wait() == 0 for process in started)
    wall = time.perf_counter() - began
    return wall, fmean(_trained(runs / f"r{seed}") for seed in range(cores()))


def _trained(run: Path) -> float:
    with (run / "timing.csv").open(newline="") as file:
        return float(list(csv.DictReader(file))[-1]["elapsed_s"])


def _sweep(runs: Path, length: str) -> float:
    """Seconds of the whole command."""
    began = time.perf_counter()
    seeds = str(RUNS_PER_CORE * cores() // 2)  # at two points
    command = ["sweep", "weight_decay=0.1,0.2", length, "alpha=0.01", "--seeds", seeds]
    subprocess.run([PROGRAM, *command, "--runs-dir", runs], check=True, capture_output=True)
    return time.perf_counter() - began


def _cells(values: list[float]) -> tuple[str, str]:
    return f"{median(values):.1%}", ", ".join(f"{value:.1%}" for value in values)
