"""A run that is stopped or killed after any of its steps, once or again and again, ends with the same bytes."""

from pathlib import Path

from .conftest import Tally, scale
from .servers import ask


def test_a_run_cut_after_any_step_goes_on_to_the_same_bytes(tally: Tally, memory: Path):
    found = ask("cut_server", memory, scale(2, -1), scale(1, -1))
    tally("resume at every step", found["singles"], sum(len(cuts) == 1 for cuts, _ in found["bad"]))
    tally("chains of cuts", found["chains"], sum(len(cuts) > 1 for cuts, _ in found["bad"]))
    assert not found["bad"], found["bad"][:3]
