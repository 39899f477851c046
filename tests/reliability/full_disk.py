"""Fills a small file system under a run that is being written, empties it, and prints what was wrong as JSON.

A process of its own, because nobody else sees what it mounts. `python -m reliability.full_disk FOLDER`.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from moe_lab.errors import StorageError

from . import workload

SIZE = 1_000_000  # bytes
ROOMS = range(4096, 80_000, 4096)  # that are left for a run, which needs more


def refused(runs: Path, filler: Path, room: int) -> str:
    """What is said of a run when there is so little room."""
    found = os.statvfs(runs)
    filler.write_bytes(bytes(found.f_bavail * found.f_frsize - room))
    try:
        workload.drive(runs)
    except StorageError as error:
        return str(error)
    finally:
        filler.unlink()
    return "nothing"


def main(folder: str) -> None:
    """Every room; how many there were and what was wrong."""
    golden, small = Path(folder) / "golden", Path(folder) / "small"
    golden.mkdir()
    workload.drive(golden)
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", small], check=True)
    bad = []
    for room in ROOMS:
        runs = small / "runs"
        runs.mkdir()
        said = refused(runs, small / "filler", room)
        wrong = [] if "No space left on device" in said and str(runs) in said else [said]
        wrong += workload.mended(runs, workload.contents(golden))
        shutil.rmtree(runs)
        bad += [(room, wrong)] if wrong else []
    print(json.dumps({"tried": len(ROOMS), "bad": bad}))


if __name__ == "__main__":
    main(*sys.argv[1:])
