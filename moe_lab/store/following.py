"""A table that another process is writing: each whole row once, whatever its length, and nothing read twice."""

import os
from pathlib import Path
from typing import BinaryIO

from moe_lab.errors import Place
from moe_lab.store import limits
from moe_lab.store.files import reading
from moe_lab.store.table_reading import check_lines, column_names, header_line

PIECE = 2**20  # bytes that are read at a time, at most
MARK = 1000  # bytes before the place that was reached, by which it is known again


class CutBack(Exception):
    """A table has other rows now than those that were read: its run went back to a checkpoint."""


class TableFollower:
    """Reads on from where it stopped. Nothing is locked and nothing is written."""

    def __init__(self, path: Path):
        self.path = path
        self.names: list[str] = []  # of the columns; none before the first `read`
        self.has_more = False  # whether there is more than the last `read` took
        self._place, self._lines, self._mark = (
            0,
            0,
            b"",
        )  # where the next row begins, and what stands before it

    def read(self) -> list[list[str]]:
        """The cells of the next whole rows; none if there are none by now.

        A row is whole as `whole_rows` has it. Raises CutBack, and ArtefactError for a table that is damaged or gone.
        """
        with reading(self.path, limits.STREAMED) as file:
            if not self._place:
                header = header_line(self.path, file)
                self.names = column_names(header)
                self._pass(header)
            self._check_mark(file)
            data = file.read(PIECE)
            rest = os.fstat(file.fileno()).st_size - self._place
        rows = self._whole(data)
        self._pass(rows)
        self.has_more = bool(rows) and rest > len(rows)
        return [line.split(",") for line in rows.decode().split("\n")[:-1]]

    def _check_mark(self, file: BinaryIO) -> None:
        """Leaves the file at the place that was reached."""
        file.seek(self._place - len(self._mark))
        if file.read(len(self._mark)) != self._mark:
            raise CutBack

    def _whole(self, data: bytes) -> bytes:
        """The whole rows at the start of what was read."""
        rows, commas = data[: data.rfind(b"\n") + 1], len(self.names) - 1
        place = Place(str(self.path), self._lines + rows.count(b"\n") + 1)
        limits.LINE.check(len(data) - len(rows), self.path, place)
        last = rows[rows.rfind(b"\n", 0, -1) + 1 :]
        if len(rows) == len(data) and last.count(b",") < commas:
            rows = rows[: -len(last)]  # torn: whatever follows will be refused
        check_lines(self.path, self._lines + 1, rows, commas)
        return rows

    def _pass(self, rows: bytes) -> None:
        self._place, self._lines = self._place + len(rows), self._lines + rows.count(b"\n")
        self._mark = (self._mark + rows)[-MARK:]
