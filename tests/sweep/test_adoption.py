"""Runs of a sweep that others write, or have written."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import FINISHED, MakeSweep, results

from moe_lab.job.task import Message
from moe_lab.report import sweep_reading
from moe_lab.store.disk import DISK, Disk
from moe_lab.store.events import read_events
from moe_lab.store.lock import Lock
from moe_lab.store.sweep import StoredSweep
from moe_lab.sweep.drive import FAILED, Policy, drive

from .conftest import Here, Slower, Told, starts, states


@pytest.fixture
def one(make_sweep: MakeSweep) -> StoredSweep:
    """A sweep at two seeds, the first of which has the settings of `stopped` and `finished`."""
    return make_sweep([{"moe.alpha": 0.01}], *FINISHED)


def drive_here(
    sweep: StoredSweep, launcher: Here | None = None, **policy: object
) -> tuple[int, Told]:
    told = Told()
    policy = {"retries": 0, **policy}
    code = drive(StoredSweep(sweep.directory), launcher or Here(), told, Policy(**policy))  # type: ignore[arg-type]
    return code, told


class Waiting(Here):
    """Does something when it is waited for, so many times."""

    def __init__(self, times: int, then: Callable[[], object], disk: Disk = DISK) -> None:
        super().__init__(disk)
        self.left, self.then = times, then

    def wait(self, timeout: float | None) -> list[Message]:
        self.left -= 1
        if self.left == 0:
            self.then()
        return super().wait(timeout)


def test_a_run_that_another_process_writes_is_begun_when_that_has_ended(
    one: StoredSweep, stopped: Path, finished: Path
) -> None:
    lock = Lock(shutil.copytree(stopped, one.directory / "p0-s0"))
    code, told = drive_here(one, Waiting(3, lock.close))
    assert code == 0
    assert told.events == [
        *(("begun", "p0-s1"), ("finished", "p0-s1")),
        *(("begun", "p0-s0"), ("finished", "p0-s0")),
    ]
    assert results(one.directory / "p0-s0") == results(finished)


@pytest.mark.parametrize("waits", [0, 1, 3])  # as long as the other one lives
def test_of_two_processes_that_begin_a_run_the_slower_one_takes_nothing_from_the_other(
    one: StoredSweep, stopped: Path, finished: Path, waits: int
) -> None:
    locks = []

    def publish(directory: Path) -> None:
        shutil.copytree(stopped, directory)
        if waits:
            locks.append(Lock(directory))

    slower = Disk(Slower("p0-s0", publish))
    launcher = Waiting(waits, lambda: [lock.close() for lock in locks], slower)
    code, told = drive_here(one, launcher)
    assert (code, told.of("failed"), told.of("interrupted")) == (0, [], [])
    assert told.of("begun").count("p0-s0") == 1 + bool(waits)  # again when the other has ended
    assert sorted(told.of("finished")) == ["p0-s0", "p0-s1"]
    assert starts(one) == [1, 1]
    assert results(one.directory / "p0-s0") == results(finished)
    assert not list(one.directory.glob(".staging-*"))


def test_a_run_made_with_other_settings_is_a_failure_and_left_alone(
    one: StoredSweep, finished: Path
) -> None:
    copy = shutil.copytree(finished, one.directory / "p0-s1")
    code, told = drive_here(one)
    assert (code, told.of("begun")) == (FAILED, ["p0-s0"])
    assert one.states()["p0-s1"].error == (
        f"{copy} was made with seed 0, the plan says 1: move it away"
    )
    assert [run.state for run in sweep_reading.read(one).runs] == ["finished", "failed"]
    assert results(copy) == results(finished)


def damage(run: Path) -> None:
    for model in run.glob("checkpoints/*/model.safetensors"):
        model.write_bytes(model.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("source", "name", "harm", "reason"),
    [
        ("stopped", "p0-s0", damage, "has no intact checkpoint"),
        ("stopped", "p0-s0", lambda run: (run / "run.json").unlink(), "is not a moe-lab run"),
        ("finished", "p0-s1", lambda run: None, "was made with seed 0"),
    ],
)
def test_what_cannot_be_gone_on_with_is_set_aside_when_it_is_tried_again(
    one: StoredSweep,
    request: pytest.FixtureRequest,
    source: str,
    name: str,
    harm: Callable[[Path], object],
    reason: str,
) -> None:
    copy = shutil.copytree(request.getfixturevalue(source), one.directory / name)
    harm(copy)
    found = sorted(path.relative_to(copy) for path in copy.rglob("*"))
    assert drive_here(one)[0] == FAILED
    code, told = drive_here(one, retry_failed=True)
    assert (code, told.of("begun")) == (0, [name])
    aside = one.directory / f".aside-{name}-1"
    (said,) = told.said
    assert said.startswith(f"{name} begins anew; what was there is now {aside}: ")
    assert reason in said
    (event,) = (event for event in read_events(one.directory) if event["kind"] == "aside")
    assert (event["run"], event["folder"]) == (name, aside.name)
    assert set(found) <= {path.relative_to(aside) for path in aside.rglob("*")}
    assert set(states(one).values()) == {"finished"}
