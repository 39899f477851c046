"""What is done to a disk: private, synced, all or nothing, with errors that name the path."""

import errno
import io
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from moe_lab.errors import StorageError
from moe_lab.store import layout
from moe_lab.store.system import System

BUFFER = 2**20  # bytes of a streamed file that wait in memory
_FULL = "free space on its file system"
_CLOSED = "make it writable, or choose another place with --runs-dir"
_ELSEWHERE = "choose another place with --runs-dir"
_REMEDIES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
    errno.EROFS: _CLOSED,
    errno.EEXIST: _ELSEWHERE,
    errno.ENOTDIR: _ELSEWHERE,
    errno.ENOLCK: _ELSEWHERE,
    errno.ENOTSUP: _ELSEWHERE,
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an OSError into a StorageError that names the path, what failed and what to do."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "check the disk")
        raise StorageError(f"cannot write {path}: {error.strerror}", help=remedy) from error


def json_bytes(value: object) -> bytes:
    """JSON as it is stored: one form for one value; NaN is refused, because few readers take it."""
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


@dataclass(frozen=True)
class Disk:
    """Every change of a run's or a sweep's folder goes through here. All methods raise StorageError."""

    system: System
    shared: bool = False  # with other hosts, where a lock of this one may not be seen

    def write_new(self, path: Path, data: bytes) -> None:
        """Writes and syncs a file that must not exist, readable by its owner only."""
        with writing(path), self._open(self.system.create, path) as descriptor:
            self.write_all(descriptor, data)
            self.system.sync(descriptor)

    @contextmanager
    def stream(self, path: Path) -> Iterator[BinaryIO]:
        """A file that must not exist, private, to be written piece by piece; synced in the end.

        What its writes raise, OSError, is turned into StorageError here.
        """
        with writing(path), self._open(self.system.create, path) as descriptor:
            with io.BufferedWriter(_Stream(self, descriptor), BUFFER) as file:
                yield file
            self.system.sync(descriptor)

    def append(self, path: Path, data: bytes) -> None:
        """Adds to a file, made private if it is new; not synced."""
        with writing(path), self._open(self.system.extend, path) as descriptor:
            self.write_all(descriptor, data)

    def replace(self, path: Path, data: bytes) -> None:
        """Replaces a file: a reader, or a power cut, finds the old one or the new one, whole."""
        with self.replacing(path) as new:
            self.write_new(new, data)

    @contextmanager
    def replacing(self, path: Path) -> Iterator[Path]:
        """The path of a new file, to be made and synced here, that then takes a file's place as in `replace`."""
        temporary = path.with_name(f".{path.name}.new")
        self.discard(temporary)  # left by a kill; or another attempt's, which is late
        yield temporary
        with writing(path):
            self.system.rename(temporary, path)
        self.sync_folder(path.parent)

    def replace_json(self, path: Path, value: object) -> None:
        """Replaces a JSON file, as `replace` does."""
        self.replace(path, json_bytes(value))

    def cut(self, path: Path, length: int) -> None:
        """Cuts a file off at a length."""
        with writing(path), self._open(self.system.change, path) as descriptor:
            self.system.truncate(descriptor, length)

    def discard(self, path: Path) -> None:
        """Removes a file or a link, if there is one."""
        if os.path.lexists(path):
            with writing(path):
                self.system.remove(path)

    def discard_tree(self, path: Path) -> None:
        """Removes a folder with all that it holds; a link goes itself, and what it points to stays."""
        with writing(path):
            self._discard_tree(path)

    def abandon(self, folder: Path) -> None:
        """Removes what is half made as far as the disk lets it: the error that it was left for comes first."""
        with suppress(StorageError):
            self.discard_tree(folder)

    def make_folder(self, path: Path) -> None:
        """Makes a folder of mode 0700, with its parents, unless it exists."""
        if path.is_dir():
            return
        with writing(path):
            if not path.parent.is_dir():
                self.make_folder(path.parent)
            try:
                self.system.make_folder(path)
            except FileExistsError:  # another process was faster
                if not path.is_dir():
                    raise
        self.sync_folder(path.parent)

    def staging_folder(self, parent: Path) -> Path:
        """A new hidden folder beside what it will become; it and a new parent are of mode 0700."""
        self.make_folder(parent)
        path = parent / f"{layout.STAGING}{secrets.token_hex(8)}"
        with writing(parent):
            self.system.make_folder(path)
        return path

    def rename(self, old: Path, new: Path) -> None:
        """Gives a file or folder another name; not durable until its folder is synced."""
        with writing(new):
            self.system.rename(old, new)

    def sync_folder(self, path: Path) -> None:
        """Makes the names in a folder durable."""
        with writing(path):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                self.system.sync(descriptor)
            finally:
                os.close(descriptor)

    def write_all(self, descriptor: int, data: bytes | memoryview) -> None:
        """Writes every byte, whatever the system takes at a time. Raises OSError."""
        rest = memoryview(data)
        while rest:
            rest = rest[self.system.write(descriptor, rest) :]

    def _discard_tree(self, path: Path) -> None:
        if path.is_symlink() or not path.is_dir():
            self.system.remove(path)
            return
        for entry in sorted(path.iterdir()):
            self._discard_tree(entry)
        self.system.remove_folder(path)

    @contextmanager
    def _open(self, opened: Callable[[Path], int], path: Path) -> Iterator[int]:
        descriptor = opened(path)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


class _Stream(io.RawIOBase):
    """The descriptor of a file as what Python's writers write to."""

    def __init__(self, disk: Disk, descriptor: int):
        self._disk, self._descriptor = disk, descriptor

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        view = memoryview(data)
        self._disk.write_all(self._descriptor, view)
        return view.nbytes


DISK = Disk(System())  # this machine's
