"""A file per table, with types, read by pyarrow and pandas."""

import math
import struct
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from moe_lab import columns
from moe_lab.errors import ArtefactError
from moe_lab.export.parquet import _kind, _scalar
from moe_lab.exporting import export
from moe_lab.frames import load_run

from .conftest import PLACE, TABLES, Cell, blank, cells, many_experts, rewrite

FILES = tuple("loads" if table == "utilization" else table for table in TABLES)
COUNTS = {"step", "layer", "expert", "tokens", "assignments", "router_ties"}


def read(folder: Path, name: str) -> pa.Table:
    return parquet.read_table(folder / f"{name}.parquet")


def bits(value: float | None) -> bytes | None:
    """What tells -0.0 from 0.0, and NaN from null."""
    return None if value is None else struct.pack("<d", float(value))


def expected(run: Path, table: str) -> list[dict[str, str]]:
    """The rows of a file, from the cells of the CSV."""

    def place(cell: Cell) -> dict[str, str]:
        found = {"step": cell.step, "split": cell.split, "layer": cell.layer}
        return {name: text for name, text in found.items() if text}

    if table == "loads":
        return [
            {**place(c), "expert": c.column.removeprefix("expert_"), "load": c.text}
            for c in cells(run, "utilization")
        ]
    rows = groupby(cells(run, table), key=lambda cell: cell[1:4])
    found = (list(row) for _, row in rows)
    return [{**place(row[0]), **{cell.column: cell.text for cell in row}} for row in found]


def assert_is(value: Any, text: str) -> None:
    match value:
        case None:
            assert text == ""
        case str() | int():
            assert value == type(value)(text)
        case float():
            assert bits(value) == bits(float(text))


@pytest.mark.parametrize("which", ["schema-1/finished", "schema-2/finished", "schema-2/stopped"])
def test_every_cell_is_there_to_the_last_bit(frozen: Path, which: str):
    folder = export([frozen / which], "parquet").folder
    for name in FILES:
        found, wanted = read(folder, name).to_pylist(), expected(frozen / which, name)
        assert len(found) == len(wanted)
        for row, texts in zip(found, wanted, strict=True):
            assert row.pop("run") == Path(which).name
            assert list(row) == list(texts)
            for column, text in texts.items():
                assert_is(row[column], text)


def test_whole_numbers_stay_whole(run: Path):
    folder = export([run], "parquet").folder
    for field in (field for name in FILES for field in read(folder, name).schema):
        text = field.name in ("run", "split")
        count = pa.int64() if field.name in COUNTS else pa.float64()
        assert field.type == (pa.string() if text else count)


def test_a_whole_number_may_be_blank(run: Path):
    blank(run, "steps", 1, "tokens")
    tokens = read(export([run], "parquet").folder, "steps")["tokens"]
    assert tokens.type == pa.int64()
    assert tokens.to_pylist()[:3] == [64, None, 192]


def test_null_is_not_nan(run: Path):
    blank(run, "cv", 0, "margin")
    blank(run, "cv", 1, "margin", "nan")
    first, second, *_ = read(export([run], "parquet").folder, "cv")["margin"].to_pylist()
    assert first is None
    assert math.isnan(second)


def test_a_row_group_is_a_run(sweep: Path):
    file = parquet.ParquetFile(export([sweep], "parquet").folder / "cv.parquet")
    groups = [set(file.read_row_group(i)["run"].to_pylist()) for i in range(file.num_row_groups)]
    assert groups == [{"alpha-0-s0"}, {"alpha-0.1-s0"}, {"alpha-0-s1"}, {"alpha-0.1-s1"}]


def test_a_sweep_has_its_settings_and_seeds_as_columns(sweep: Path):
    folder = export([sweep], "parquet").folder
    for name in FILES:
        found = read(folder, name)
        assert found.schema.names[:3] == ["run", "moe.alpha", "seed"]
        assert [field.type for field in found.schema][1:3] == [pa.float64(), pa.int64()]
        rows = found.select(["run", "moe.alpha", "seed"]).to_pylist()
        assert {tuple(row.values()) for row in rows} == {
            (f"alpha-{alpha:g}-s{seed}", alpha, seed) for alpha in (0.0, 0.1) for seed in (0, 1)
        }


@pytest.mark.parametrize(
    ("values", "kind", "stored"),
    [
        ((1, 2), pa.int64(), [1, 2]),
        ((1, 2.5), pa.float64(), [1.0, 2.5]),
        ((None, 1.5), pa.float64(), [None, 1.5]),
        ((True, False), pa.bool_(), [True, False]),
        (("all", [0, 1]), pa.string(), ["all", "[0, 1]"]),
        (({"name": "switch"}, None), pa.string(), ['{"name": "switch"}', None]),
    ],
)
def test_a_swept_setting_has_the_narrowest_type(values: Any, kind: Any, stored: Any):
    assert _kind(values) == kind
    assert [_scalar(value, kind).as_py() for value in values] == stored


def test_fields_say_unit_meaning_and_direction(run: Path):
    folder = export([run], "parquet").folder
    for field in (field for name in FILES for field in read(folder, name).schema):
        assert set(field.metadata) == {b"unit", b"meaning", b"better"}
        assert field.metadata[b"meaning"]
    said = read(folder, "cv").schema.field("cv").metadata
    cv = next(column for column in columns.CV if column.name == "cv")
    assert {k.decode(): v.decode() for k, v in said.items()} == {
        "unit": cv.unit,
        "meaning": cv.meaning,
        "better": "lower",
    }


def test_columns_that_only_some_runs_have_are_null_in_the_others(frozen: Path, run: Path):
    other = frozen / "schema-2" / "stopped"
    rewrite(other / "eval.csv", "domain_0_loss", "books_loss")
    table = read(export([run, other], "parquet", frozen / "out").folder, "eval").to_pandas()
    assert table.groupby("run")["books_loss"].count().to_dict() == {"finished": 0, "stopped": 2}
    assert table.groupby("run")["domain_0_loss"].count().to_dict() == {"finished": 3, "stopped": 0}


def test_a_table_that_a_run_lacks_has_the_others_rows(frozen: Path, run: Path):
    other = frozen / "schema-2" / "stopped"
    (other / "router.csv").unlink()  # as an early version left it
    table = read(export([run, other], "parquet", frozen / "out").folder, "router")
    assert set(table["run"].to_pylist()) == {"finished"}
    alone = export([other], "parquet").folder
    assert not (alone / "router.parquet").exists()


def test_a_thousand_experts_are_rows_of_loads(run: Path):
    many_experts(run, 1024)
    found = read(export([run], "parquet").folder, "loads")
    wanted = expected(run, "loads")
    assert found["expert"].to_pylist() == [int(row["expert"]) for row in wanted]
    assert found["load"].to_pylist() == [float(row["load"]) for row in wanted]
    assert found["step"].to_pylist() == [int(row["step"]) for row in wanted]


def test_a_count_that_is_no_whole_number_is_damage(run: Path):
    blank(run, "steps", 1, "tokens", "1.5")
    with pytest.raises(ArtefactError, match=r"steps\.csv is corrupt: .*1\.5"):
        export([run], "parquet")
    assert not (run / "export" / "parquet").exists()


def test_a_run_without_rows_has_files_without_rows(run: Path):
    for table in TABLES:
        path = run / f"{table}.csv"
        path.write_text(path.read_text().splitlines(keepends=True)[0])
    done = export([run], "parquet")
    assert set(done.rows.values()) == {0}
    for name in FILES:
        assert len(pd.read_parquet(done.folder / f"{name}.parquet")) == 0


def test_pandas_reads_what_the_frames_have(run: Path):
    folder = export([run], "parquet").folder
    for name in FILES:
        found = pd.read_parquet(folder / f"{name}.parquet").drop(columns="run")
        if name == "loads":  # a frame's are sorted
            found = found.sort_values([*PLACE, "expert"], ignore_index=True)
        pd.testing.assert_frame_equal(found, getattr(load_run(run), name), check_exact=True)
