"""What is drawn once, on stdout: as wide as the terminal, or as a page elsewhere, and as long as it has to be."""

import sys

from rich.console import RenderableType
from rich.text import Text

from moe_lab import escape
from moe_lab.report.render import Printer

PAGE, ENDLESS = 100, 1000  # columns where there is no terminal, and lines


def show(drawn: RenderableType | None, sentence: str) -> None:
    """A drawing, if there is one, and below it a sentence, which is never broken."""
    width = None if sys.stdout.isatty() else PAGE
    console = Printer(width=width, height=ENDLESS, highlight=False)
    if drawn is not None:
        console.print(drawn)
    console.print(Text(escape.lines(sentence)), soft_wrap=True)
