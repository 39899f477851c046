"""Tables read back: to their last whole row, in one pass, and refused at the line where no writer of ours was.

What was damaged or edited is never guessed at: a number is read as it was written, or its line is named.
"""

import io
import os
from collections.abc import Iterable, Iterator
from csv import QUOTE_NONE
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from moe_lab.errors import ArtefactError, Place
from moe_lab.store import limits, table_rules
from moe_lab.store.files import reading

if TYPE_CHECKING:
    import pandas as pd

TAIL = 100_000  # bytes at the end of a table in which its last row is looked for
PIECE = 2**18  # bytes that are read at a time
WRITTEN = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-,\n"


def read_table(path: Path) -> "pd.DataFrame":
    """The whole rows as a frame; blanks are NaN.

    Raises ArtefactError, with the line, for a row that is damaged, out of order or none of this table.
    """
    import pandas as pd  # only where tables are read: it takes half a second to import

    frame = pd.read_csv(  # exact from pandas 3.1 on
        _Text(whole_rows(path)),
        keep_default_na=False,
        na_values=["", "nan"],
        quoting=QUOTE_NONE,
    )
    if table_rules.is_suspect(frame):
        _check_cells(path)
    if found := table_rules.wrong_row(path.stem, frame):
        index, wrong = found
        _refuse(path, index + 2, _line(path, index + 2), wrong)
    return frame


def whole_rows(path: Path) -> Iterator[bytes]:
    """The table up to its last whole row, one that ends in a newline and has every field, in pieces of whole lines.

    Raises ArtefactError if the header or a row before the last is damaged, or if the table is too large.
    """
    with reading(path, limits.TABLE) as file:
        header = header_line(path, file)
        yield header
        commas, number, rest = header.count(b","), 2, b""
        while piece := file.read(PIECE):
            rest += piece
            end = rest.rfind(b"\n", 0, max(0, rest.rfind(b"\n"))) + 1  # before the last whole line
            check_lines(path, number, rest[:end], commas)
            yield rest[:end]
            number, rest = number + rest.count(b"\n", 0, end), rest[end:]
            limits.LINE.check(len(rest) - rest.find(b"\n") - 1, path, Place(str(path), number))
        last = rest[: rest.find(b"\n") + 1]
        if last.count(b",") >= commas:
            check_lines(path, number, last, commas)
            yield last


def lines(path: Path) -> Iterator[bytes]:
    """The same line by line, without newlines; the header first."""
    return (line for piece in whole_rows(path) for line in piece.split(b"\n")[:-1])


def last_row(path: Path) -> dict[str, str]:
    """The cells of the last whole row by column, from the file's two ends alone; empty if there is no row."""
    with reading(path, limits.STREAMED) as file:
        header = column_names(header_line(path, file))
        start = max(file.tell(), os.fstat(file.fileno()).st_size - TAIL)
        file.seek(start)
        *found, _torn = file.read().decode(errors="replace").split("\n")
    whole = [cells for line in found if len(cells := line.split(",")) == len(header)]
    return dict(zip(header, whole[-1], strict=True)) if whole else {}


def last_numbers(path: Path, names: Iterable[str]) -> dict[str, float | None]:
    """Cells of the last whole row, as `last_row` finds it; None: blank, not finite, or no such row or column.

    Raises ArtefactError for a cell that is no number.
    """
    row = last_row(path)
    return {name: _number(path, name, row.get(name, "")) for name in names}


def read_header(path: Path) -> list[str]:
    """The names of a table's columns. Raises ArtefactError if it has none, or one twice."""
    with reading(path, limits.STREAMED) as file:
        return column_names(header_line(path, file))


class _Text(io.TextIOBase):
    """What pandas reads a table from: it takes pieces of any length."""

    def __init__(self, pieces: Iterator[bytes]):
        self._pieces = pieces

    def read(self, size: int | None = -1) -> str:
        """The next piece that is not empty; nothing at the end."""
        return next(filter(None, self._pieces), b"").decode()


def header_line(path: Path, file: BinaryIO) -> bytes:
    """The first line of a table that is read from its start. Raises ArtefactError if it can be no header."""
    line = file.readline(limits.LINE.most + 1)
    place = Place(str(path), 1)
    limits.LINE.check(len(line), path, place)
    if not line.strip() or not line.endswith(b"\n"):
        raise ArtefactError(f"{path} has no header line")
    limits.COLUMNS.check(line.count(b",") + 1, path)
    check_lines(path, 1, line, line.count(b","))
    names = column_names(line)
    if "" in names or len(set(names)) < len(names):
        raise ArtefactError(f"{path} has a column without a name, or two of one name")
    return line


def column_names(header: bytes) -> list[str]:
    """The names in a header line."""
    return header.decode().removesuffix("\n").split(",")


def check_lines(path: Path, first: int, lines: bytes, commas: int) -> None:
    """Raises ArtefactError unless each line has so many commas, a possible length and nothing that no writer wrote."""
    rows = lines.split(b"\n")[:-1]
    limits.ROWS.check(first + len(rows) - 2, path)
    counts, longest = {row.count(b",") for row in rows}, max(map(len, rows), default=0)
    if counts - {commas} or longest > limits.LINE.most or lines.translate(None, WRITTEN):
        for number, row in enumerate(rows, start=first):
            _check_row(path, number, row, commas)


def _check_row(path: Path, number: int, row: bytes, commas: int) -> None:
    limits.LINE.check(len(row), path, Place(str(path), number))
    foreign = row.translate(None, WRITTEN)[:1]
    if foreign:
        wrong = f"byte 0x{foreign.hex()} is in no table: this line was damaged, or edited elsewhere"
        _refuse(path, number, row, wrong, column=row.index(foreign))
    if (found := row.count(b",")) != commas:
        _refuse(path, number, row, f"row with {found + 1} fields under a header of {commas + 1}")


def _check_cells(path: Path) -> None:
    """Raises ArtefactError at the first cell that is not of its column."""
    names = read_header(path)
    for number, line in enumerate(islice(lines(path), 1, None), start=2):
        column = 0
        for name, cell in zip(names, line.decode().split(","), strict=True):
            if wrong := table_rules.wrong_cell(name, cell):
                _refuse(path, number, line, f"{name} {wrong}", column, len(cell))
            column += len(cell) + 1


def _number(path: Path, name: str, cell: str) -> float | None:
    if wrong := table_rules.wrong_cell(name, cell):
        raise ArtefactError(f"{path}: in its last row {name} {wrong}")
    value = float(cell or "nan")
    return value if isfinite(value) else None


def _line(path: Path, number: int) -> bytes:
    return next(islice(lines(path), number - 1, None))


def _refuse(
    path: Path, number: int, line: bytes, wrong: str, column: int = 0, width: int = 0
) -> NoReturn:
    """Raises ArtefactError that shows a line, from shortly before a column of it on."""
    start = max(0, column - 40)
    text = line[start : start + 80].decode(errors="replace")
    place = Place(str(path), number, column - start + 1, text, width or len(text))
    raise ArtefactError(wrong, place=place)
