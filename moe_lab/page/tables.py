"""Tables of a page, made of those of a report: what each cell is sorted by, and all of it as CSV and Markdown."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isfinite
from typing import Any

from moe_lab.page import definitions
from moe_lab.report import render, tidy
from moe_lab.report.pages import Sheet
from moe_lab.statistics import Interval, Proportion

_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Head:
    """The name of a column."""

    text: str
    column: str  # by which it is defined; empty for what is no number
    meaning: str


@dataclass(frozen=True)
class Cell:
    """What is shown, and the number that it is sorted by."""

    text: str
    number: float | None


@dataclass(frozen=True)
class Choice:
    """What choosing a row highlights in the figures."""

    point: str | None
    run: str | None = None


@dataclass(frozen=True)
class Row:
    """A row, that can be chosen if it stands for a run or a point."""

    cells: tuple[Cell, ...]
    choice: Choice | None


@dataclass(frozen=True)
class Table:
    """A table, in groups of rows that are divided by a line."""

    name: str  # unique on a page: an anchor
    title: str
    header: tuple[Head, ...]
    groups: tuple[tuple[Row, ...], ...]
    copies: dict[str, str]  # as csv, every digit of a number in it, and as markdown
    is_sortable: bool

    @property
    def can_choose(self) -> bool:
        """Whether its rows stand for runs or points."""
        return any(row.choice for group in self.groups for row in group)

    @property
    def explains(self) -> bool:
        """Whether its last column is prose, which may fold."""
        cells = [row.cells[-1] for group in self.groups for row in group]
        return len(self.header) < 4 and not any(cell.number is not None for cell in cells)


def table(
    name: str,
    sheet: Sheet,
    *,
    title: str = "",
    choices: Sequence[Choice | None] = (),
    is_sortable: bool = False,
) -> Table:
    """A sheet of a report; `choices` has one for each of its rows, or none."""
    rows, following = [row for row in sheet.rows if row], iter(choices)
    return Table(
        name=name,
        title=title,
        header=tuple(map(_head, sheet.header)),
        groups=tuple(
            tuple(Row(tuple(map(_cell, row)), next(following, None)) for row in group)
            for filled, group in groupby(sheet.rows, key=bool)
            if filled
        ),
        copies={"csv": tidy.table(sheet.header, rows), "markdown": render.markdown([sheet])},
        is_sortable=is_sortable,
    )


def _head(text: str) -> Head:
    column = definitions.meant(text)
    return Head(text, column.name if column else "", column.meaning if column else "")


def _cell(value: Any) -> Cell:
    number = _number(value)
    return Cell(render.cell(value), number if number is not None and isfinite(number) else None)


def _number(value: Any) -> float | None:
    """What a cell is sorted by: of an interval its mean, of a text the number that it begins with."""
    match value:
        case bool():
            return None
        case int() | float():
            return value
        case Interval():
            return value.mean
        case Proportion():
            return value.successes / value.n
        case str() if found := _NUMBER.match(value):
            return float(found[0])
    return None
