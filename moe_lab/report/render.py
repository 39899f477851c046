"""Summaries as tables for people. Off a terminal a table takes the width it needs."""

import sys
from collections.abc import Sequence
from math import log
from typing import Any, NoReturn

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from moe_lab.report import compare
from moe_lab.report.summary import BALANCE, LAST

Summary = dict[str, Any]
UNLIMITED = 10_000  # columns
ONE_RUN = "One seed is an anecdote: a difference between two runs carries no interval."
READING = (
    "cv_floor: what sampling noise alone gives. It tells noise from imbalance, not harmless from harmful.\n"
    f"dropped: mean over the last {LAST:.0%} of training steps; all else: last evaluation, without noise."
)


class Printer(Console):
    """A console that leaves a reader who has gone, as `head` does, to the caller."""

    def on_broken_pipe(self) -> NoReturn:
        """Called by print on a closed pipe; Rich's own would exit with the code of a bug."""
        raise BrokenPipeError


def console() -> Console:
    """For stdout: coloured on a terminal, never truncated elsewhere."""
    return Printer(width=None if sys.stdout.isatty() else UNLIMITED, highlight=False)


def one(summary: Summary, to: Console) -> None:
    """A single run."""
    _say(to, f"{summary['name']}: {_verdict(summary)}  ({_progress(summary)})", style="bold")
    for course in summary["evidence"]:
        _say(to, f"  {course['sentence']}")
    _say(to, "")
    _loss(summary["loss"], to)
    if summary["balance"]:
        _balance(summary["balance"], to)
    _auxiliary(summary["auxiliary"], to)
    _pairs("throughput (median)", summary["throughput"], to)
    _pairs("provenance", dict(compare.flat(summary["provenance"])), to)


def several(summaries: Sequence[Summary], to: Console) -> None:
    """Runs side by side: first what was asked of them, then what came of it."""
    runs = list(summaries)
    table = _table("", *(run["name"] for run in runs))
    _row(table, "steps", *(_progress(run) for run in runs))
    for key, values in compare.differences(runs).items():
        _row(table, key, *values)
    table.add_section()
    columns = [compare.outcomes(run) for run in runs]
    for name in columns[0]:
        _row(table, name, *(column[name] for column in columns))
    to.print(table)
    _say(to, ONE_RUN)


def _verdict(summary: Summary) -> str:
    return summary["verdict"] or "no verdict yet"


def _progress(summary: Summary) -> str:
    return f"{summary['state']}, {summary['step']} of {summary['steps']}"


def _loss(loss: dict[str, Any], to: Console) -> None:
    """Loss beside the rungs that need no training, worst first."""
    table = _table("loss, nats per token", "", "")
    for rung in loss["ladder"]:
        note = f"+/- {_cell(rung['error'])}" if rung["error"] else ""
        _row(table, rung["rung"], rung["loss"], note)
    if "lm_loss" in loss:
        _row(table, "lm_loss", loss["lm_loss"], f"held-out, step {loss['step']:.0f}")
        nats = loss["lm_loss"]
        bits = None if nats is None else nats / log(2)
        _row(table, "  in bits", bits, "per token (text: per byte)")
        _row(table, "gap to bayes", loss.get("gap"), "exact mean KL divergence")
        _row(table, "nmi", loss.get("nmi"), "1: the expert tells the domain")
        for name, value in loss.items():
            if name.endswith("_loss") and name != "lm_loss":
                _row(table, f"  {name}", value, "")
    to.print(table)


def _balance(rows: Sequence[dict[str, Any]], to: Console) -> None:
    """Measures down and layers across: a terminal is narrower than the list of measures."""
    table = _table("balance per layer", *(str(row["layer"]) for row in rows))
    for name in BALANCE:
        _row(table, name, *(row[name] for row in rows))
    to.print(table)
    _say(to, READING + "\n")


def _auxiliary(auxiliary: dict[str, Any], to: Console) -> None:
    shares = auxiliary["router_grad_share"]
    words = ", ".join(f"layer {layer} {_percent(share)}" for layer, share in shares.items())
    measured = auxiliary["router_grad_step"]
    step = "" if measured is None else f", step {measured}"
    pairs = {
        "balance, alpha": f"{auxiliary['balance']}, {_cell(auxiliary['alpha'])}",
        "aux_loss / lm_loss": _percent(auxiliary["aux_over_lm"]),
        f"share of router gradient{step}": words or None,
    }
    _pairs("auxiliary loss", pairs, to)


def _pairs(title: str, pairs: dict[str, Any], to: Console) -> None:
    table = _table(title, "")
    for name, value in pairs.items():
        _row(table, name, value)
    to.print(table)


def _table(first: str, *rest: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, header_style="bold")
    table.add_column(Text(first), overflow="fold")
    for name in rest:
        table.add_column(Text(name), justify="right", overflow="fold")
    return table


def _row(table: Table, *cells: Any) -> None:
    """Cells as plain text: nothing a user wrote is read as markup."""
    table.add_row(*(Text(_cell(cell)) for cell in cells))


def _say(to: Console, text: str, style: str | None = None) -> None:
    to.print(Text(text, style=style or ""), soft_wrap=True)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _cell(value: Any) -> str:
    """Four significant digits; control characters are shown, not sent to the terminal."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    if isinstance(value, list | tuple):
        value = " ".join(map(str, value))
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value))
