"""The words for what a sweep writes are those of its files."""

import csv
import io

from report.sweeps_by_hand import found, sweep

from moe_lab import sweep_columns
from moe_lab.columns import names
from moe_lab.report import outcomes
from moe_lab.report.sweep_tables import runs_csv, to_csv
from moe_lab.report.sweeps import Analysis

KEYS = ("moe.alpha", "moe.balance")


def analysis(gap: float | None) -> Analysis:
    settings = [dict(zip(KEYS, (alpha, {"name": "switch"}), strict=True)) for alpha in (0.0, 1.0)]
    return sweep([(point, [found(gap), found(gap)]) for point in settings])


def header(table: str) -> tuple[str, ...]:
    return tuple(next(csv.reader(io.StringIO(table))))


def test_outcomes_are_declared_in_the_order_of_files():
    assert names(sweep_columns.OUTCOMES) == outcomes.OUTCOMES


def test_the_header_of_runs_is_what_is_declared():
    asked = analysis(0.25)
    assert header(runs_csv(asked)) == names(sweep_columns.runs(KEYS))
    timed = runs_csv(asked, with_times=True)
    assert header(timed) == names(sweep_columns.runs(KEYS, with_times=True))


def test_the_header_of_points_is_what_is_declared():
    for gap, loss in ((0.25, "gap"), (None, "lm_loss")):
        asked = analysis(gap)
        assert header(to_csv(asked)) == names(sweep_columns.points(KEYS, loss))
        timed = to_csv(asked, with_times=True)
        assert header(timed) == names(sweep_columns.points(KEYS, loss, with_times=True))


def test_every_column_of_a_sweep_is_explained():
    declared = (*sweep_columns.runs(KEYS), *sweep_columns.points(KEYS, "gap"))
    assert all(column.meaning for column in declared)
