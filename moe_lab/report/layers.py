"""The last evaluation of every MoE layer, then its mean and its worst over layers."""

from math import isfinite
from typing import TYPE_CHECKING, Any

from moe_lab import columns
from moe_lab.columns import Column

if TYPE_CHECKING:
    import pandas as pd

LAST = 0.1  # share of the steps that a training value is averaged over
PLACE = ("step", "split", "layer", "assignments")  # columns that are no measures
Row = dict[str, Any]


def last_evaluation(table: "pd.DataFrame") -> "pd.DataFrame":
    """The rows of a table's last evaluation; none if there was none yet."""
    rows = table[table["split"] == "eval"] if "split" in table else table
    found: pd.DataFrame = rows[rows["step"] == rows["step"].max()]
    return found


def last_steps(table: "pd.DataFrame") -> "pd.DataFrame":
    """The rows of the last steps of training, over which a training value is averaged."""
    rows: pd.DataFrame = table[table["step"] > (1 - LAST) * table["step"].max()]
    return rows


def measured(cv: "pd.DataFrame") -> "pd.DataFrame":
    """Per layer the row of the last evaluation; without any, the mean over the last steps of training."""
    found = last_evaluation(cv)
    if found.empty and not cv.empty:
        found = last_steps(cv).groupby("layer", as_index=False).mean(numeric_only=True)
    return found


def balance(cv: "pd.DataFrame") -> list[Row]:
    """The measures of cv.csv; evaluation drops nothing, so drops are those of training."""
    recent = last_steps(cv[cv["split"] == "train"]).groupby("layer")["dropped"].mean()
    return _over_layers(measured(cv).set_index("layer").assign(dropped=recent))


def router(table: "pd.DataFrame") -> list[Row]:
    """The measures of router.csv."""
    return _over_layers(last_evaluation(table).set_index("layer"))


def plain(value: Any) -> float | None:
    """A number for JSON, which has no nan and no inf; a blank cell is None."""
    return float(value) if isfinite(value) else None


def declared() -> dict[str, Column]:
    """Every column that does not depend on the run, by name."""
    tables = columns.tables(n_experts=1, balancers=(), domains=())
    return {column.name: column for table in tables.values() for column in table}


def _over_layers(table: "pd.DataFrame") -> list[Row]:
    if table.empty:
        return []
    rows = table.drop(columns=[name for name in PLACE if name in table])
    layers = [{"layer": int(str(i)), **_plain_row(row)} for i, row in rows.iterrows()]
    mean = _plain_row(rows.mean())
    ends = {"lower": rows.max(), "higher": rows.min()}
    better = {name: column.better for name, column in declared().items()}
    worst = {name: plain(ends[better[name]][name]) if better.get(name) else None for name in mean}
    return [*layers, {"layer": "mean", **mean}, {"layer": "worst", **worst}]


def _plain_row(row: "pd.Series") -> dict[str, float | None]:
    return {str(name): plain(value) for name, value in row.items()}
