"""Tables of a run: appended line by line, read back exactly, never beyond the last whole row."""

import io
import os
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, SupportsFloat

from moe_lab.errors import ArtefactError, Place
from moe_lab.store.disk import Disk, writing
from moe_lab.store.files import read_regular, reading

if TYPE_CHECKING:
    import pandas as pd

TAIL = 100_000  # bytes at the end of a table in which its last row is looked for


def create_table(disk: Disk, path: Path, header: Sequence[str]) -> int:
    """Writes a new table's header; its length in bytes."""
    line = _line(header)
    disk.write_new(path, line)
    return len(line)


class TableWriter:
    """Appends rows to an existing table; what it has beyond `length` bytes is cut off first.

    Rows wait in memory until `flush`; those never flushed are dropped: a step is written whole.
    """

    def __init__(self, disk: Disk, path: Path, length: int):
        self._disk = disk
        self.path = path
        self.length = length  # bytes that the operating system has
        self._waiting: list[bytes] = []
        with writing(path):
            self._descriptor = disk.system.change(path)
            disk.system.truncate(self._descriptor, length)
            os.lseek(self._descriptor, length, os.SEEK_SET)
        self.header = _header(path, read_regular(path))
        self._columns = frozenset(self.header)

    def append(self, row: Mapping[str, object]) -> None:
        """Adds one row; a column that is missing or None stays blank."""
        assert row.keys() <= self._columns, f"{self.path}: {row.keys() - self._columns}"
        self._waiting.append(_line([cell(row.get(column)) for column in self.header]))

    def flush(self) -> None:
        """Hands the waiting rows to the operating system."""
        data = b"".join(self._waiting)
        with writing(self.path):
            self._disk.write_all(self._descriptor, data)
        self._waiting.clear()
        self.length += len(data)

    def sync(self) -> int:
        """Flushes and makes the table durable; its length in bytes."""
        self.flush()
        with writing(self.path):
            self._disk.system.sync(self._descriptor)
        return self.length

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


def whole_rows(path: Path) -> bytes:
    """The table up to its last whole row: one that ends in a newline and has every field.

    Raises ArtefactError if the header or a row before the last is damaged.
    """
    data = read_regular(path)
    commas = len(_header(path, data)) - 1
    *lines, _torn = data.split(b"\n")
    if lines[-1].count(b",") < commas:
        lines.pop()
    for number, line in enumerate(lines, start=1):
        if line.count(b",") != commas:
            text = line[:80].decode(errors="replace")
            message = f"row with {line.count(b',') + 1} fields under a header of {commas + 1}"
            raise ArtefactError(message, place=Place(str(path), number, 1, text, len(text)))
    return b"".join(line + b"\n" for line in lines)


def last_row(path: Path) -> dict[str, str]:
    """The cells of the last whole row by column, from the file's two ends alone; empty if there is no row."""
    with reading(path) as file:
        header = _header(path, file.readline())
        start = max(file.tell(), os.fstat(file.fileno()).st_size - TAIL)
        file.seek(start)
        *lines, _torn = file.read().decode(errors="replace").split("\n")
    whole = [cells for line in lines if len(cells := line.split(",")) == len(header)]
    return dict(zip(header, whole[-1], strict=True)) if whole else {}


def read_table(path: Path) -> "pd.DataFrame":
    """The whole rows as a frame; blanks are NaN. Raises as `whole_rows` does."""
    import pandas as pd  # only where tables are read: it takes half a second to import

    return pd.read_csv(io.BytesIO(whole_rows(path)))  # exact from pandas 3.1 on


def _header(path: Path, data: bytes) -> list[str]:
    line, newline, _ = data.partition(b"\n")
    if not (line and newline):
        raise ArtefactError(f"{path} has no header line")
    return line.decode(errors="replace").split(",")


def _line(cells: Sequence[str]) -> bytes:
    return (",".join(cells) + "\n").encode()
