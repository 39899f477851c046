"""Trains, stops and resumes a run while every change of the file system is watched; prints what was seen as JSON.

A process of its own, because an audit hook stays. `python -m reliability.audit_server FOLDER`.
"""

import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conftest import SignalAt

from moe_lab import session
from moe_lab.config import load
from moe_lab.store.disk import Disk

from . import training, workload
from .faults import Counted
from .power import Fate, Recorded

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGING = {
    *("os.mkdir", "os.rmdir", "os.remove", "os.rename", "os.link", "os.symlink", "os.truncate"),
    *("os.chmod", "os.chown", "os.utime", "os.setxattr", "os.removexattr"),
}


class Watched(Counted, Recorded):
    """Records every call, and whatever Python does to files under a folder between the calls."""

    def __init__(self, root: Path) -> None:
        Counted.__init__(self)
        Recorded.__init__(self, root)
        self.strays: list[str] = []
        self._root, self._inside = str(root), False
        sys.addaudithook(self._hear)

    def around(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:
        self._inside = True
        try:
            return super().around(name, call, *arguments)
        finally:
            self._inside = False

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        changes = event in CHANGING or (event == "open" and arguments[2] & WRITING)
        if changes and not self._inside and self._is_ours(arguments[0]):
            self.strays.append(f"{event} {arguments[0]}")

    def _is_ours(self, place: Any) -> bool:
        """Whether it lies under the folder; a descriptor may."""
        return isinstance(place, int) or os.fsdecode(place).startswith(self._root)


def main(folder: str) -> None:
    """The changes outside the layer, the same after one was made on purpose, and whether the calls explain all."""
    runs, replayed = Path(folder) / "runs", Path(folder) / "replayed"
    runs.mkdir()
    system = Watched(runs)
    session.train(
        load(None, training.SETTINGS),
        runs_dir=runs,
        exact=True,
        reporter=SignalAt(2),
        disk=Disk(system),
    )
    training.drive(runs, Disk(system))
    strays = list(system.strays)
    whole = system.after(len(system.changes), Fate(1, 1), random.Random(0))
    whole.materialise(replayed, system.folders)
    found, told = (workload.contents(place, set()) for place in (runs, replayed))
    (runs / "stray").touch()
    print(
        json.dumps(
            {
                "calls": len(system.calls),
                "strays": strays,
                "noticed": system.strays[len(strays) :],
                "unexplained": workload.differences(found, told),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
