"""Whatever is done to a run, in whatever order: after each of it the same things hold, and the run reaches its end."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from moe_lab.errors import StorageError
from moe_lab.store import Run, layout
from moe_lab.store.commit import newest_commit
from moe_lab.store.disk import DISK, Disk

from . import workload
from .conftest import Tally, scale
from .faults import Death, Fault, Faulty, Killed, raised, refusal

ROW = "stateful sequences"
END = 20
NEVER = float("inf")
CLOCKS = ("1970-01-01T00:00:00.000+00:00", "2262-04-11T23:47:16.854+00:00")


def undisturbed(runs: Path) -> tuple[list[np.ndarray], dict[str, bytes]]:
    """The weight after each step of a whole run, and all that it leaves but earlier checkpoints."""
    weights = [workload.START]
    with workload.begin(runs, DISK) as run:
        for step in range(1, END + 1):
            weights.append(workload.do_step(run, weights[-1], step))
        run.commit(workload.state_at(END, weights[-1]), keep=1)
        run.finish({"steps": END})
    return weights, workload.contents(runs)


class Life(RuleBasedStateMachine):
    """One run; `safe` are the steps whose commits are intact, and `step` is where its process is."""

    memory: Path  # for everything
    weights: list[np.ndarray]
    golden: dict[str, bytes]
    begun = 0  # sequences tried

    def __init__(self) -> None:
        super().__init__()
        type(self).begun += 1
        self.folder = Path(tempfile.mkdtemp(dir=self.memory))
        (self.folder / "outside").write_bytes(b"mine")
        self.runs = self.folder / "runs"
        self.system = Faulty(NEVER, raised)
        self.run: Run | None = workload.begin(self.runs, Disk(self.system))
        self.step, self.safe, self.tried = 0, [0], 0
        self.patch = pytest.MonkeyPatch()

    @property
    def directory(self) -> Path:
        return self.runs / workload.NAME

    @precondition(lambda self: self.run and self.step < END)
    @rule(steps=st.integers(1, 3))
    def train(self, steps: int) -> None:
        for _ in range(min(steps, END - self.step)):
            self.step += 1
            workload.do_step(self.run, self.weights[self.step - 1], self.step)

    @precondition(lambda self: self.run)
    @rule()
    def commit(self) -> None:
        self.tried = self.step
        self.run.commit(workload.state_at(self.step, self.weights[self.step]), keep=2)
        self._take_stock(self.step)

    @precondition(lambda self: self.run)
    @rule()
    def stop(self) -> None:
        self.run.close()
        self.run = None

    @precondition(lambda self: self.run and self.step < END)
    @rule(after=st.integers(0, 60), taken=st.integers(0, 9))
    def kill(self, after: int, taken: int) -> None:
        self._meet(after, Death(taken, raised), Killed)

    @precondition(lambda self: self.run and self.step < END)
    @rule(after=st.integers(0, 60))
    def fill_the_disk(self, after: int) -> None:
        self._meet(after, refusal(errno.ENOSPC), StorageError)

    @precondition(lambda self: not self.run)
    @rule()
    def reopen(self) -> None:
        self.run, state = Run.reopen(self.directory, Disk(self.system))
        assert state.step in (self.safe[-1], self.tried)
        assert state.model["weight"].tolist() == self.weights[state.step].tolist()
        self.step = state.step
        self._take_stock(state.step)

    @precondition(lambda self: not self.run and len(self.safe) > 1)
    @rule(name=st.sampled_from([layout.MODEL, layout.STATE, layout.COMMIT]), bit=st.integers(0, 99))
    def flip_a_bit_of_the_newest_checkpoint(self, name: str, bit: int) -> None:
        newest = self.safe.pop()  # not one that is damaged already: a bit flipped twice is whole
        path = layout.checkpoint(self.directory, newest) / name
        data = bytearray(path.read_bytes())
        data[bit % len(data)] ^= 1 << bit % 8
        path.write_bytes(data)
        if self.tried == newest:
            self.tried = self.safe[-1]

    @precondition(lambda self: self.run)
    @rule()
    def second_writer(self) -> None:
        before = workload.contents(self.folder, set())
        with pytest.raises(StorageError, match="in use"):
            Run.reopen(self.directory, Disk(self.system))
        assert workload.contents(self.folder, set()) == before

    @precondition(lambda self: not self.run)
    @rule(copy=st.booleans())
    def move(self, copy: bool) -> None:
        old, self.runs = self.runs, Path(tempfile.mkdtemp(dir=self.folder)) / "runs"
        (shutil.copytree if copy else shutil.move)(old, self.runs)

    @rule(now=st.sampled_from(CLOCKS), seconds=st.integers(0, 2**31))
    def change_the_clock(self, now: str, seconds: int) -> None:
        for module in ("events", "run"):
            self.patch.setattr(f"moe_lab.store.{module}.now", lambda: now)
        for folder in (self.directory / layout.CHECKPOINTS).iterdir():
            os.utime(folder, (seconds, seconds))

    @invariant()
    def a_reader_sees_a_beginning_of_the_undisturbed_run(self) -> None:
        assert workload.unfinished(self.runs, self.golden) == []

    @invariant()
    def nothing_outside_is_touched(self) -> None:
        assert (self.folder / "outside").read_bytes() == b"mine"

    @invariant()
    def an_open_run_has_its_last_commit_and_no_leftovers(self) -> None:
        if self.run:
            assert newest_commit(self.directory).state.step == self.run.step == self.safe[-1]
            assert not list(self.directory.rglob(f"{layout.STAGING}*"))

    @invariant()
    def an_open_run_has_the_rows_of_its_steps_and_no_later_ones(self) -> None:
        if self.run:
            for table in self.directory.glob("*.csv"):
                header, *rows = self.golden[f"{workload.NAME}/{table.name}"].splitlines(True)
                due = [row for row in rows if int(row.split(b",")[0]) <= self.step]
                assert table.read_bytes() == b"".join([header, *due])

    def teardown(self) -> None:
        """The rest without a fault: its end is that of the undisturbed run."""
        if not self.run:
            self.reopen()
        self.train(END)
        self.commit()
        self.run.finish({"steps": END})
        self.run.close()
        found = workload.contents(self.runs)
        assert workload.differences({**found, **self.golden}, found) == []
        self.patch.undo()
        shutil.rmtree(self.folder)

    def _meet(self, after: int, fault: Fault, ending: type[BaseException]) -> None:
        """One step and a commit, in which a fault waits."""
        self.system.arm(after, fault)
        try:
            self.train(1)
            self.commit()
        except ending as error:
            if isinstance(error, Exception):
                self.run.fail(error)
            self.stop()
        self.system.arm(NEVER, raised)

    def _take_stock(self, step: int) -> None:
        """What is safe when a step is: it, and what is left of the others."""
        there = workload.steps(self.runs)
        self.safe = sorted({step, *(old for old in self.safe if old in there and old < step)})


def test_whatever_is_done_to_a_run_in_whatever_order(tally: Tally, memory: Path):
    Life.memory, Life.begun = memory, 0
    Life.weights, Life.golden = undisturbed(memory / "golden")
    phases = scale([Phase.generate], [Phase.generate, Phase.shrink])  # which takes minutes
    try:
        run_state_machine_as_test(
            Life, settings=settings(max_examples=scale(10, 300), phases=phases)
        )
    finally:
        tally(ROW, Life.begun)
