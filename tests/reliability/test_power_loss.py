"""A power cut at any change, in any state that it can leave: what was said to be safe is there, and the run goes on."""

import random
import shutil
import traceback
from pathlib import Path
from typing import NamedTuple

import pytest

from moe_lab.store import is_finished
from moe_lab.store.commit import newest_commit
from moe_lab.store.disk import Disk

from . import workload
from .conftest import Tally, scale
from .power import FATES, Fate, Recorded
from .sampling import sample

CHANCE = Fate(0.5, 0.5)
TRASH = "x/checkpoints/.staging-step-"  # of a finished run, which nothing opens any more: removals are not synced
BEFORE = -1  # nothing is acknowledged yet


class Recording:
    """A run driven to its end in a folder, and every power cut that could have been on the way."""

    def __init__(self, runs: Path, since: int = BEFORE) -> None:
        self.record = Recorded(runs)
        self.acknowledged = [(0, since)]  # how many changes there were, and the step
        workload.drive(runs, Disk(self.record), acknowledged=self._note)

    def _note(self, step: int) -> None:
        self.acknowledged.append((len(self.record.changes), step))

    def cuts(self, by_chance: int) -> list["Cut"]:
        """At every change, each of the extreme fates, and then so many by chance."""
        moments, fates = range(len(self.record.changes) + 1), [*FATES, *[CHANCE] * by_chance]
        return [
            Cut(self, done, fate, number) for done in moments for number, fate in enumerate(fates)
        ]


class Cut(NamedTuple):
    """A power cut after so many changes."""

    recording: Recording
    done: int
    fate: Fate
    number: int

    @property
    def acknowledged(self) -> int:
        """The last step that had been said to be safe."""
        return max(step for at, step in self.recording.acknowledged if at <= self.done)

    def leave(self, runs: Path) -> None:
        """Makes the folder that it left."""
        record, draw = self.recording.record, random.Random(f"{self.done} {self.number}")
        record.after(self.done, self.fate, draw).materialise(runs, record.folders)

    def lost(self, runs: Path) -> list[str]:
        """What had been said to be safe and is not there."""
        directory, step = runs / workload.NAME, self.acknowledged
        if step == BEFORE:
            return []
        if step == workload.FINISHED and not is_finished(directory):
            return ["the run had finished"]
        found = newest_commit(directory).state.step
        return (
            [f"step {step} was safe, {found} is there"] if found < min(step, workload.STEPS) else []
        )

    def __str__(self) -> str:
        last = self.recording.record.changes[: self.done][-1:]
        return f"cut {self.done}, {self.fate}, draw {self.number}, after {str(last)[:100]}"


def wrong(cut: Cut, runs: Path, golden: dict[str, bytes]) -> str:
    """What is wrong with a folder as it was left, or when the run has gone on in it; empty if nothing is."""
    cut.leave(runs)
    try:
        found = cut.lost(runs) + [
            name for name in workload.mended(runs, golden) if not name.startswith(TRASH)
        ]
    except Exception:
        found = [traceback.format_exc()]
    finally:
        shutil.rmtree(runs)
    return f"{cut}: {'; '.join(found)}" if found else ""


@pytest.fixture
def undisturbed(memory: Path) -> Recording:
    """A run without a cut, in the folder `whole`."""
    (memory / "whole").mkdir()
    return Recording(memory / "whole")


def test_the_model_of_a_disk_loses_nothing_that_happened(undisturbed: Recording, memory: Path):
    changes = len(undisturbed.record.changes)
    Cut(undisturbed, changes, Fate(1, 1), 0).leave(memory / "modelled")
    assert workload.contents(memory / "modelled", set()) == workload.contents(
        memory / "whole", set()
    )


def test_a_power_cut_loses_nothing_that_was_safe(
    tally: Tally, undisturbed: Recording, memory: Path
):
    golden = workload.contents(memory / "whole")
    chosen = sample(undisturbed.cuts(by_chance=8), scale(150, -1))
    bad = [found for cut in chosen if (found := wrong(cut, memory / "runs", golden))]
    tally("power loss", len(chosen), len(bad))
    assert not bad, "\n".join(bad[:3])


def test_a_second_power_cut_while_the_first_is_mended_loses_nothing(
    tally: Tally, undisturbed: Recording, memory: Path
):
    golden, runs, bad, tried = workload.contents(memory / "whole"), memory / "runs", [], 0
    for first in sample(undisturbed.cuts(by_chance=2), scale(6, 60)):
        first.leave(runs)
        again = Recording(runs, since=first.acknowledged)
        shutil.rmtree(runs)
        chosen = sample(again.cuts(by_chance=2), 10)
        bad += [f"{first}, then {found}" for cut in chosen if (found := wrong(cut, runs, golden))]
        tried += len(chosen)
    tally("power loss", tried, len(bad))
    assert not bad, "\n".join(bad[:3])
