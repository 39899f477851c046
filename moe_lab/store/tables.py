"""Tables of a run: appended line by line, read back exactly, never beyond the last whole row."""

import os
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import SupportsFloat

from moe_lab.errors import ArtefactError
from moe_lab.store.disk import Disk, writing
from moe_lab.store.prefix import Prefix
from moe_lab.store.table_reading import read_header


def create_table(disk: Disk, path: Path, header: Sequence[str]) -> Prefix:
    """Writes a new table's header."""
    line = _line(header)
    disk.write_new(path, line)
    return Prefix().plus(line)


class TableWriter:
    """Appends rows to an existing table; what it has beyond its prefix is cut off first.

    Rows wait in memory until `flush`; those never flushed are dropped: a step is written whole.
    """

    def __init__(self, disk: Disk, path: Path, prefix: Prefix):
        self._disk = disk
        self.path = path
        self.prefix = prefix  # what the operating system was given
        self._checked = prefix  # what it gave back
        self._waiting: list[bytes] = []
        self.header = read_header(path)
        self._columns = frozenset(self.header)
        disk.cut(path, prefix.length)
        with writing(path):
            self._descriptor = disk.system.change(path)

    def append(self, row: Mapping[str, object]) -> None:
        """Adds one row; a column that is missing or None stays blank."""
        assert row.keys() <= self._columns, f"{self.path}: {row.keys() - self._columns}"
        self._waiting.append(_line([cell(row.get(column)) for column in self.header]))

    def flush(self) -> None:
        """Hands the waiting rows to the operating system; after an error, again from the same place on."""
        data = b"".join(self._waiting)
        with writing(self.path):
            os.lseek(self._descriptor, self.prefix.length, os.SEEK_SET)
            self._disk.write_all(self._descriptor, data)
        self._waiting.clear()
        self.prefix = self.prefix.plus(data)

    def sync(self) -> Prefix:
        """Flushes and makes the table durable; what it is then. Raises ArtefactError if it does not read back."""
        self.flush()
        place = self._checked.length
        with writing(self.path):
            self._disk.system.sync(self._descriptor)
            rows = os.pread(self._descriptor, self.prefix.length - place, place)
        self._checked = self._checked.plus(rows)
        if self._checked.sha256 != self.prefix.sha256:
            raise ArtefactError(f"{self.path} does not read back as it was written")
        return self.prefix

    def close(self) -> None:
        """Closes the file; waiting rows are dropped."""
        os.close(self._descriptor)


def cell(value: object) -> str:
    """A value as it is stored: a number reads back exactly, None is blank."""
    if isinstance(value, float):
        return float.__repr__(value)  # NumPy's own repr names its type
    if value is None:
        return ""
    if type(value) is int:  # before Integral, whose test is slow; bool is one of those
        return repr(value)
    if isinstance(value, str):
        assert not set(value) & set(',"\r\n'), value  # a row is split at commas and nothing else
        return value
    if isinstance(value, Integral):
        return str(int(value))
    assert isinstance(value, SupportsFloat), value
    return repr(float(value))


def _line(cells: Sequence[str]) -> bytes:
    return (",".join(cells) + "\n").encode()
