"""Runs that seem to be written meanwhile: copies of finished ones, of which more and more rows are there."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from moe_lab.progress import Silent
from moe_lab.store import layout
from moe_lab.store.disk import json_bytes
from moe_lab.store.lock import Lock
from moe_lab.watch.run import LOOKS
from moe_lab.watch.tempo import Tempo


class Growing:
    """A run that this process seems to be writing, of which a whole one is known."""

    def __init__(self, whole: Path, directory: Path):
        self.whole, self.directory = whole, shutil.copytree(whole, directory)
        (directory / layout.SUMMARY).unlink()
        self.status("running")
        self.lock: Lock | None = Lock(directory)
        self.grow(0)

    def rows(self, table: str, step: int) -> bytes:
        """A table as it was when a step had been written."""
        header, *rows = layout.table(self.whole, table).read_bytes().splitlines(keepends=True)
        return b"".join([header, *(row for row in rows if int(row.split(b",")[0]) <= step)])

    def grow(self, step: int, *tables: str) -> None:
        """All rows up to a step are there, or those of some tables."""
        for name in tables or layout.TABLES:
            layout.table(self.directory, name).write_bytes(self.rows(name, step))

    def status(self, state: str, **details: Any) -> None:
        """status.json says so."""
        path = self.directory / layout.STATUS
        path.write_bytes(json_bytes({**json.loads(path.read_text()), "state": state, **details}))

    def leave(self) -> None:
        """The process that writes the run ends."""
        if self.lock:
            self.lock.close()
            self.lock = None

    def finish(self) -> None:
        """All is written, and the process ends."""
        self.grow(10**9)
        self.status("finished")
        shutil.copy(self.whole / layout.SUMMARY, self.directory)
        self.leave()


class Heard(Silent):
    """Keeps what a reporter of a run is told."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.elapsed: list[float] = []
        self.evaluations: list[tuple[int, float]] = []

    def step(self, result: Any, elapsed_s: float) -> None:
        self.steps.append(result)
        self.elapsed.append(elapsed_s)

    def evaluated(self, step: int, lm_loss: float) -> None:
        self.evaluations.append((step, lm_loss))


@pytest.fixture
def growing(finished: Path, tmp_path: Path) -> Iterator[Growing]:
    """The finished run of `finished`, before its first step."""
    run = Growing(finished, tmp_path / "run")
    yield run
    run.leave()


def meanwhile(*events: Callable[[], object]) -> Tempo:
    """A tempo by which one thing after the other happens at each pause, and no time passes.

    Soon after the last the watch has to be over.
    """
    waiting = iter([*events, *[nothing] * (4 * LOOKS)])

    def sleep(seconds: float) -> None:
        next(waiting)()

    return Tempo(clock=lambda: 0.0, sleep=sleep)


def nothing() -> None:
    """Nothing happens."""


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages name folders as they were typed."""
    monkeypatch.chdir(tmp_path)
