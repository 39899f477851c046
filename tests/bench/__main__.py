"""`make bench`: moe-lab beside what a user would pick instead, on this machine, as Markdown on stdout."""

import argparse
import os
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import commands
import sweeping
import tables

os.environ.setdefault("OMP_NUM_THREADS", "2")  # at most; each table sets its own number


def main() -> None:
    """Everything, or with --quick a few steps of the small size: whether it works, not how fast."""
    parser = argparse.ArgumentParser(prog="make bench", description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute; means little")
    quick = parser.parse_args().quick
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="moe-lab-bench-") as folder:
        # Commands first, while torch is not imported: a process's peak memory is at least its parent's.
        command_line(Path(folder), quick=quick)
        training(Path(folder), quick=quick)
    tables.note(f"Took {(time.perf_counter() - began) / 60:.1f} minutes.")


def command_line(folder: Path, *, quick: bool) -> None:
    """Processes."""
    length = "train.steps=20" if quick else "train.steps=400"
    subprocess.run(
        [commands.PROGRAM, "train", length, "name=one", "--runs-dir", folder / "runs"],
        check=True,
        capture_output=True,
    )
    run = folder / "runs" / "one"
    commands.start(run, times=1 if quick else 7)
    commands.reports(run, folder, (1, 10) if quick else (1, 100, 1000))
    sweeping.efficiency(folder, steps=20 if quick else 400, rounds=1 if quick else 3)


def training(folder: Path, *, quick: bool) -> None:
    """Steps."""
    import host
    import plan

    host.describe()
    (plan.quick if quick else plan.full)(folder)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", module="transformers|torch")
    main()
