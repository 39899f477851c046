"""What a person sees while a run trains: a live view on a terminal, at most 22 plain lines elsewhere."""

import os
import sys

from rich.console import Console

from moe_lab.progress.base import Messages, Reporter, Silent
from moe_lab.progress.lines import JsonLines, Lines
from moe_lab.progress.live import Live

__all__ = ["JsonLines", "Lines", "Live", "Messages", "Reporter", "Silent", "for_stderr"]


def for_stderr(mode: str = "auto") -> Reporter:
    """The reporter of a mode: live, plain, json, none or auto.

    auto is live if stderr is a terminal that can show it, else plain. A terminal cannot if TERM is dumb, if CI is set,
    or if Rich is told so by TTY_INTERACTIVE=0.
    """
    console = Console(stderr=True)
    if mode == "auto":
        can = sys.stderr.isatty() and console.is_interactive and not os.environ.get("CI")
        mode = "live" if can else "plain"
    match mode:
        case "live":
            return Live(console)
        case "json":
            return JsonLines()
        case "none":
            return Messages()
    return Lines()
