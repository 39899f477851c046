"""A process killed at any call, within any write, and again while it mends: nothing is lost and nothing is left."""

from pathlib import Path

from .conftest import Tally, scale
from .servers import ask


def test_a_store_killed_at_any_write_ends_as_the_undisturbed_one(tally: Tally, memory: Path):
    found = ask("kill_server", "workload", memory, scale(60, -1), scale(20, 400))
    tally("kill at a write, store alone", found["tried"], len(found["bad"]))
    assert not found["bad"], found["bad"][:3]
    assert not found["torch"], "the store has imported torch"


def test_a_training_killed_at_any_write_ends_as_the_undisturbed_one(tally: Tally, memory: Path):
    found = ask("kill_server", "training", memory, scale(4, 300), scale(2, 50))
    tally("kill at a write, training", found["tried"], len(found["bad"]))
    assert not found["bad"], found["bad"][:3]
