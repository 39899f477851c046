"""What a person sees while runs train: a live view on a terminal, a bounded number of plain lines elsewhere."""

from functools import partial

from moe_lab.progress.base import Messages, Reporter, Silent, SweepReporter
from moe_lab.progress.canvas import pick
from moe_lab.progress.facts import Facts
from moe_lab.progress.lines import JsonLines, Lines
from moe_lab.progress.live import NOTE, Live
from moe_lab.progress.story import Story
from moe_lab.progress.sweeps import for_sweep

__all__ = [
    "Facts",
    "JsonLines",
    "Lines",
    "Live",
    "Messages",
    "Reporter",
    "Silent",
    "Story",
    "SweepReporter",
    "for_stderr",
    "for_sweep",
]


def for_stderr(mode: str = "auto", note: str = NOTE) -> Reporter:
    """The reporter of a run in a mode: live, plain, json, none or auto (`canvas.pick`); note: as of `Live`."""
    live = partial(Live, note=note)
    return pick(mode, live=live, plain=Lines, json=JsonLines, none=Messages)
