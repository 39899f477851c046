"""Reporters of a run and of a sweep, and those that show next to nothing."""

import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, runtime_checkable

from moe_lab import escape
from moe_lab.progress.facts import Row, Step
from moe_lab.progress.story import Story


@runtime_checkable
class Reporter(Protocol):
    """Shows how far a run is; a context manager around its steps."""

    def __enter__(self) -> "Reporter": ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def start(self, story: Story) -> None:
        """A run begins, or goes on; the story is what is known of it by now."""

    def step(self, result: Step, elapsed_s: float) -> None:
        """A step is done; elapsed_s: training time up to it, over all parts of an interrupted run."""

    def evaluated(self, step: int, lm_loss: float) -> None:
        """The held-out loss after a step; told before that step is."""

    def say(self, text: str) -> None:
        """A line that stays."""


@runtime_checkable
class SweepReporter(Protocol):
    """Shows how far a sweep is; a context manager around its runs, which may be told of in any order."""

    def __enter__(self) -> "SweepReporter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def start(
        self, title: str, runs: int, finished: int, watched: Sequence[Row] | None = None
    ) -> None:
        """A sweep begins, or goes on after `finished` of its runs.

        watched: if another process drives it, those of its runs that have begun, finished ones among them.
        """

    def begun(self, run: str) -> None:
        """A run begins, or begins again after an interruption."""

    def step(self, run: str, step: int, steps: int, lm_loss: float, n_eff: float | None) -> None:
        """A run has done a step; n_eff is that of its worst layer, None without experts."""

    def ended(self, run: str, state: str, detail: str = "") -> None:
        """A run is finished, failed, diverged, stopped or interrupted."""

    def say(self, text: str) -> None:
        """A line that stays."""


def on_stderr(line: str) -> None:
    """Write a line where messages go."""
    sys.stderr.write(f"{escape.lines(line)}\n")


class Silent:
    """Shows nothing: for use from Python."""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, *exception: object) -> None: ...

    def start(self, story: Story) -> None: ...  # noqa: D102

    def step(self, result: Step, elapsed_s: float) -> None: ...  # noqa: D102

    def evaluated(self, step: int, lm_loss: float) -> None: ...  # noqa: D102

    def say(self, text: str) -> None: ...  # noqa: D102


class Messages(Silent):
    """Shows what is said, on stderr, and no progress."""

    def __init__(self, write: Callable[[str], object] | None = None):
        self.write = write or on_stderr

    def say(self, text: str) -> None:  # noqa: D102
        self.write(text)


class SweepMessages(SweepReporter):
    """Shows what is said, on stderr, and no progress of a sweep."""

    def __init__(self, write: Callable[[str], object] = on_stderr):
        self.write = write

    def say(self, text: str) -> None:  # noqa: D102
        self.write(text)
