"""A signal at every phase: the run stops within a step, is saved, and goes on to the bytes of an undisturbed one."""

from pathlib import Path

from .conftest import Tally, scale
from .servers import ask


def test_a_run_struck_at_any_phase_goes_on_to_the_same_bytes(tally: Tally, memory: Path):
    found = ask("signal_server", memory, scale(8, -1))
    tally("signal at a phase", found["tried"], len(found["bad"]))
    assert not found["bad"], found["bad"][:3]
