"""One attempt of a run at a time, even where hosts do not see each other's locks: an overtaken one changes nothing."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from moe_lab.errors import ArtefactError
from moe_lab.store import layout, limits
from moe_lab.store.attempts import Attempts
from moe_lab.store.disk import BUFFER, Disk
from moe_lab.store.files import reading
from moe_lab.store.folders import resume_command
from moe_lab.store.lock import InUseError
from moe_lab.store.system import System


class FencedError(InUseError):
    """An attempt of a run is not the latest any more, or cannot tell: it has changed nothing since, and never will."""


class FencedSystem(System):
    """The system's calls for one attempt of a run: each looks first, and raises FencedError if that is not the latest.

    Once it has, all do. Rows written one after the other, each to another file, share a look: a step takes one.

    A call that looked just before it was overtaken may be late. By a descriptor it does no harm: there was a look after
    it was opened, so it is older than the next attempt, which begins with `take_over`. A late rename of a new file
    finds it discarded. Whatever else is late leaves at most a hidden name, which nothing reads.
    """

    def __init__(self, sweep: Path, run_name: str, attempt: int):
        self._sweep, self._run_name, self._attempt = sweep, run_name, attempt
        self._attempts = Attempts(sweep)
        self._ended: str | None = None  # why nothing is changed any more
        self._written: set[int] = set()  # descriptors, since the last look

    def make_folder(self, path: Path) -> None:
        """After a look."""
        self._look()
        super().make_folder(path)

    def create(self, path: Path) -> int:
        """After a look."""
        self._look()
        return super().create(path)

    def extend(self, path: Path) -> int:
        """Between two looks."""
        return self._opened(super().extend, path)

    def change(self, path: Path) -> int:
        """Between two looks."""
        return self._opened(super().change, path)

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        """After a look, or without one if other files alone have been written to since the last."""
        if not self._written or descriptor in self._written:
            self._look()
        self._written.add(descriptor)
        return super().write(descriptor, data)

    def truncate(self, descriptor: int, length: int) -> None:
        """After a look."""
        self._look()
        super().truncate(descriptor, length)

    def sync(self, descriptor: int) -> None:
        """After a look."""
        self._look()
        super().sync(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        """After a look."""
        self._look()
        super().rename(old, new)

    def remove(self, path: Path) -> None:
        """After a look."""
        self._look()
        super().remove(path)

    def remove_folder(self, path: Path) -> None:
        """After a look."""
        self._look()
        super().remove_folder(path)

    def _opened(self, opening: Callable[[Path], int], path: Path) -> int:
        self._look()
        descriptor = opening(path)
        try:
            self._look()
        except FencedError:
            os.close(descriptor)
            raise
        return descriptor

    def _look(self) -> None:
        self._written.clear()
        self._ended = self._ended or self._overtaken()
        if self._ended:
            raise FencedError(
                f"attempt {self._attempt} of {self._run_name} writes nothing more: {self._ended}",
                help=f"what it saved is intact; go on with: {resume_command(self._sweep)}",
            )

    def _overtaken(self) -> str | None:
        """Why this is not known to be the latest attempt; a record that is gone or unreadable is a reason."""
        try:
            latest = self._attempts.number(self._run_name)
        except ArtefactError as error:
            return f"it cannot be told whether another has begun: {error}"
        if latest == self._attempt:
            return None
        return f"attempt {latest} has begun" if latest else "no attempt is on record any more"


def fenced_disk(sweep: Path, run_name: str, attempt: int) -> Disk:
    """By what one attempt of a sweep's run changes the disk, of which it may not see the locks of other hosts."""
    return Disk(FencedSystem(sweep, run_name, attempt), shared=True)


def take_over(disk: Disk, directory: Path) -> None:
    """Puts copies in place of what a run appends to: the files that older attempts hold open have no name any more."""
    for path in layout.appended(directory):
        if path.exists():
            with (
                disk.replacing(path) as new,
                disk.stream(new) as copy,
                reading(path, limits.STREAMED) as old,
            ):
                shutil.copyfileobj(old, copy, BUFFER)
