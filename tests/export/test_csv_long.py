"""One table of all numbers, as their cells have them."""

import csv
from pathlib import Path

import pandas as pd
import pytest

from moe_lab.exporting import export

from .conftest import Cell, all_cells, blank, many_experts, rewrite


def read(folder: Path) -> list[dict[str, str]]:
    with (folder / "long.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def as_written(row: dict[str, str], width: int = 2) -> Cell:
    """The cell of a run's file that a row stands for."""
    name = f"expert_{int(row['expert']):0{width}d}" if row["expert"] else row["name"]
    assert (row["name"] == "load") == (row["table"] == "utilization")
    return Cell(row["table"], row["step"], row["split"], row["layer"], name, row["value"])


@pytest.mark.parametrize("which", ["schema-1/finished", "schema-2/finished", "schema-2/stopped"])
def test_every_cell_of_every_table_is_a_row_in_the_order_of_the_files(frozen: Path, which: str):
    rows = read(export([frozen / which], "csv-long").folder)
    assert [as_written(row) for row in rows] == all_cells(frozen / which)
    assert {row["run"] for row in rows} == {Path(which).name}


def test_the_runs_of_a_sweep_follow_each_other(sweep: Path):
    rows = read(export([sweep], "csv-long").folder)
    names = list(dict.fromkeys(row["run"] for row in rows))
    assert names == ["alpha-0-s0", "alpha-0.1-s0", "alpha-0-s1", "alpha-0.1-s1"]
    for name in names:
        found = [as_written(row) for row in rows if row["run"] == name]
        assert found == all_cells(sweep / name)


def test_a_blank_stays_one_and_nan_is_no_blank(run: Path):
    blank(run, "cv", 0, "margin")
    blank(run, "cv", 1, "margin", "nan")
    values = [
        row["value"] for row in read(export([run], "csv-long").folder) if row["name"] == "margin"
    ]
    assert values[:2] == ["", "nan"]


def test_a_thousand_experts_are_rows(run: Path):
    many_experts(run, 1024)
    rows = read(export([run], "csv-long").folder)
    assert [as_written(row, 4) for row in rows] == all_cells(run)
    assert max(int(row["expert"]) for row in rows if row["expert"]) == 1023


def test_pandas_reads_back_the_very_numbers(run: Path):
    folder = export([run], "csv-long").folder
    frame = pd.read_csv(folder / "long.csv", keep_default_na=False, na_values=[""])
    written = [cell.text for cell in all_cells(run)]
    assert [float(text or "nan").hex() for text in written] == [x.hex() for x in frame["value"]]


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", '"<b>,x', "@SUM(1)", "-1+2"])
def test_no_name_of_a_run_is_a_formula_or_breaks_a_row(run: Path, name: str):
    moved = run.rename(run.with_name(name.replace("/", ":")))
    rows = read(export([moved], "csv-long").folder)
    formula = name.startswith(("=", "@", "-"))
    assert {row["run"] for row in rows} == {("'" if formula else "") + moved.name}


def test_a_name_s_control_characters_are_escaped(run: Path):
    moved = run.rename(run.with_name("a\x1b[31m\nb"))
    rows = read(export([moved], "csv-long").folder)
    assert {row["run"] for row in rows} == {r"a\x1b[31m\nb"}


def test_the_name_of_a_column_is_no_formula(run: Path):
    rewrite(run / "eval.csv", "domain_0_loss", "-1_loss")
    names = {row["name"] for row in read(export([run], "csv-long").folder)}
    assert "'-1_loss" in names
    assert "-1_loss" not in names
