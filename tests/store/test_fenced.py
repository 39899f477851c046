import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import FINISHED, results, small

from moe_lab import session
from moe_lab.config import load
from moe_lab.errors import StorageError
from moe_lab.progress import Silent
from moe_lab.progress.facts import Step
from moe_lab.store import Run, layout
from moe_lab.store.attempts import Attempts
from moe_lab.store.disk import DISK, Disk
from moe_lab.store.fenced import FencedError, FencedSystem, fenced_disk
from moe_lab.store.folders import staging
from moe_lab.store.lock import InUseError, Lock
from moe_lab.store.system import System

from .conftest import new_run, read, train_to

CALLS = sorted(name for name in vars(System) if not name.startswith("_"))


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A folder with one attempt of the run x."""
    (tmp_path / "sweep").mkdir()
    assert Attempts(tmp_path / "sweep").begin("x") == 1
    return tmp_path / "sweep"


def overtake(sweep: Path) -> Disk:
    """The next attempt of x, on another host, where the locks of this one are not seen: they are of other files."""
    (sweep / "x" / layout.LOCK).unlink(missing_ok=True)
    return fenced_disk(sweep, "x", Attempts(sweep).begin("x"))


def snapshot(folder: Path) -> dict[str, bytes]:
    """All there is but what the driver wrote: folders as well, and files with their bytes."""
    found = (path for path in folder.rglob("*") if layout.ATTEMPTS not in path.parts)
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in found}


# Each call


@contextmanager
def arguments(folder: Path) -> Iterator[dict[str, tuple[Any, ...]]]:
    """What each call of a system can be given in a folder."""
    path, new, empty = folder / "file", folder / "new", folder / "empty"
    path.write_bytes(b"rows")
    empty.mkdir()
    descriptor = os.open(path, os.O_RDWR)
    yield {
        "make_folder": (new,),
        "create": (new,),
        "extend": (path,),
        "change": (path,),
        "write": (descriptor, b"more"),
        "truncate": (descriptor, 1),
        "sync": (descriptor,),
        "rename": (path, new),
        "remove": (path,),
        "remove_folder": (empty,),
    }
    os.close(descriptor)


@pytest.mark.parametrize("name", CALLS)
def test_every_call_is_the_systems_until_another_attempt_begins(
    name: str, sweep: Path, tmp_path: Path
) -> None:
    fenced = fenced_disk(sweep, "x", 1).system
    for system, folder in ((System(), tmp_path / "a"), (fenced, tmp_path / "b")):
        folder.mkdir()
        with arguments(folder) as given:
            if name in ("create", "extend", "change"):
                os.close(getattr(system, name)(*given[name]))
            else:
                getattr(system, name)(*given[name])
    plain = {path.name: path.is_dir() or path.read_bytes() for path in (tmp_path / "a").iterdir()}
    same = {path.name: path.is_dir() or path.read_bytes() for path in (tmp_path / "b").iterdir()}
    assert same == plain


@pytest.mark.parametrize("name", CALLS)
def test_no_call_changes_anything_after_another_attempt_has_begun(name: str, sweep: Path) -> None:
    disk = fenced_disk(sweep, "x", 1)
    with arguments(sweep) as given:
        disk.make_folder(sweep / "before")
        before = snapshot(sweep)
        Attempts(sweep).begin("x")
        with pytest.raises(FencedError):
            getattr(disk.system, name)(*given[name])
        assert snapshot(sweep) == before


def test_rows_of_one_step_share_a_look_and_those_of_the_next_take_another(sweep: Path) -> None:
    system = fenced_disk(sweep, "x", 1).system
    steps, cv = system.create(sweep / "steps"), system.create(sweep / "cv")
    system.write(steps, b"1")
    Attempts(sweep).begin("x")
    system.write(cv, b"1")
    with pytest.raises(FencedError):
        system.write(steps, b"2")
    with pytest.raises(FencedError):
        system.write(cv, b"2")
    os.close(steps)
    os.close(cv)
    assert (sweep / "steps").read_bytes() == b"1"


# Why


def test_the_message_names_run_attempts_and_how_to_go_on(sweep: Path) -> None:
    disk = fenced_disk(sweep, "x", 1)
    overtake(sweep)
    with pytest.raises(FencedError, match="attempt 1 of x writes nothing more: ") as caught:
        disk.write_new(sweep / "new", b"")
    assert "attempt 2 has begun" in str(caught.value)
    assert f"go on with: moe-lab resume {sweep}" in caught.value.render()
    assert (caught.value.exit_code, isinstance(caught.value, InUseError)) == (4, True)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda path: path.unlink(), "no attempt is on record any more"),
        (lambda path: shutil.rmtree(path.parents[1]), "no attempt is on record any more"),
        (lambda path: path.write_text("{"), "cannot be told .*x.json is corrupt"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot be told .*x.json is not a plain"),
    ],
    ids=["no file", "no sweep", "torn", "a folder"],
)
def test_what_is_on_record_must_be_readable(
    damage: Callable[[Path], None], why: str, sweep: Path, tmp_path: Path
) -> None:
    disk = fenced_disk(sweep, "x", 1)
    damage(layout.attempt(sweep, "x"))
    with pytest.raises(FencedError, match=why):
        disk.write_new(tmp_path / "new", b"")
    assert not (tmp_path / "new").exists()


def test_a_lower_number_on_record_is_another_attempt_too(sweep: Path) -> None:
    Attempts(sweep).begin("x")
    disk = fenced_disk(sweep, "x", 2)
    layout.attempt(sweep, "x").unlink()
    Attempts(sweep).begin("x")
    with pytest.raises(FencedError, match="attempt 1 has begun"):
        disk.write_new(sweep / "new", b"")


def test_who_was_fenced_once_stays_so(sweep: Path) -> None:
    disk = fenced_disk(sweep, "x", 1)
    path = layout.attempt(sweep, "x")
    path.rename(sweep / "away")
    with pytest.raises(FencedError):
        disk.write_new(sweep / "new", b"")
    (sweep / "away").rename(path)
    with pytest.raises(FencedError):
        disk.write_new(sweep / "new", b"")


# A run


def test_an_older_attempt_that_only_starts_now_is_refused_before_it_writes(sweep: Path) -> None:
    late = fenced_disk(sweep, "x", 1)
    overtake(sweep)
    with pytest.raises(FencedError):
        new_run(sweep, "x", disk=late)
    assert snapshot(sweep) == {}
    with new_run(sweep, "x", disk=fenced_disk(sweep, "x", 2)) as run:
        train_to(run, start=1, stop=3)
    before = snapshot(sweep)
    with pytest.raises(FencedError):
        Run.reopen(sweep / "x", late)
    assert snapshot(sweep) == before


def test_an_overtaken_run_ends_as_it_is_and_advises_nothing(sweep: Path) -> None:
    run = new_run(sweep, "x", disk=fenced_disk(sweep, "x", 1))
    with pytest.raises(FencedError, match="attempt 2 has begun") as caught, run:  # noqa: PT012
        train_to(run, start=1, stop=3)
        overtake(sweep)
        before = snapshot(sweep)
        try:
            train_to(run, start=4, stop=4)
        except FencedError as error:
            run.fail(error)
            raise
    assert snapshot(sweep) == before
    assert "step 2 is intact" not in caught.value.render()


def test_an_attempt_waits_for_an_older_one_on_its_host(sweep: Path) -> None:
    with new_run(sweep, "x", disk=fenced_disk(sweep, "x", 1)):
        newer = fenced_disk(sweep, "x", Attempts(sweep).begin("x"))
        with pytest.raises(InUseError, match="is in use by another process") as caught:
            Run.reopen(sweep / "x", newer)
        assert not isinstance(caught.value, FencedError)
    Run.reopen(sweep / "x", newer)[0].close()


class Slow(System):
    """Something else happens once, when a file has been opened or is about to be written to."""

    meanwhile: Callable[[], object] | None = None

    def extend(self, path: Path) -> int:
        descriptor = super().extend(path)
        self._pause()
        return descriptor

    def change(self, path: Path) -> int:
        descriptor = super().change(path)
        self._pause()
        return descriptor

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        self._pause()
        return super().write(descriptor, data)

    def _pause(self) -> None:
        if self.meanwhile:
            happens, self.meanwhile = self.meanwhile, None
            happens()


class Late(FencedSystem, Slow):
    """Looks in time, and acts late."""


def test_rows_that_are_late_land_in_no_file_with_a_name(sweep: Path) -> None:
    system = Late(sweep, "x", 1)
    zombie = new_run(sweep, "x", disk=Disk(system, shared=True))
    train_to(zombie, start=1, stop=3)

    def taken_over() -> None:
        run, state = Run.reopen(sweep / "x", overtake(sweep))
        assert state.step == 2
        run.close()

    zombie.append("steps", {"step": 4, "loss": 0.125})
    zombie.append("cv", {"step": 4, "split": "train", "cv": 0.5})
    system.meanwhile = taken_over
    zombie.flush()  # one look, and two writes
    assert (sweep / "x/steps.csv").read_bytes() == b"step,loss\n1,1.0\n2,0.5\n"
    assert (sweep / "x/cv.csv").read_bytes().count(b"\n") == 3
    with pytest.raises(FencedError), zombie:
        zombie.event("never")


def test_a_late_line_is_no_event_and_stands_in_no_log(sweep: Path) -> None:
    with new_run(sweep, "x", disk=fenced_disk(sweep, "x", 1)) as zombie:
        zombie.event("start")
        zombie.log("begun")
        files = [(sweep / "x" / name).open("ab") for name in (layout.EVENTS, layout.LOG)]
        Run.reopen(sweep / "x", overtake(sweep))[0].close()
        before = snapshot(sweep)
        for file in files:
            with file:
                file.write(b"late\n")
    assert snapshot(sweep) == before


@pytest.mark.parametrize("name", ["extend", "change"])
def test_a_file_that_was_opened_too_late_is_closed(name: str, sweep: Path) -> None:
    system = Late(sweep, "x", 1)
    system.meanwhile = partial(overtake, sweep)
    (sweep / "file").touch()
    before = len(list(Path("/dev/fd").iterdir()))
    with pytest.raises(FencedError):
        getattr(system, name)(sweep / "file")
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_taking_over_changes_no_byte_of_what_was_committed(sweep: Path) -> None:
    with new_run(sweep, "x", disk=fenced_disk(sweep, "x", 1)) as run:
        train_to(run, start=1, stop=4)
        run.log("as it was")
    before = {path: path.read_bytes() for path in (sweep / "x").glob("*.[ct]*")}
    nodes = {path: path.stat().st_ino for path in (sweep / "x").glob("*.[ct]*")}
    run, state = Run.reopen(sweep / "x", overtake(sweep))
    run.close()
    assert (state.step, run.skipped) == (4, ())
    for path in (sweep / "x/steps.csv", sweep / "x/cv.csv", sweep / "x/log.txt"):
        assert path.read_bytes() == before[path]
        assert path.stat().st_ino != nodes[path]
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_run_of_one_host_keeps_its_files(sweep: Path) -> None:
    with new_run(sweep, "x") as run:
        train_to(run, start=1, stop=4)
    node = (sweep / "x/steps.csv").stat().st_ino
    Run.reopen(sweep / "x")[0].close()
    assert (sweep / "x/steps.csv").stat().st_ino == node


def test_what_another_host_prepares_is_left_alone(sweep: Path) -> None:
    Attempts(sweep).begin("y")
    with staging(fenced_disk(sweep, "x", 1), sweep) as (theirs, lock):
        (theirs / layout.LOCK).unlink()  # not seen from here
        with new_run(sweep, "y", disk=fenced_disk(sweep, "y", 1)):
            assert theirs.exists()
        with staging(DISK, sweep) as (_, other):  # a driver's, for whom nobody is left
            assert not theirs.exists()
        other.close()
    lock.close()


# A zombie


class Frozen(Silent):
    """Stops in one step, and goes on when something else has happened."""

    def __init__(self, at: int, meanwhile: Callable[[], object]):
        self.at, self.meanwhile = at, meanwhile

    def step(self, result: Step, elapsed_s: float) -> None:
        if result.step == self.at:
            self.meanwhile()


@pytest.mark.parametrize("at", [1, 4, 7, 10])
def test_a_zombie_that_trains_on_leaves_the_run_as_the_newer_attempt_made_it(
    at: int, finished: Path, sweep: Path
) -> None:
    left: dict[str, bytes] = {}

    def finish() -> None:
        done = session.resume(sweep / "x", reporter=Silent(), disk=overtake(sweep))
        assert done.exit_code == 0
        left.update(snapshot(sweep))

    asked = load(None, small(*FINISHED, "name=x"))
    zombie = Frozen(at, finish)
    with pytest.raises(FencedError, match="attempt 2 has begun"):
        session.train(
            asked, runs_dir=sweep, exact=True, reporter=zombie, disk=fenced_disk(sweep, "x", 1)
        )
    assert snapshot(sweep) == left
    assert results(sweep / "x") == results(finished)
    assert read(sweep / "x/status.json")["state"] == "finished"
    assert not (sweep / "x" / layout.LOG).exists()


def test_a_lock_is_not_opened_by_an_attempt_that_was_overtaken(sweep: Path) -> None:
    disk = fenced_disk(sweep, "x", 1)
    overtake(sweep)
    with pytest.raises(StorageError, match="attempt 1 of x"):
        Lock(sweep, disk)
    assert not (sweep / layout.LOCK).exists()
