"""Runs to be exported, and what their files say, read by an obvious loop."""

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

FROZEN = Path(__file__).parents[1] / "reliability" / "frozen"
TABLES = ("steps", "utilization", "cv", "aux_loss", "eval", "router", "timing")
PLACE = ("step", "split", "layer")


class Cell(NamedTuple):
    """One number of a run as it stands in its file; "" where a table has no such column."""

    table: str
    step: str
    split: str
    layer: str
    column: str
    text: str


def cells(run: Path, table: str) -> Iterator[Cell]:
    """Every cell of a table that is no place, blank ones too, down to the last whole row."""
    whole = (run / f"{table}.csv").read_text().rpartition("\n")[0]
    for row in csv.DictReader(whole.splitlines()):
        place = [row.get(name, "") for name in PLACE]
        yield from (Cell(table, *place, name, row[name]) for name in row if name not in PLACE)


def all_cells(run: Path) -> list[Cell]:
    """Those of every table that the run has."""
    tables = (table for table in TABLES if (run / f"{table}.csv").exists())
    return [cell for table in tables for cell in cells(run, table)]


def rewrite(path: Path, old: str, new: str) -> None:
    """One text of a file for another, once."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def blank(run: Path, table: str, row: int, column: str, text: str = "") -> None:
    """Other text in one cell; row 0 is the first after the header."""
    path = run / f"{table}.csv"
    lines = [line.split(",") for line in path.read_text().splitlines()]
    lines[row + 1][lines[0].index(column)] = text
    path.write_text("".join(",".join(line) + "\n" for line in lines))


def many_experts(run: Path, n: int) -> None:
    """Makes a run one of so many experts, with different loads, by rewriting its utilization: four rows of it."""
    names = ",".join(f"expert_{i:0{max(2, len(str(n - 1)))}d}" for i in range(n))
    places = [line.split(",")[:3] for line in (run / "utilization.csv").read_text().splitlines()]
    loads = ",".join(repr((i + 1) / (n * (n + 1) / 2)) for i in range(n))
    rows = [",".join([*place, loads]) for place in places[1:5]]
    (run / "utilization.csv").write_text("\n".join([f"step,split,layer,{names}", *rows, ""]))


@pytest.fixture
def frozen(tmp_path: Path) -> Path:
    """schema-1 and schema-2, each with the runs `finished` and `stopped` and the sweep `sweep-alpha`."""
    return shutil.copytree(FROZEN, tmp_path / "frozen")


@pytest.fixture
def run(frozen: Path) -> Path:
    """A finished run of 6 steps, 2 layers and 3 experts."""
    return frozen / "schema-2" / "finished"


@pytest.fixture
def sweep(frozen: Path) -> Path:
    """alpha 0 and 0.1 at two seeds."""
    return frozen / "schema-2" / "sweep-alpha"
