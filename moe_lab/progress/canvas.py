"""A place on a terminal that is drawn over and over, seldom enough to cost next to nothing."""

import os
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from rich.console import Console, RenderableType
from rich.live import Live as Display

from moe_lab import escape

PAUSE = 0.25  # seconds between two drawings, at least
SHARE = 0.01  # of the time that is spent on drawing, at most

Shown = TypeVar("Shown")


def pick(
    mode: str,
    *,
    live: Callable[[Console], Shown],
    plain: Callable[[], Shown],
    json: Callable[[], Shown],
    none: Callable[[], Shown],
) -> Shown:
    """What shows progress on stderr in a mode: live, plain, json, none or auto, as `resolved` has it."""
    mode = resolved(mode)
    if mode == "live":
        return live(Console(stderr=True))
    return {"plain": plain, "json": json, "none": none}[mode]()


def resolved(mode: str) -> str:
    """The mode that auto stands for: live if stderr is a terminal that can show it, else plain.

    A terminal cannot if TERM is dumb, if CI is set, or if Rich is told so by TTY_INTERACTIVE=0.
    """
    if mode != "auto":
        return mode
    interactive = Console(stderr=True).is_interactive
    can = sys.stderr.isatty() and interactive and not os.environ.get("CI")
    return "live" if can else "plain"


class Canvas(Display):
    """Drawn by hand: no second thread, and stdout is left to results. What is said stays above."""

    def __init__(
        self,
        console: Console,
        pause: float = PAUSE,
        share: float = SHARE,
        clock: Callable[[], float] = time.monotonic,
    ):
        super().__init__(console=console, auto_refresh=False, redirect_stdout=False)
        self.pause, self.share, self.clock, self.next_time = pause, share, clock, 0.0

    def due(self) -> bool:
        """Whether it may be drawn again."""
        return self.clock() >= self.next_time

    def draw(self, view: RenderableType) -> None:
        """Draw now, and not again before the pause is over and the drawing is paid for."""
        began = self.clock()
        self.update(view, refresh=True)
        done = self.clock()
        self.next_time = done + max(self.pause, (done - began) / self.share)

    def say(self, text: str) -> None:
        """A line above, never broken."""
        self.console.print(escape.lines(text), markup=False, highlight=False, soft_wrap=True)


def minutes(seconds: float) -> str:
    """`2:05`, or `1:02:05` from an hour on."""
    whole, second = divmod(round(seconds), 60)
    hour, minute = divmod(whole, 60)
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"
