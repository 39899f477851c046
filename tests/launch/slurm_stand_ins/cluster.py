"""A cluster in a folder, on which the commands beside this file work as Slurm's do; no daemon: each starts jobs.

The folder holds `jobs.json`, `places` (how many jobs run at a time) and what a test puts there: `away` (the
controller does not answer), `full` (sbatch takes one array or job, and no more), `refuse-requeue`.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ["SLURM_STAND_IN"])
JOBS = FOLDER / "jobs.json"
KILL_WAIT = 10.0  # seconds from TERM to KILL
BUSY = ("RUNNING", "COMPLETING")

Job = dict[str, Any]


@contextmanager
def jobs() -> Iterator[list[Job]]:
    """All jobs, to be changed by one command at a time; what can run is started then."""
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = json.loads(JOBS.read_text()) if JOBS.exists() else []
        yield found
        _schedule(found)
        new = JOBS.with_suffix(".new")
        new.write_text(json.dumps(found))
        new.rename(JOBS)


def _schedule(found: list[Job]) -> None:
    room = int((FOLDER / "places").read_text()) - sum(job["state"] in BUSY for job in found)
    for job in found:
        beside = sum(o["array"] == job["array"] and o["state"] in BUSY for o in found)
        if job["state"] == "PENDING" and room > 0 and beside < job["at_once"]:
            job["state"], room = "RUNNING", room - 1
            node = Path(__file__).with_name("node.py")
            subprocess.Popen(
                [sys.executable, "-S", "-E", node, job["id"]],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )


def reach() -> None:
    """Ends the command if the controller is away."""
    if (FOLDER / "away").exists():
        sys.exit("slurm_load_jobs error: Unable to contact slurm controller (connect failure)")


def log(line: str) -> None:
    """What was asked of the cluster, and when."""
    with (FOLDER / "log").open("a") as file:
        file.write(f"{time.time():.2f} {line}\n")


def end(job: Job) -> None:
    """TERM to all of a job, and KILL after a while, as Slurm does when it ends one."""
    job["state"], job["kill_at"] = "COMPLETING", time.time() + KILL_WAIT
    for pid in (job["step"], job["batch"]):
        tell(pid, signal.SIGTERM)


def tell(pid: int | None, number: int) -> None:
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
