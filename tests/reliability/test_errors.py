"""The disk refuses, at any call: an error says so and names the file, no commit is lost, and the run can go on."""

import errno
import os
import shutil
import stat
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import Cli

from moe_lab.errors import ArtefactError, StorageError
from moe_lab.store.commit import newest_commit
from moe_lab.store.disk import DISK, Disk

from . import training, workload
from .conftest import Tally, scale
from .faults import Counted, Death, Faulty, Garbled, Killed, OneByte, raised, refusal
from .sampling import sample
from .servers import ask

UNSHARED = ("unshare", "--map-root-user", "--mount")  # mounts are this process's alone
ROW = "error at a write (ENOSPC, EIO, …)"
ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT)


class Refusal(NamedTuple):
    """The errno of a call, and whether later ones go well again."""

    number: int
    once: bool


REFUSALS = tuple(Refusal(number, once) for number in ERRORS for once in (True, False))


@pytest.fixture
def golden(memory: Path) -> dict[str, bytes]:
    """What an undisturbed run leaves."""
    (memory / "golden").mkdir()
    workload.drive(memory / "golden")
    return workload.contents(memory / "golden")


class Trial(NamedTuple):
    """A call that is refused, of a run that is begun, or gone on with after it was cut off."""

    at: int
    refusal: Refusal


def calls(runs: Path) -> int:
    """How many it takes to drive a run to its end."""
    counted = Counted()
    workload.drive(runs, Disk(counted))
    return len(counted.calls)


def wrong(runs: Path, trial: Trial, golden: dict[str, bytes]) -> list[str]:
    """What is wrong after a run has met an error, or when it has gone on."""
    number, once = trial.refusal
    system, safe, found = Faulty(trial.at, refusal(number), once=once), list[int](), []
    try:
        workload.drive(runs, Disk(system), acknowledged=safe.append)
        found.append("no error")
    except StorageError as error:
        if str(runs) not in str(error) or error.exit_code != 4:
            found.append(f"the error is {error}")
    if safe and newest_commit(runs / workload.NAME).state.step < min(safe[-1], workload.STEPS):
        found.append(f"step {safe[-1]} is lost")
    found += workload.unfinished(runs, golden)
    return found + workload.mended(runs, golden)


def all_wrong(start: Path, trials: int, golden: dict[str, bytes]) -> tuple[int, list[str]]:
    """How many refusals were tried on copies of a folder, and what was wrong."""
    runs = start.with_name("runs")
    shutil.copytree(start, runs)
    turns = (0, 5)  # of the refusals: at every call one that passes and one that stays
    everything = [
        Trial(at, REFUSALS[(at + turn) % 8]) for at in range(calls(runs)) for turn in turns
    ]
    bad, chosen = [], sample(everything, trials)
    for trial in chosen:
        shutil.rmtree(runs)
        shutil.copytree(start, runs)
        if found := wrong(runs, trial, golden):
            bad.append(f"{trial}: {found}")
    return len(chosen), bad


def test_a_refusal_at_any_call_is_an_error_and_costs_nothing(
    tally: Tally, memory: Path, golden: dict[str, bytes]
):
    start = memory / "start"
    start.mkdir()
    tried, bad = all_wrong(start, scale(60, -1), golden)
    tally(ROW, tried, len(bad))
    assert not bad, bad[:3]


def test_a_refusal_while_a_cut_off_run_is_mended_costs_nothing(
    tally: Tally, memory: Path, golden: dict[str, bytes]
):
    start = memory / "start"
    start.mkdir()
    cut = 2 * calls(start) // 3
    shutil.rmtree(start)
    start.mkdir()
    with pytest.raises(Killed):
        workload.drive(start, Disk(Faulty(cut, Death(3, raised))))
    tried, bad = all_wrong(start, scale(30, -1), golden)
    tally(ROW, tried, len(bad))
    assert not bad, bad[:3]


def test_a_run_whose_very_last_sync_fails_is_finished_all_the_same(
    memory: Path, golden: dict[str, bytes]
):
    (memory / "whole").mkdir()
    last = Trial(calls(memory / "whole") - 1, Refusal(errno.EIO, once=True))
    (memory / "runs").mkdir()
    assert wrong(memory / "runs", last, golden) == []


class Synced(Faulty):
    """One sync fails; the files that are synced after it, by how often they were opened."""

    def __init__(self, at: int) -> None:
        super().__init__(at, refusal(errno.EIO), once=True)
        self.opened, self.failed, self.later = Counter[int](), (-1, 0), set[tuple[int, int]]()

    def around(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:
        if name != "sync":
            found = super().around(name, call, *arguments)
            if isinstance(found, int) and name != "write":
                self.opened[found] += 1
            return found
        file = (arguments[0], self.opened[arguments[0]])
        is_folder = stat.S_ISDIR(os.fstat(arguments[0]).st_mode)
        if len(self.calls) == self.at:
            self.failed = (-1, 0) if is_folder else file
        elif self.fired:
            self.later.add(file)
        return super().around(name, call, *arguments)


def test_a_file_whose_sync_failed_is_never_synced_again(memory: Path):
    """The system may have dropped its pages: a second sync would succeed, and say nothing."""
    counted = Counted()
    (memory / "whole").mkdir()
    workload.drive(memory / "whole", Disk(counted))
    syncs = [at for at, call in enumerate(counted.calls) if call.name == "sync"]
    for at in sample(syncs, scale(20, -1)):
        runs, system = memory / f"{at}", Synced(at)
        runs.mkdir()
        with pytest.raises(StorageError):
            workload.drive(runs, Disk(system))
        assert system.failed not in system.later, at


def test_writes_that_take_one_byte_at_a_time_are_completed(memory: Path, golden: dict[str, bytes]):
    runs = memory / "runs"
    runs.mkdir()
    workload.drive(runs, Disk(OneByte()))
    assert workload.mended(runs, golden) == []


def test_a_checkpoint_that_does_not_read_back_costs_no_earlier_one(memory: Path):
    """With one to keep, the one before is deleted after the new one was read again, and not before."""
    noticed = 0
    for at in range(40):
        runs, system = memory / f"{at}", Garbled()
        runs.mkdir()
        with workload.begin(runs, Disk(system)) as run:
            weight = workload.do_step(run, workload.START, 1)
            system.at = len(system.calls) + at
            try:
                run.commit(workload.state_at(1, weight), keep=1)
            except ArtefactError:
                noticed += 1
        assert newest_commit(run.directory)
    assert noticed == 4  # files of a checkpoint


def test_the_command_line_says_what_the_disk_refused_and_goes_on_when_it_does_not(
    tally: Tally, cli: Cli, memory: Path, monkeypatch: pytest.MonkeyPatch
):
    (memory / "golden").mkdir()
    counted = Counted()
    training.drive(memory / "golden", Disk(counted))
    golden = workload.contents(memory / "golden", training.UNREPEATABLE)
    everything = [(at, number) for at in range(len(counted.calls)) for number in ERRORS]
    chosen, bad = sample(everything, scale(3, 80)), []
    for at, number in chosen:
        runs = memory / f"{at} {number}"
        runs.mkdir()
        with monkeypatch.context() as patch:
            patch.setitem(vars(DISK), "system", Faulty(at, refusal(number)))
            done = cli("train", *training.SETTINGS, "--runs-dir", runs)
        said = f"error: cannot write {runs}"
        if done.exit_code != 4 or done.stdout or said not in done.stderr:
            bad.append((at, number, done.exit_code, done.stderr))
        elif found := workload.mended(runs, golden, training.drive, training.UNREPEATABLE):
            bad.append((at, number, found))
    tally(ROW, len(chosen), len(bad))
    assert not bad, bad[:3]


def can_mount(folder: Path) -> bool:
    """Whether this user can have a file system of its own, as on Linux most can."""
    command = [*UNSHARED, "mount", "-t", "tmpfs", "tmpfs", folder]
    return bool(shutil.which("unshare")) and subprocess.run(command, check=False).returncode == 0


def test_a_file_system_that_is_really_full_costs_nothing(tally: Tally, memory: Path):
    if not can_mount(memory):
        pytest.skip("this user can mount nothing, not even alone")
    found = ask("full_disk", memory, through=UNSHARED)
    tally(ROW, found["tried"], len(found["bad"]))
    assert not found["bad"], found["bad"][:3]
