"""A live view on a terminal: how far, how good, and what each router does with its experts."""

from rich.console import Console

from moe_lab.progress.base import Silent
from moe_lab.progress.canvas import PAUSE, SHARE, Canvas
from moe_lab.progress.facts import Step
from moe_lab.progress.story import Story
from moe_lab.progress.view import View

NOTE = "Ctrl-C: saved, and can be resumed"


class Live(Silent):
    """Draws a step now and then, and the last one; note: what a person can do meanwhile.

    Verdicts are those of the steps in the story: of a resumed run that this process tells, they begin anew.
    """

    def __init__(
        self, console: Console, pause: float = PAUSE, share: float = SHARE, note: str = NOTE
    ):
        self.canvas, self.note = Canvas(console, pause, share), note
        self.story: Story | None = None

    def __enter__(self) -> "Live":
        self.canvas.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._draw(over=True)
        self.canvas.stop()

    def start(self, story: Story) -> None:  # noqa: D102
        self.story = story
        self._draw()

    def step(self, result: Step, elapsed_s: float) -> None:  # noqa: D102
        assert self.story, "a step before the start"
        self.story.step(result, elapsed_s)
        if self.canvas.due():
            self._draw()

    def evaluated(self, step: int, lm_loss: float) -> None:  # noqa: D102
        assert self.story, "an evaluation before the start"
        self.story.evaluated(step, lm_loss)

    def say(self, text: str) -> None:  # noqa: D102
        self.canvas.say(text)

    def _draw(self, *, over: bool = False) -> None:
        if self.story and self.story.result:
            self.canvas.draw(View(self.story, "" if over else self.note, over))
