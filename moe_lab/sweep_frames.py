"""A sweep as pandas frames: its runs, its points over their seeds, and every run by its name."""

import io
import os
from functools import cached_property
from pathlib import Path

import pandas as pd

from moe_lab import sweep_columns
from moe_lab.frames import RunFrames, described
from moe_lab.plan import Plan
from moe_lab.report import sweep_reading, sweep_tables
from moe_lab.report.sweeps import MARGIN, Analysis
from moe_lab.store.sweep import StoredSweep


def load_sweep(path: str | os.PathLike[str], *, margin: float = MARGIN) -> "SweepFrames":
    """A sweep as far as it is. Raises ArtefactError if it is none or a file of it is corrupt.

    margin: in nats; differences that surely lie within are called equivalent.
    """
    return SweepFrames(path, margin=margin)


class SweepFrames(os.PathLike[str]):
    """One sweep. Its runs are read when a frame is first asked for; the frames are then kept.

    `runs` has a row per planned run and `points` one per combination of settings, as runs.csv and summary.csv have
    them: settings by dotted path, a mapping or list as its JSON. Itself it is the path of the sweep.
    """

    def __init__(self, path: str | os.PathLike[str], *, margin: float = MARGIN):
        self._sweep, self._margin = StoredSweep(Path(path)), margin

    def __fspath__(self) -> str:
        return str(self.directory)

    def __repr__(self) -> str:
        return f"SweepFrames({str(self.directory)!r})"

    @property
    def directory(self) -> Path:
        """The sweep's folder."""
        return self._sweep.directory

    @property
    def plan(self) -> Plan:
        """The swept settings, the points, the seeds and the baseline."""
        return self._sweep.plan

    @cached_property
    def runs(self) -> pd.DataFrame:
        """Each run's settings, seed, state and outcomes; NaN until it has finished."""
        return _frame(sweep_tables.runs_csv(self.analysis))

    @cached_property
    def points(self) -> pd.DataFrame:
        """Each point's means over its finished runs, and its paired differences from the baseline."""
        return _frame(sweep_tables.to_csv(self.analysis))

    def run(self, name: str) -> RunFrames:
        """The tables of one run, by its name in `runs`. Raises ArtefactError if it has not begun."""
        return RunFrames(self.directory / name)

    def describe(self, table: str) -> pd.DataFrame:
        """Unit, meaning and better direction of each column of a frame, by its name; KeyError for no such frame."""
        keys = self.plan.keys
        declared = {
            "runs": sweep_columns.runs(keys),
            "points": sweep_columns.points(keys, self.analysis.loss),
        }
        return described(declared[table])

    @cached_property
    def analysis(self) -> Analysis:
        """All that a report of the sweep says."""
        return sweep_reading.read(self._sweep, margin=self._margin)


def _frame(table: str) -> pd.DataFrame:
    """Only blanks are NaN: a setting may be called null, or NA."""
    return pd.read_csv(io.StringIO(table), keep_default_na=False, na_values=[""])
