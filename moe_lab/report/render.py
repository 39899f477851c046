"""The parts of a report as text: for a terminal, where tables fit or fold, and as GitHub-flavoured Markdown."""

import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, NoReturn

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from moe_lab import escape
from moe_lab.report import pages
from moe_lab.report.pages import Note, Part, Sheet, Summary

UNLIMITED = 10_000  # columns
SHOWN = 8  # layers, at most, where not all fit


class Printer(Console):
    """A console that leaves a reader who has gone, as `head` does, to the caller."""

    def on_broken_pipe(self) -> NoReturn:
        """Called by print on a closed pipe; Rich's own would exit with the code of a bug."""
        raise BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """Coloured on a terminal, never truncated elsewhere."""
    stream = sys.stderr if stderr else sys.stdout
    return Printer(width=None if stream.isatty() else UNLIMITED, highlight=False, stderr=stderr)


def one(summary: Summary, to: Console, *, all_layers: bool = False) -> None:
    """A single run. A terminal is shown as many layers as fit, the worst ones, unless all are wanted."""
    shown = None if all_layers or not to.is_terminal else _fitting(summary, to)
    show(pages.one(summary, shown), to)


def show(parts: Iterable[Part], to: Console) -> None:
    """Print parts one below the other."""
    for part in parts:
        if isinstance(part, Sheet):
            shown, hidden = _narrowed(part, to)
            whole = _table(shown, joined=True)
            to.print(whole if _fits(whole, to) else _table(shown))
            if hidden:
                names = escape.line(", ".join(hidden))
                to.print(
                    Text(f"not shown: {names}; widen the terminal or use --format md"),
                    soft_wrap=True,
                )
        else:
            style = "bold" if part.heading else ""
            to.print(Text(escape.lines(part.text), style=style), soft_wrap=True)


def markdown(parts: Iterable[Part]) -> str:
    """The same as GitHub-flavoured Markdown, in which nothing a user wrote is markup."""
    return "\n".join(
        _markdown_sheet(part) if isinstance(part, Sheet) else _markdown_note(part) for part in parts
    )


def cell(value: Any) -> str:
    """One line: numbers with four significant digits, and text in which nothing is a control character."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    if isinstance(value, list | tuple):
        value = " ".join(map(str, value))
    return escape.line(str(value))


def _fitting(summary: Summary, to: Console) -> list[int] | None:
    """None if all layers fit; else the worst, as many as fit and at least one."""
    numbers = [len(summary["evidence"]), *range(SHOWN, 0, -1)]
    for number in numbers:
        chosen = pages.worst_layers(summary, number)
        tables = [_table(sheet) for sheet in pages.layered(summary, chosen)]
        if all(_fits(table, to) for table in tables):
            break
    return None if len(chosen) == len(summary["evidence"]) else chosen


def _narrowed(sheet: Sheet, to: Console) -> tuple[Sheet, Sequence[str]]:
    """Without as many spare columns as have to go for the others to fit; and which these are."""
    for number in range(len(sheet.spare) + 1):
        hidden = sheet.spare[:number]
        kept = [i for i, name in enumerate(sheet.header) if name not in hidden]
        header, *rows = (
            tuple(row[i] for i in kept) if row else row for row in (sheet.header, *sheet.rows)
        )
        shown = Sheet(header, tuple(rows))
        if _fits(_table(shown, joined=True), to):
            break
    return shown, hidden


def _fits(table: Table, to: Console) -> bool:
    unlimited = to.options.update(width=UNLIMITED)  # else a width is cut to the terminal's
    return to.measure(table, options=unlimited).maximum <= to.width


def _table(sheet: Sheet, *, joined: bool = False) -> Table:
    """joined: rows as the lines of a single one, which looks the same where nothing folds, and is drawn five times
    as fast.
    """
    table = Table(box=box.SIMPLE, pad_edge=False, header_style="bold")
    first, *rest = map(escape.line, sheet.header)
    table.add_column(Text(first), overflow="fold", no_wrap=joined)
    for name in rest:
        table.add_column(Text(name), justify="right", overflow="fold", no_wrap=joined)
    for filled, section in groupby(sheet.rows, key=bool):
        if not filled:
            table.add_section()
            continue
        rows = [[cell(value) for value in row] for row in section]
        if joined:
            rows = [["\n".join(column) for column in zip(*rows, strict=True)]]
        for row in rows:
            table.add_row(*map(Text, row))
    return table


def _markdown_sheet(sheet: Sheet) -> str:
    rule = ("---", *["---:"] * (len(sheet.header) - 1))
    rows = [sheet.header, *(row for row in sheet.rows if row)]
    header, *lines = [[escape.markdown(cell(value).strip()) for value in row] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in (header, rule, *lines))


def _markdown_note(note: Note) -> str:
    lines = [escape.markdown(line.strip()) for line in note.text.split("\n")]
    return f"### {lines[0]}\n" if note.heading else "  \n".join(lines) + "\n"
