"""A run's tables as tidy pandas frames, for notebooks and scripts."""

import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from moe_lab import columns
from moe_lab.metrics import Verdict
from moe_lab.report import diagnosis, runs, stability
from moe_lab.report.diagnosis import Course
from moe_lab.store.arrays import Arrays
from moe_lab.store.read import StoredRun
from moe_lab.store.table_rules import EXPERT


def load_run(path: str | os.PathLike[str]) -> "RunFrames":
    """The tables of a run, finished or not, ours or a monitor's.

    Raises ArtefactError if it is no run or a file of it is corrupt.
    """
    return RunFrames(path)


class RunFrames(os.PathLike[str]):
    """One run. Frames are read when they are first asked for, to the last whole row, and then kept.

    `steps`, `utilization`, `cv`, `aux_loss`, `eval`, `router` and `timing` are the files of these names; `loads`
    and `stability` are made of them. `describe` says what each column is. Itself it is the path of the run.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self._run = runs.open_run(Path(path))

    def __fspath__(self) -> str:
        return str(self.directory)

    def __repr__(self) -> str:
        return f"RunFrames({str(self.directory)!r})"

    @property
    def directory(self) -> Path:
        """The run's folder."""
        return self._run.directory

    @cached_property
    def record(self) -> dict[str, Any]:
        """run.json: versions, machine, seed, data and command line."""
        return self._run.record

    @cached_property
    def config(self) -> dict[str, Any]:
        """Every setting, nested as in a config file; of a monitor's run only what it knows."""
        return self._run.config

    @cached_property
    def steps(self) -> pd.DataFrame:
        """steps.csv: one row per logged step."""
        return runs.read(self._run, "steps")

    @cached_property
    def utilization(self) -> pd.DataFrame:
        """utilization.csv: per step, split and layer the load of each expert."""
        return runs.read(self._run, "utilization")

    @cached_property
    def cv(self) -> pd.DataFrame:
        """cv.csv: per step, split and layer the measures of balance."""
        return runs.read(self._run, "cv")

    @cached_property
    def aux_loss(self) -> pd.DataFrame:
        """aux_loss.csv: per step, split and layer the balance losses, and gradients by source."""
        return runs.read(self._run, "aux_loss")

    @cached_property
    def eval(self) -> pd.DataFrame:
        """eval.csv: one row per evaluation."""
        return runs.read(self._run, "eval")

    @cached_property
    def router(self) -> pd.DataFrame:
        """router.csv: per evaluation and layer what experts know and how alike they are."""
        if not self._run.has_table("router"):  # of an early version
            return pd.DataFrame(columns=columns.names(columns.ROUTER))
        return runs.read(self._run, "router")

    @cached_property
    def timing(self) -> pd.DataFrame:
        """timing.csv: one row per logged step."""
        return runs.read(self._run, "timing")

    @cached_property
    def loads(self) -> pd.DataFrame:
        """The utilization in long form: step, split, layer, expert, load."""
        place = columns.names(columns.PLACE)
        long = self.utilization.melt(list(place), var_name="expert", value_name="load")
        long["expert"] = long["expert"].str.removeprefix(EXPERT).astype("int64")
        return long.sort_values([*place, "expert"], ignore_index=True, kind="stable")

    @cached_property
    def stability(self) -> pd.DataFrame:
        """How far the choices for the held-out tokens are from their last ones, and from the previous evaluation's.

        Empty for a run without such choices: a monitor's, or one of an early version.
        """
        return pd.DataFrame(stability.rows(self._run), columns=columns.names(columns.STABILITY))

    @property
    def array_steps(self) -> list[int]:
        """Steps of the evaluations that `arrays` can be asked for."""
        return self._run.array_steps

    def arrays(self, step: int) -> Arrays:
        """What an evaluation left that is no table, such as `layer_0.experts`: (N, k) choices, the first one first."""
        return self._run.arrays(step)

    @cached_property
    def courses(self) -> list[Course]:
        """By MoE layer: the verdict, the course of n_eff, and where a collapse began and ended."""
        return diagnosis.courses(self.utilization, self.cv, self.config["moe"]["top_k"])

    @property
    def verdicts(self) -> dict[int, Verdict | None]:
        """collapsed, skewed or balanced, by layer, after the steps so far; None before the first."""
        return {course.layer: course.verdict for course in self.courses}

    def describe(self, table: str) -> pd.DataFrame:
        """Unit, meaning and better direction of each column of a frame, by its name; KeyError for no such frame."""
        found = described(declarations(self._run, map(str, self.aux_loss))[table])
        return found.loc[found.index.isin(getattr(self, table).columns)]


def declarations(run: StoredRun, aux_loss: Iterable[str]) -> dict[str, tuple[columns.Column, ...]]:
    """Every column that a frame of a run can have, by the frame's name; aux_loss: the header of that table."""
    losses = [name for name in aux_loss if name.endswith("_raw")]
    tables = columns.tables(
        n_experts=run.config["moe"]["n_experts"],
        balancers=[name.removesuffix("_raw") for name in losses],
        domains=run.record["data"]["domains"],
    )
    return {**tables, "loads": columns.LOADS, "stability": columns.STABILITY}


def described(declared: Sequence[columns.Column]) -> pd.DataFrame:
    """Unit, meaning and better direction of columns, by their names."""
    return pd.DataFrame([vars(column) for column in declared]).set_index("name")
