"""One CSV with a row per number, for spreadsheets and whatever reads no more than text: `long.csv`.

A value is the text of its cell; cells that were left blank are there, too, so that nothing is lost. Only text can be
changed: what a spreadsheet would take for a formula has an apostrophe before it.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from moe_lab import columns, escape
from moe_lab.export.base import Door, Source, Table
from moe_lab.store.disk import Disk

FILE = "long.csv"
EXPERT = re.compile(r"expert_(\d+)")  # a column of utilization.csv
PLACE = columns.names(columns.PLACE)
HEADER = ("run", "table", *PLACE, "expert", "name", "value")


class CsvLong(Door):
    """run, table, step, split, layer, expert, name, value; what a number has not is blank."""

    def __init__(self, disk: Disk, folder: Path, sources: Sequence[Source]):
        super().__init__(disk, folder, sources)
        text = io.TextIOWrapper(self._file(FILE), "utf-8", newline="", write_through=True)
        self._open.callback(text.detach)  # the file below is closed by whoever has opened it
        self._csv = csv.writer(text, lineterminator="\n")
        self._csv.writerow(HEADER)

    def add(self, source: Source) -> None:
        """Write the rows of each table."""
        run = escape.spreadsheet(source.name)
        for table in source.tables:
            self._csv.writerows((run, table.name, *row) for row in _rows(table))

    @staticmethod
    def hint(folder: Path) -> str:
        """How pandas reads it."""
        return f"pd.read_csv({str(folder / FILE)!r})"


def _rows(table: Table) -> Iterator[tuple[str, ...]]:
    """step, split, layer, expert, name and value of each cell."""
    named = {column: _named(column) for column in table.header if column not in PLACE}
    for cells in table.cells():
        place = [cells.get(word, "") for word in PLACE]
        for column, (expert, name) in named.items():
            yield (*place, expert, name, cells[column])


def _named(column: str) -> tuple[str, str]:
    """Expert, if the column is one's, and name of a number."""
    expert = EXPERT.fullmatch(column)
    return (str(int(expert[1])), "load") if expert else ("", escape.spreadsheet(column))
