"""What is known of a sweep while it runs: each run's last step, the work done, and the time it will still take."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from typing import Any

from moe_lab.progress.base import SweepMessages, on_stderr
from moe_lab.progress.facts import Row

RANKS = {"running": 0, "failed": 1, "diverged": 1, "interrupted": 2, "stopped": 2, "finished": 3}
SURE_SHARE, SURE_S = 0.02, 60.0  # of the work and seconds: before either there is no eta


class Board(SweepMessages):
    """Keeps what was last told of each run; all runs count alike. What is shown is decided in `changed`."""

    def __init__(
        self,
        write: Callable[[str], object] = on_stderr,
        clock: Callable[[], float] = time.monotonic,
    ):
        super().__init__(write)
        self.clock = clock

    def start(  # noqa: D102
        self, title: str, runs: int, finished: int, watched: Sequence[Row] | None = None
    ) -> None:
        self.title, self.runs, self.is_ours = title, runs, watched is None
        self.began, self.rows = self.clock(), {row.name: row for row in watched or ()}
        self.before = finished - sum(row.state == "finished" for row in self.rows.values())

    def begun(self, run: str) -> None:  # noqa: D102
        self._change(run, state="running", error="")

    def step(self, run: str, step: int, steps: int, lm_loss: float, n_eff: float | None) -> None:
        """What a run did before the first step that is told is of an earlier session."""
        seen = self.rows.get(run)
        before = seen.before if seen and seen.steps else step - 1
        self._change(run, step=step, steps=steps, before=before, lm_loss=lm_loss, n_eff=n_eff)

    def ended(self, run: str, state: str, detail: str = "") -> None:
        """Of the detail, the first line is kept."""
        self._change(run, state=state, error=detail.strip().partition("\n")[0])

    def _change(self, run: str, **changes: Any) -> None:
        self.rows[run] = replace(self.rows.get(run, Row(run)), **changes)
        self.changed(self.rows[run])

    def changed(self, row: Row) -> None:
        """Something was told of a run."""

    @property
    def finished(self) -> int:
        """How many runs are, those of earlier sessions included."""
        return self.before + sum(row.state == "finished" for row in self.rows.values())

    def counts(self, *states: str) -> str:
        """As in `, 1 failed, 2 running`, without the states that no run is in."""
        counted = Counter(row.state for row in self.rows.values())
        return "".join(f", {counted[state]} {state}" for state in states if counted[state])

    @property
    def elapsed_s(self) -> float:
        """Seconds of this session."""
        return self.clock() - self.began

    @property
    def share(self) -> float:
        """Share of all work that is not left to do, in [0, 1]."""
        return (self.before + sum(row.over for row in self.rows.values())) / self.runs

    @property
    def eta_s(self) -> float | None:
        """Seconds to go at this session's pace; None before 2 % of the work or a minute."""
        done = sum(row.done for row in self.rows.values()) / self.runs
        if done <= 0 or (done < SURE_SHARE and self.elapsed_s < SURE_S):
            return None
        return self.elapsed_s / done * (1 - self.share)

    def ranked(self) -> list[Row]:
        """Running first, then failed, then unfinished, then finished with the lowest loss."""
        return sorted(self.rows.values(), key=_rank)


def _rank(row: Row) -> tuple[int, float]:
    loss = inf if row.lm_loss is None else row.lm_loss
    return RANKS[row.state], loss if row.state == "finished" else 0.0
