"""What a person sees while runs train: a live view on a terminal, a bounded number of plain lines elsewhere."""

from moe_lab.progress.base import Messages, Reporter, Silent, SweepReporter
from moe_lab.progress.canvas import pick
from moe_lab.progress.lines import JsonLines, Lines
from moe_lab.progress.live import Live
from moe_lab.progress.sweeps import for_sweep

__all__ = [
    "JsonLines",
    "Lines",
    "Live",
    "Messages",
    "Reporter",
    "Silent",
    "SweepReporter",
    "for_stderr",
    "for_sweep",
]


def for_stderr(mode: str = "auto") -> Reporter:
    """The reporter of a run in a mode: live, plain, json, none or auto (`canvas.pick`)."""
    return pick(mode, live=Live, plain=Lines, json=JsonLines, none=Messages)
