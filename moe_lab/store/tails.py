"""Rows that no checkpoint had counted when a run was reopened: set aside, and compared with those computed again."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from moe_lab.store import layout
from moe_lab.store.disk import Disk
from moe_lab.store.files import reading
from moe_lab.store.limits import STREAMED
from moe_lab.store.prefix import Prefix

LONGEST = 100_000_000  # bytes of a table that are set aside: far more than a run writes between two checkpoints


@dataclass(frozen=True)
class _Tail:
    path: Path
    table: Path
    offset: int  # in the table, bytes
    rows: list[bytes]  # whole ones, up to the first that a kill or a power cut has torn

    @property
    def end(self) -> int:
        """Where in the table its last row ends."""
        return self.offset + sum(len(row) + 1 for row in self.rows)

    def difference(self) -> int | None:
        """The step of the first row that the table has another one for."""
        again = _beyond(self.table, self.offset).split(b"\n")
        pairs = zip(self.rows, again, strict=False)
        return next((int(new.split(b",")[0]) for old, new in pairs if old != new), None)


class Tails:
    """What was set aside of a run's tables and has not come by again."""

    def __init__(self, disk: Disk, directory: Path, tables: Collection[str]):
        self._disk = disk
        self._folder = directory / layout.TAILS
        places = ((path, layout.tail_place(path)) for path in sorted(self._folder.glob("*.csv")))
        self._waiting = [
            _Tail(path, layout.table(directory, place[0]), place[1], _whole_rows(_beyond(path, 0)))
            for path, place in places
            if place and place[0] in tables  # foreign names are not ours
        ]

    def settle(self, tables: Mapping[str, Prefix]) -> dict[str, int]:
        """Deletes what the tables have equal rows for by now; the step of the first that differs, by table.

        What differs stays where it is, and counts no more.
        """
        differences: dict[str, int] = {}
        for tail in [tail for tail in self._waiting if tail.end <= tables[tail.table.stem].length]:
            self._waiting.remove(tail)
            if (step := tail.difference()) is None:
                self._disk.discard(tail.path)
            else:
                differences.setdefault(tail.table.stem, step)
        self._tidy()
        return differences

    def forget(self) -> None:
        """Deletes what has not come by again."""
        for tail in self._waiting:
            self._disk.discard(tail.path)
        self._waiting.clear()
        self._tidy()

    def _tidy(self) -> None:
        if self._folder.exists() and not any(self._folder.glob("*.csv")):
            self._disk.discard_tree(self._folder)


def set_aside(disk: Disk, directory: Path, tables: Mapping[str, Prefix]) -> None:
    """Copies, durably, what each table has beyond its commit, before anything is cut.

    A kill before all of it has come by again loses nothing: what lies there of the same place and is longer stays.
    """
    for name, prefix in tables.items():
        if name in layout.CLOCKED:
            continue
        data = _beyond(layout.table(directory, name), prefix.length)
        path = layout.tail(directory, name, prefix.length)
        if len(data) > (path.stat().st_size if path.exists() else 0):
            disk.make_folder(path.parent)
            disk.replace(path, data)


def _whole_rows(data: bytes) -> list[bytes]:
    """Rows that end in a newline; a power cut may leave zeros."""
    return list(takewhile(lambda row: b"\0" not in row, data.split(b"\n")[:-1]))


def _beyond(path: Path, offset: int) -> bytes:
    with reading(path, STREAMED) as file:
        file.seek(offset)
        return file.read(LONGEST)
