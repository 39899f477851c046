"""Summaries as one long table, a number or word per row, for spreadsheets and data frames."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from moe_lab import escape
from moe_lab.report.compare import flat
from moe_lab.report.pages import Summary

HEADER = ("run", "section", "name", "layer", "value")
WHOLE_RUN = ("name", "state", "step", "steps", "verdict", "worst_layer", "rho")
COURSE = ("verdict", "start", "lowest", "lowest_step", "end", "onsets", "recoveries")
STABILITY = ("saturation", "fluctuation")
Row = tuple[str, str, Any, Any]  # section, name, layer, value


def to_csv(summaries: Iterable[Summary]) -> str:
    """One row per number or word; `run` is the directory as given."""
    rows = ((summary["directory"], *row) for summary in summaries for row in _rows(summary))
    return table(HEADER, rows)


def table(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """RFC 4180. Numbers read back exactly, blanks are unknown, lists and mappings are JSON, no text is a formula."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_cell(name) for name in header])
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _rows(summary: Summary) -> Iterator[Row]:
    yield from (("run", name, None, summary[name]) for name in WHOLE_RUN)
    loss = {name: value for name, value in summary["loss"].items() if name != "ladder"}
    yield from _section("loss", loss)
    yield from (("ladder", rung["rung"], None, rung["loss"]) for rung in summary["loss"]["ladder"])
    for course in summary["evidence"]:
        yield from (("course", name, course["layer"], course[name]) for name in COURSE)
    for row in summary["stability"]:
        yield from (
            ("stability", f"{n} at step {row['step']}", row["layer"], row[n]) for n in STABILITY
        )
    for section in ("balance", "router"):
        for row in summary[section]:
            measures = ((name, value) for name, value in row.items() if name != "layer")
            yield from ((section, name, row["layer"], value) for name, value in measures)
    for section in ("references", "floors", "auxiliary", "throughput", "provenance", "config"):
        yield from _section(section, summary[section])


def _section(name: str, values: dict[str, Any]) -> Iterator[Row]:
    return ((name, key, None, value) for key, value in flat(values))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list | tuple | dict):
        return json.dumps(value)
    return escape.spreadsheet(value) if isinstance(value, str) else str(value)
