"""Kills processes at chosen calls, mends what they leave, and prints what was wrong as JSON.

A process of its own, because it forks: pytest has threads, and for the store alone it must not have torch.
`python -m reliability.kill_server NAME FOLDER SINGLES CHAINS`: how many single deaths and chains of deaths; -1 is all.
"""

import importlib
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from moe_lab.store.disk import Disk

from .faults import Counted, Death, Faulty, Point, points
from .sampling import sample
from .workload import contents, mended, unfinished

REOPENING = 40  # calls of a process that goes on, of which the first ones mend


class Server:
    """Tries points of one workload against its undisturbed result."""

    def __init__(self, name: str, folder: Path) -> None:
        module = importlib.import_module(f".{name}", __package__)
        self.drive: Callable[..., None] = module.drive
        self.blank: set[str] = module.UNREPEATABLE
        self.unfinished = getattr(module, "unfinished", unfinished)
        self.mended = getattr(module, "mended", mended)
        self.folder = folder
        counted, golden = Counted(), folder / "golden"
        golden.mkdir()
        self.drive(golden, Disk(counted))
        self.golden = contents(golden, self.blank)
        self.points = points(counted.calls)

    def chains(self) -> list[list[Point]]:
        """Deaths of a run, and then of the process that goes on with it."""
        firsts = self.points[5::20]
        return [[first, Point(n, k)] for first in firsts for n in range(REOPENING) for k in (0, 1)]

    def tried(self, chain: Sequence[Point]) -> str:
        """What was wrong after processes had died one after the other; empty if nothing was."""
        runs = self.folder / "runs"
        runs.mkdir()
        try:
            return "; ".join(self._wrong(runs, chain))
        except Exception:
            return traceback.format_exc()
        finally:
            shutil.rmtree(runs)

    def _wrong(self, runs: Path, chain: Sequence[Point]) -> list[str]:
        wrong = []
        for life, (call, taken) in enumerate(chain):
            status = _child(self.drive, runs, Disk(Faulty(call, Death(taken))))
            over = status == 0 and life > 0  # before the point was reached
            if status != -signal.SIGKILL and not over:
                return [f"the process ended with {status}"]
            wrong += self.unfinished(runs, self.golden)
        return wrong + self.mended(runs, self.golden, self.drive, self.blank)


def _child(work: Callable[..., None], *arguments: Any) -> int:
    """The exit status of a process that does some work, negative if a signal ended it."""
    child = os.fork()
    if child == 0:
        try:
            work(*arguments)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(name: str, folder: str, singles: str, chains: str) -> None:
    """Try them, and print how many and which were bad."""
    server = Server(name, Path(folder))
    chosen = sample([[point] for point in server.points], int(singles))
    chosen += sample(server.chains(), int(chains))
    bad = [(chain, wrong) for chain in chosen if (wrong := server.tried(chain))]
    print(json.dumps({"tried": len(chosen), "bad": bad, "torch": "torch" in sys.modules}))


if __name__ == "__main__":
    main(*sys.argv[1:])
