"""Progress where nothing can be redrawn: a few plain lines, or one JSON object per line."""

import json
import time
from collections.abc import Callable
from typing import Any

from moe_lab.progress.base import Messages, Step, worst_n_eff

LINES = 20  # plain progress lines over a whole run, between the first and the last
PAUSE = 10.0  # seconds between two of them, at least
JSON_PAUSE = 0.25  # seconds between two objects of steps


class Lines(Messages):
    """Plain lines: one at the start, at most LINES while it trains, whatever is said."""

    def __init__(self, write: Callable[[str], object] | None = None, pause: float = PAUSE):
        super().__init__(write)
        self.pause = pause
        self.steps, self.next_step, self.next_time, self.began = 0, 0.0, 0.0, 0.0

    def start(self, title: str, step: int, steps: int) -> None:  # noqa: D102
        self.steps, self.first, self.next_step = steps, step, step + steps / LINES
        self.began = time.monotonic()
        self.next_time = self.began + self.pause
        self.write(f"{title}  steps {step}/{steps}")

    def step(self, result: Step) -> None:  # noqa: D102
        now, step = time.monotonic(), result.step
        if step < self.next_step or now < self.next_time or step == self.steps:
            return
        self.next_step, self.next_time = step + self.steps / LINES, now + self.pause
        left = (now - self.began) / (step - self.first) * (self.steps - step)
        worst = worst_n_eff(result)
        routing = "" if worst is None else f"  worst n_eff {worst:.1f}"
        self.write(
            f"step {step}/{self.steps}  loss {result.lm_loss:.3f}{routing}  eta {left:.0f} s"
        )


class JsonLines(Messages):
    """One JSON object per line, each with an `event`: start, step (not every one) or message."""

    def __init__(self, write: Callable[[str], object] | None = None, pause: float = JSON_PAUSE):
        super().__init__(write)
        self.pause, self.steps, self.next_time = pause, 0, 0.0

    def start(self, title: str, step: int, steps: int) -> None:  # noqa: D102
        self.steps = steps
        self._object("start", run=title, step=step, steps=steps)

    def step(self, result: Step) -> None:  # noqa: D102
        now = time.monotonic()
        if now < self.next_time and result.step < self.steps:
            return
        self.next_time = now + self.pause
        self._object(
            "step",
            step=result.step,
            lm_loss=result.lm_loss,
            aux_loss=result.aux_loss,
            grad_norm=result.grad_norm,
            n_eff_worst=worst_n_eff(result),
        )

    def say(self, text: str) -> None:  # noqa: D102
        self._object("message", text=text)

    def _object(self, event: str, **values: Any) -> None:
        self.write(as_object(event, **values))


def as_object(event: str, **values: Any) -> str:
    """What happened, as one line of JSON."""
    return json.dumps({"event": event, **values}, allow_nan=False)
