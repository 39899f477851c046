"""What a person sees while a run trains: a bar on a terminal, at most 22 plain lines elsewhere."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

LINES = 20  # plain progress lines over a whole run, between the first and the last
PAUSE = 10.0  # seconds between two of them, at least


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

    def step(self, step: int, loss: float, n_eff: float) -> None:
        """A step is done: loss in nats per token, n_eff of the worst layer."""

    def say(self, text: str) -> None:
        """A line that stays."""


class Silent:
    """Shows nothing: for use from Python."""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, *exception: object) -> None: ...

    def start(self, title: str, step: int, steps: int) -> None: ...  # noqa: D102

    def step(self, step: int, loss: float, n_eff: float) -> None: ...  # noqa: D102

    def say(self, text: str) -> None: ...  # noqa: D102


class Lines(Silent):
    """Plain lines on stderr: one at the start, at most LINES while it trains, whatever is said."""

    def __init__(self, write: Callable[[str], object] | None = None, pause: float = PAUSE):
        self.write = write or (lambda line: sys.stderr.write(f"{line}\n"))
        self.pause = pause
        self.steps, self.next_step, self.next_time, self.began = 0, 0.0, 0.0, 0.0

    def start(self, title: str, step: int, steps: int) -> None:  # noqa: D102
        self.steps, self.first, self.next_step = steps, step, step + steps / LINES
        self.began = time.monotonic()
        self.next_time = self.began + self.pause
        self.write(f"{title}  steps {step}/{steps}")

    def step(self, step: int, loss: float, n_eff: float) -> None:  # noqa: D102
        now = time.monotonic()
        if step < self.next_step or now < self.next_time or step == self.steps:
            return
        self.next_step, self.next_time = step + self.steps / LINES, now + self.pause
        left = (now - self.began) / (step - self.first) * (self.steps - step)
        self.write(
            f"step {step}/{self.steps}  loss {loss:.3f}  worst n_eff {n_eff:.1f}  eta {left:.0f} s"
        )

    def say(self, text: str) -> None:  # noqa: D102
        self.write(text)


class Bar(Silent):
    """A Rich progress bar with loss, worst n_eff and time left."""

    def __init__(self, console: Console):
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}  {task.fields[numbers]}", markup=False),
            TimeRemainingColumn(),
            console=console,
        )
        self.task: TaskID | None = None

    def __enter__(self) -> "Bar":
        self.progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.progress.stop()

    def start(self, title: str, step: int, steps: int) -> None:  # noqa: D102
        self.task = self.progress.add_task(title, total=steps, completed=step, numbers="")

    def step(self, step: int, loss: float, n_eff: float) -> None:  # noqa: D102
        assert self.task is not None
        numbers = f"loss {loss:.3f}  worst n_eff {n_eff:.1f}"
        self.progress.update(self.task, completed=step, numbers=numbers)

    def say(self, text: str) -> None:  # noqa: D102
        self.progress.console.print(text, markup=False, highlight=False, soft_wrap=True)


def for_stderr() -> Reporter:
    """A bar if stderr is a terminal that can show one, else lines."""
    console = Console(stderr=True)
    return Bar(console) if console.is_interactive else Lines()
