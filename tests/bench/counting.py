"""Calls to the operating system about files: each is a question to the server where the files lie on one."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from moe_lab.store.system import System

KINDS = {  # of calls, by what they cost a file server
    **dict.fromkeys(("stat", "lstat", "access", "readlink"), "look"),
    **dict.fromkeys(("scandir", "listdir"), "list"),
    **dict.fromkeys(("mkdir", "rename", "replace", "unlink", "rmdir", "link"), "change"),
    **dict.fromkeys(("open", "fsync", "flock"), None),  # under their own names
}
CHANGES = {name for name in vars(System) if not name.startswith("_")}
MODULES = (
    "posix",
    "fcntl",
)  # not io: the store opens by descriptors, which its files are then made from


@contextmanager
def calls() -> Iterator[Counter[str]]:
    """Counts this thread's calls within the block, by kind; slow: nothing is to be timed here."""
    found: Counter[str] = Counter()

    def count(frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and function.__module__ in MODULES and function.__name__ in KINDS:
            found[KINDS[function.__name__] or function.__name__] += 1

    sys.setprofile(count)
    try:
        yield found
    finally:
        sys.setprofile(None)


class Counted(System):
    """Counts what is done to the disk, by the names of System."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def __getattribute__(self, name: str) -> Any:
        if name in CHANGES:
            self.calls[name] += 1
        return super().__getattribute__(name)
