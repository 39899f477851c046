"""Runs and their tables as a report can rely on them, whoever wrote them."""

from pathlib import Path
from typing import TYPE_CHECKING

from moe_lab import columns
from moe_lab.errors import ArtefactError
from moe_lab.store import layout, records
from moe_lab.store.read import StoredRun

if TYPE_CHECKING:
    import pandas as pd

PLACE = columns.names(columns.PLACE)
NEEDED = {  # columns of a table without which nothing can be said
    "steps": ("step", "lm_loss", "aux_loss"),
    "utilization": PLACE,
    "cv": (*PLACE, "assignments", "n_eff", "dropped"),
    "aux_loss": (*PLACE, "grad_task", "grad_balance"),
    "eval": ("step",),
    "router": ("step", "layer"),
    "timing": ("step", "elapsed_s", "step_ms", "tokens_per_s", "memory_mb"),
}


def open_run(directory: Path) -> StoredRun:
    """A run whose records are what moe-lab writes. Raises ArtefactError for anything else."""
    run = StoredRun(directory)
    records.check(records.Record, run.record, directory / layout.RECORD)
    _ = run.status  # which is checked when it is read
    if run.summary is not None:
        records.check(records.Summary, run.summary, directory / layout.SUMMARY)
    return run


def read(run: StoredRun, name: str) -> "pd.DataFrame":
    """The whole rows of one of layout.TABLES. Raises ArtefactError if it lacks a column that is needed."""
    table = run.table(name)
    if missing := [column for column in NEEDED[name] if column not in table]:
        path = layout.table(run.directory, name)
        raise ArtefactError(f"{path} has no column {', '.join(missing)}")
    return table
