"""A live view on a terminal: how far, how good, and what each router does with its experts."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from moe_lab.metrics import LoadWatch
from moe_lab.progress.bars import loads
from moe_lab.progress.base import Silent, Step
from moe_lab.progress.canvas import PAUSE, SHARE, Canvas, minutes


@dataclass(frozen=True)
class View:
    """One drawing of a run."""

    title: str
    steps: int
    result: Step
    verdicts: Mapping[int, str]
    step_s: float  # seconds per step so far

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Two lines, then a row per MoE layer."""
        yield Text(self._header(), no_wrap=True, overflow="ellipsis", style="bold")
        yield Text(self._losses(), no_wrap=True, overflow="ellipsis")
        yield from loads(self.result, self.verdicts, options)

    def _header(self) -> str:
        step = self.result.step
        eta = minutes(self.step_s * (self.steps - step))
        progress = f"step {step}/{self.steps}  {step / self.steps:.0%}  eta {eta}"
        return f"{progress}  {self.title}"  # a long title is cut, and the progress is not

    def _losses(self) -> str:
        lm, aux = self.result.lm_loss, self.result.aux_loss
        speed = f"{1000 * self.step_s:.0f} ms/step"
        parts = f"(lm {lm:.3f} + aux {aux:.3f})"
        return f"loss {lm + aux:.3f}  {parts}   grad {self.result.grad_norm:.2f}   {speed}"


class Live(Silent):
    """Draws a step now and then, and the last one.

    Verdicts are those of the steps that this process has seen: after a resume they begin anew.
    """

    def __init__(self, console: Console, pause: float = PAUSE, share: float = SHARE):
        self.canvas = Canvas(console, pause, share)
        self.result: Step | None = None
        self.watches: dict[int, LoadWatch] = {}

    def __enter__(self) -> "Live":
        self.canvas.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._draw()
        self.canvas.stop()

    def start(self, title: str, step: int, steps: int) -> None:  # noqa: D102
        self.title, self.first, self.steps = title, step, steps
        self.began = time.monotonic()

    def step(self, result: Step) -> None:  # noqa: D102
        self.result = result
        for layer, reading in result.layers.items():
            watch = self.watches.setdefault(layer, LoadWatch(reading.top_k))
            watch.update(result.step, reading.load)
        if self.canvas.due():
            self._draw()

    def say(self, text: str) -> None:  # noqa: D102
        self.canvas.say(text)

    def _draw(self) -> None:
        if self.result is None:
            return
        verdicts = {layer: watch.verdict() for layer, watch in self.watches.items()}
        step_s = (time.monotonic() - self.began) / (self.result.step - self.first)
        self.canvas.draw(View(self.title, self.steps, self.result, verdicts, step_s))
