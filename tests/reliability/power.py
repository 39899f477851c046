"""What a power cut can leave of a folder: a model of a disk that keeps what was synced, and of the rest anything.

Modelled: a file's synced bytes stay; bytes that were not synced are there, or not, or only the first of them, or
zeros that made the file longer. A name that was made, renamed or removed is durable once its folder was synced; until
then each such change may have happened or not, whatever became of the others; a rename happens whole. Not modelled:
journals, which keep an order (real file systems are kinder), blocks, and drives that lie about a sync.
"""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple

from moe_lab.store.system import System


class Names(NamedTuple):
    """Entries of a folder that changed together: what they now name, or None."""

    node: int
    entries: dict[str, int | None]


class Bytes(NamedTuple):
    """Data written into a file."""

    node: int
    start: int
    data: bytes


class Length(NamedTuple):
    """A file cut off or filled up."""

    node: int
    length: int


class Sync(NamedTuple):
    """A file's or folder's changes made durable."""

    node: int


Change = Names | Bytes | Length | Sync


class Fate(NamedTuple):
    """How likely a change that was not synced has happened, of names and of data."""

    names: float
    data: float


FATES = (Fate(0, 0), Fate(1, 1), Fate(1, 0), Fate(0, 1))  # then by chance


@dataclass
class Image:
    """The folders and files of a disk; node 0 is the folder that was there before."""

    folders: dict[int, dict[str, int]] = field(default_factory=lambda: {0: {}})
    files: dict[int, bytearray] = field(default_factory=dict)

    def apply(self, change: Change) -> None:
        """Does a change; what it names comes into being with it."""
        if isinstance(change, Names):
            entries = self.folders.setdefault(change.node, {})
            for name, node in change.entries.items():
                entries.pop(name, None)
                if node is not None:
                    entries[name] = node
        elif isinstance(change, Bytes):
            data = self.files.setdefault(change.node, bytearray())
            data.extend(bytes(max(0, change.start - len(data))))
            data[change.start : change.start + len(change.data)] = change.data
        elif isinstance(change, Length):
            data = self.files.setdefault(change.node, bytearray())
            data[change.length :] = bytes(max(0, change.length - len(data)))

    def materialise(self, path: Path, folders: set[int], node: int = 0) -> None:
        """Makes real files of it; `folders` are the nodes that are none."""
        path.mkdir(0o700)
        for name, child in self.folders.get(node, {}).items():
            if child in folders:
                self.materialise(path / name, folders, child)
            else:
                (path / name).write_bytes(self.files.get(child, b""))


class Recorded(System):
    """Does every call, and notes what it changed under a folder; what lies there before is durable."""

    def __init__(self, root: Path) -> None:
        self.changes: list[Change] = []
        self.folders = {0}
        self.before = Image()
        self._numbers = count(1)
        self._nodes = {
            root.stat().st_ino: 0
        }  # a node outlives its inode's number, which is used again
        self._scan(root, 0)

    def make_folder(self, path: Path) -> None:
        super().make_folder(path)
        self.folders.add(self._made(path))

    def create(self, path: Path) -> int:
        descriptor = super().create(path)
        self._made(path)
        return descriptor

    def extend(self, path: Path) -> int:
        is_new = not path.exists()
        descriptor = super().extend(path)
        if is_new:
            self._made(path)
        return descriptor

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        taken = super().write(descriptor, data)
        start = os.lseek(descriptor, 0, os.SEEK_CUR) - taken
        self.changes.append(Bytes(self._node(descriptor), start, bytes(data[:taken])))
        return taken

    def truncate(self, descriptor: int, length: int) -> None:
        super().truncate(descriptor, length)
        self.changes.append(Length(self._node(descriptor), length))

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        self.changes.append(Sync(self._node(descriptor)))

    def rename(self, old: Path, new: Path) -> None:
        assert old.parent == new.parent, "a rename between folders is not modelled"
        node = self._node(old)
        super().rename(old, new)
        entries = {old.name: None, new.name: node}
        self.changes.append(Names(self._node(new.parent), entries))

    def remove(self, path: Path) -> None:
        super().remove(path)
        self.changes.append(Names(self._node(path.parent), {path.name: None}))

    def remove_folder(self, path: Path) -> None:
        super().remove_folder(path)
        self.changes.append(Names(self._node(path.parent), {path.name: None}))

    def after(self, done: int, fate: Fate, draw: random.Random) -> Image:
        """A disk that a power cut could leave after so many changes."""
        image, waiting = self._copy(), list[Change]()
        for change in self.changes[:done]:
            if isinstance(change, Sync):
                for earlier in waiting:
                    if earlier.node == change.node:
                        image.apply(earlier)
                waiting = [earlier for earlier in waiting if earlier.node != change.node]
            else:
                waiting.append(change)
        for change in waiting:
            for remainder in _remainder(change, fate, draw):
                image.apply(remainder)
        return image

    def _copy(self) -> Image:
        folders = {node: dict(names) for node, names in self.before.folders.items()}
        return Image(folders, {node: bytearray(d) for node, d in self.before.files.items()})

    def _made(self, path: Path) -> int:
        node = self._nodes[path.stat().st_ino] = next(self._numbers)
        self.changes.append(Names(self._node(path.parent), {path.name: node}))
        return node

    def _node(self, place: Path | int) -> int:
        status = os.fstat(place) if isinstance(place, int) else place.lstat()
        return self._nodes[status.st_ino]

    def _scan(self, folder: Path, node: int) -> None:
        entries = self.before.folders.setdefault(node, {})
        for path in sorted(folder.iterdir()):
            child = self._nodes[path.stat().st_ino] = entries[path.name] = next(self._numbers)
            if path.is_dir():
                self.folders.add(child)
                self._scan(path, child)
            else:
                self.before.files[child] = bytearray(path.read_bytes())


def _remainder(change: Change, fate: Fate, draw: random.Random) -> Iterator[Change]:
    """What became of a change that was not synced."""
    likely = fate.names if isinstance(change, Names) else fate.data
    if draw.random() < likely:
        yield change
    elif isinstance(change, Bytes):
        length = draw.randrange(len(change.data) + 1)
        torn = change._replace(data=change.data[:length])
        zeros = change._replace(data=bytes(len(change.data)))
        yield from ([], [torn], [zeros])[draw.randrange(3)]
