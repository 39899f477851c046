"""Reporters of a run and of a sweep, what they read of a step, and those that show next to nothing."""

import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol, runtime_checkable

from moe_lab import escape
from moe_lab.metrics import Load


class Layer(Protocol):
    """What is read of one MoE layer: `tally.Reading` has it."""

    @property
    def top_k(self) -> int: ...  # noqa: D102

    @property
    def dropped(self) -> float: ...  # noqa: D102

    @property
    def load(self) -> Load: ...  # noqa: D102

    @property
    def cv(self) -> float: ...  # noqa: D102

    @property
    def n_eff(self) -> float: ...  # noqa: D102


class Deaths(Protocol):
    """What is read of the experts that a window of steps left out."""

    @property
    def dead_experts(self) -> float: ...  # noqa: D102


class Step(Protocol):
    """What is read of one optimizer step: `rows.Step` has it."""

    @property
    def step(self) -> int: ...  # noqa: D102

    @property
    def lm_loss(self) -> float: ...  # noqa: D102

    @property
    def aux_loss(self) -> float: ...  # noqa: D102

    @property
    def grad_norm(self) -> float: ...  # noqa: D102

    @property
    def layers(self) -> Mapping[int, Layer]: ...  # noqa: D102

    @property
    def deaths(self) -> Mapping[int, Deaths | None]: ...  # noqa: D102


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

    def start(self, title: str, step: int, steps: int) -> None:
        """A run begins, or goes on after `step`."""

    def step(self, result: Step) -> None:
        """A step is done."""

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
    ) -> None: ...

    def start(self, title: str, runs: int, finished: int) -> None:
        """A sweep begins, or goes on after `finished` of its runs."""

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

    def start(self, title: str, step: int, steps: int) -> None: ...  # noqa: D102

    def step(self, result: Step) -> None: ...  # noqa: D102

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


def worst_n_eff(result: Step) -> float | None:
    """n_eff of the worst MoE layer; None if there is none."""
    return min((layer.n_eff for layer in result.layers.values()), default=None)
