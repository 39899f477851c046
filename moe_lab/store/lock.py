"""One writer per run: a lock that is free again when its holder ends, however it ends."""

import fcntl
import os
from contextlib import ExitStack
from pathlib import Path

from moe_lab.errors import StorageError
from moe_lab.store import layout
from moe_lab.store.disk import DISK, Disk, writing


class InUseError(StorageError):
    """Another process holds the lock, or has just removed the folder."""


class Lock:
    """Holds a run's lock from construction to `close`.

    Raises InUseError at once if another process holds it, and StorageError if the file system has no locks.
    """

    def __init__(self, directory: Path, disk: Disk = DISK):
        path = directory / layout.LOCK
        with ExitStack() as undo, writing(path):
            try:  # Python opens close-on-exec: a started program never keeps the lock
                self._descriptor = disk.system.extend(path)
                undo.callback(self.close)
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                here = os.path.samestat(os.fstat(self._descriptor), path.stat())
            except (BlockingIOError, FileNotFoundError) as error:
                raise _in_use(directory) from error
            if not here:  # removed, and made again by another
                raise _in_use(directory)
            undo.pop_all()

    def close(self) -> None:
        """Frees the lock."""
        os.close(self._descriptor)


def is_locked(directory: Path) -> bool:
    """Whether a process is writing this run; nothing is written, a missing lock file is no lock.

    While it asks, for microseconds, it shares the lock: a resume at that instant would be refused.
    """
    try:
        descriptor = os.open(directory / layout.LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _in_use(directory: Path) -> InUseError:
    remedy = f"wait until it has ended: {directory / layout.STATUS} names its process"
    return InUseError(f"{directory} is in use by another process", help=remedy)
