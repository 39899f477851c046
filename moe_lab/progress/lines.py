"""Progress where nothing can be redrawn: a few plain lines, or one JSON object per line."""

import json
import time
from collections.abc import Callable
from math import isfinite
from typing import Any

from moe_lab.progress.base import Messages
from moe_lab.progress.facts import Step, worst_n_eff
from moe_lab.progress.story import Pace, Story

LINES = 20  # plain progress lines over a whole run, between the first and the last
PAUSE = 10.0  # seconds between two of them, at least
JSON_PAUSE = 0.25  # seconds between two objects of steps


class Lines(Messages):
    """Plain lines: one at the start, at most LINES while it trains, whatever is said.

    Of a run whose steps only another program knows, a line whenever their number has doubled.
    """

    def __init__(self, write: Callable[[str], object] | None = None, pause: float = PAUSE):
        super().__init__(write)
        self.pause = pause

    def start(self, story: Story) -> None:  # noqa: D102
        self.facts, self.held_out, self.pace = story.facts, story.held_out, Pace()
        self.next_step, self.next_time = (
            self._after(story.steps_done),
            time.monotonic() + self.pause,
        )
        self.write(f"{self.facts.directory}  steps {self._of_all(story.steps_done)}")

    def step(self, result: Step, elapsed_s: float) -> None:  # noqa: D102
        self.pace.add(result.step, elapsed_s)
        now, step = time.monotonic(), result.step
        if step < self.next_step or now < self.next_time or step == self.facts.steps:
            return
        self.next_step, self.next_time = self._after(step), now + self.pause
        self.write("  ".join(self._parts(result)))

    def evaluated(self, step: int, lm_loss: float) -> None:  # noqa: D102
        self.held_out = step, lm_loss

    def _after(self, step: int) -> float:
        """The step of the next line."""
        return 2 * step + 1 if self.facts.steps is None else step + self.facts.steps / LINES

    def _of_all(self, step: int) -> str:
        return f"{step}" if self.facts.steps is None else f"{step}/{self.facts.steps}"

    def _parts(self, result: Step) -> list[str]:
        """How far, how good and how long."""
        parts = [f"step {self._of_all(result.step)}", f"loss {result.lm_loss:.3f}"]
        if self.held_out:
            parts.append(f"val {self.held_out[1]:.3f} @{self.held_out[0]}")
        if (worst := worst_n_eff(result)) is not None:
            parts.append(f"worst n_eff {worst:.1f}")
        if self.facts.steps is not None:
            parts.append(f"eta {self.pace.step_s * (self.facts.steps - result.step):.0f} s")
        return parts


class JsonLines(Messages):
    """One JSON object per line, each with an `event`: start, step (not every one), evaluated or message."""

    def __init__(self, write: Callable[[str], object] | None = None, pause: float = JSON_PAUSE):
        super().__init__(write)
        self.pause, self.next_time = pause, 0.0
        self.steps: int | None = None

    def start(self, story: Story) -> None:  # noqa: D102
        facts = story.facts
        self.steps = facts.steps
        self._object(
            "start",
            run=facts.directory,
            step=story.steps_done,
            steps=facts.steps,
            seed=facts.seed,
            device=facts.device,
            threads=facts.threads,
        )

    def step(self, result: Step, elapsed_s: float) -> None:  # noqa: D102
        now = time.monotonic()
        if now < self.next_time and result.step != self.steps:
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

    def evaluated(self, step: int, lm_loss: float) -> None:  # noqa: D102
        self._object("evaluated", step=step, lm_loss=lm_loss)

    def say(self, text: str) -> None:  # noqa: D102
        self._object("message", text=text)

    def _object(self, event: str, **values: Any) -> None:
        self.write(as_object(event, **values))


def as_object(event: str, **values: Any) -> str:
    """What happened, as one line of JSON; a number that is not finite is null."""
    known = {
        key: None if isinstance(value, float) and not isfinite(value) else value
        for key, value in values.items()
    }
    return json.dumps({"event": event, **known}, allow_nan=False)
