"""What a person sees while a sweep runs: a table of runs on a terminal, a bounded number of plain lines elsewhere."""

import time
from collections.abc import Callable, Sequence

from moe_lab.progress.base import SweepMessages, SweepReporter, on_stderr
from moe_lab.progress.board import Board
from moe_lab.progress.canvas import pick
from moe_lab.progress.facts import FAILED, Row
from moe_lab.progress.lines import JSON_PAUSE, LINES, PAUSE, as_object
from moe_lab.progress.sweep_live import SweepLive

__all__ = ["SweepJson", "SweepLines", "SweepLive", "SweepMessages", "SweepReporter", "for_sweep"]

FAILURES = 20  # plain lines of runs that failed, at most


class SweepLines(Board):
    """Plain lines: one at the start, at most LINES of progress and FAILURES of runs that failed."""

    def start(  # noqa: D102
        self, title: str, runs: int, finished: int, watched: Sequence[Row] | None = None
    ) -> None:
        super().start(title, runs, finished, watched)
        self.next_time, self.parts, self.failures = self.began + PAUSE, self._parts(), 0
        self.write(f"{title}  {finished} of {runs} runs finished")

    def changed(self, row: Row) -> None:  # noqa: D102
        if row.state in FAILED:
            self._failed(row)
        if (now := self.clock()) >= self.next_time:
            self.next_time = now + PAUSE  # looked at no more often: it is a sum over all runs
            self._progress()

    def _failed(self, row: Row) -> None:
        self.failures += 1
        if self.failures <= FAILURES:
            self.write(f"{row.state}: {row.name}" + (f": {row.error}" if row.error else ""))
        elif self.failures == FAILURES + 1:
            self.write("more failed runs are not shown here: moe-lab report on the sweep has all")

    def _progress(self) -> None:
        if self.parts < (reached := self._parts()) < LINES:
            self.parts = reached
            failed, seconds = self.counts(*FAILED), self.eta_s
            eta = "-" if seconds is None else f"{seconds:.0f} s"
            self.write(f"{self.finished} of {self.runs} runs finished{failed}, eta {eta}")

    def _parts(self) -> int:
        """How many of LINES equal parts of the work are over."""
        return int(LINES * self.share)


class SweepJson(SweepMessages):
    """One JSON object per line, each with an `event`: start, begun, step (not every one), ended or message."""

    def __init__(
        self,
        write: Callable[[str], object] = on_stderr,
        clock: Callable[[], float] = time.monotonic,
    ):
        super().__init__(write)
        self.clock, self.next_time = clock, 0.0

    def start(  # noqa: D102
        self, title: str, runs: int, finished: int, watched: Sequence[Row] | None = None
    ) -> None:
        self.write(as_object("start", sweep=title, runs=runs, finished=finished))

    def begun(self, run: str) -> None:  # noqa: D102
        self.write(as_object("begun", run=run))

    def step(  # noqa: D102
        self, run: str, step: int, steps: int, lm_loss: float, n_eff: float | None
    ) -> None:
        if self.clock() < self.next_time:
            return
        self.next_time = self.clock() + JSON_PAUSE
        told = {"step": step, "steps": steps, "lm_loss": lm_loss, "n_eff_worst": n_eff}
        self.write(as_object("step", run=run, **told))

    def ended(self, run: str, state: str, detail: str = "") -> None:  # noqa: D102
        self.write(as_object("ended", run=run, state=state, detail=detail))

    def say(self, text: str) -> None:  # noqa: D102
        self.write(as_object("message", text=text))


def for_sweep(mode: str = "auto") -> SweepReporter:
    """The reporter of a sweep in a mode: live, plain, json, none or auto (`canvas.pick`)."""
    return pick(mode, live=SweepLive, plain=SweepLines, json=SweepJson, none=SweepMessages)
