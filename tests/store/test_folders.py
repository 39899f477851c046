import errno
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from conftest import edit

from moe_lab.errors import ArtefactError, ConfigError, StorageError
from moe_lab.store import Run
from moe_lab.store.disk import DISK, Disk
from moe_lab.store.folders import (
    clear_staging,
    preflight,
    publish,
    refuse_existing,
    refuse_foreign,
    resume_command,
    staging,
)
from moe_lab.store.lock import Lock
from moe_lab.store.system import System

from .conftest import new_run

TAKEN = pytest.mark.parametrize(
    "taken", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")]
)


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """A prepared folder."""
    (tmp_path / ".new").mkdir()
    (tmp_path / ".new" / "file").touch()
    return tmp_path / ".new"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_published_under_the_name_that_is_wanted(new: Path, tmp_path: Path) -> None:
    assert publish(DISK, new, tmp_path / "x", exact=True) == tmp_path / "x"
    assert names(tmp_path) == ["x"]
    assert names(tmp_path / "x") == ["file"]


@TAKEN
def test_what_has_the_name_is_refused_and_left_alone(
    new: Path, tmp_path: Path, taken: Callable[[Path], None]
) -> None:
    taken(tmp_path / "x")
    for refuse in (
        lambda: refuse_existing(tmp_path / "x"),
        lambda: publish(DISK, new, tmp_path / "x", exact=True),
    ):
        with pytest.raises(ConfigError, match="x already exists"):
            refuse()
    assert names(tmp_path) == [".new", "x"]
    refuse_existing(tmp_path / "y")


@TAKEN
def test_else_the_first_free_number_is_taken(
    new: Path, tmp_path: Path, taken: Callable[[Path], None]
) -> None:
    taken(tmp_path / "x")
    taken(tmp_path / "x-2")
    assert publish(DISK, new, tmp_path / "x", exact=False) == tmp_path / "x-3"
    assert names(tmp_path) == ["x", "x-2", "x-3"]


def test_a_folder_that_has_gone_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write .*x: No such file"):
        publish(DISK, tmp_path / "gone", tmp_path / "x", exact=False)


def test_a_command_can_be_pasted() -> None:
    assert resume_command(Path("runs/a b")) == "moe-lab resume 'runs/a b'"


def test_a_run_of_several_ranks_goes_on_by_as_many(finished: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "x"))
    assert resume_command(run) == f"moe-lab resume {run}"
    edit(run / "run.json", world_size=3)
    assert resume_command(run) == f"torchrun --nproc-per-node 3 -m moe_lab resume {run}"


class Faster(System):
    """Another process takes a name at the last moment."""

    def rename(self, old: Path, new: Path) -> None:
        if old.is_dir() and new.name == "x":
            new.mkdir()
            (new / "theirs").touch()
        super().rename(old, new)


def test_a_name_that_is_taken_at_the_last_moment_is_left_alone(new: Path, tmp_path: Path) -> None:
    assert publish(Disk(Faster()), new, tmp_path / "x", exact=False) == tmp_path / "x-2"
    assert (names(tmp_path / "x"), names(tmp_path / "x-2")) == (["theirs"], ["file"])


# What a kill left


def test_what_a_kill_left_half_prepared_is_removed_unless_it_is_being_prepared(
    tmp_path: Path,
) -> None:
    for name in (".staging-left", ".staging-unlocked", ".staging-live", "x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").touch()
    (tmp_path / ".staging-left/.lock").touch()
    (tmp_path / ".staging-empty").mkdir()
    with closing(Lock(tmp_path / ".staging-live")):
        clear_staging(tmp_path)
    assert names(tmp_path) == [".staging-live", "x"]


def test_a_link_and_a_file_that_look_left_over_stay(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    (tmp_path / ".staging-link").symlink_to("mine")
    (tmp_path / ".staging-file").touch()
    clear_staging(tmp_path)
    assert names(tmp_path) == [".staging-file", ".staging-link", "mine"]
    assert names(tmp_path / "mine") == ["file"]


def test_a_new_run_clears_what_others_left(runs: Path) -> None:
    (runs / ".staging-left").mkdir(parents=True)
    new_run(runs).close()
    assert names(runs) == ["x"]


class Sweeping(System):
    """Clears what looks left over at one call of another process that prepares a folder."""

    def __init__(self, moment: str):
        self.moment = moment

    def make_folder(self, path: Path) -> None:
        super().make_folder(path)
        self._sweep("folder made", path)

    def extend(self, path: Path) -> int:
        descriptor = super().extend(path)
        self._sweep("lock made", path.parent)
        return descriptor

    def create(self, path: Path) -> int:
        self._sweep("locked", path.parent)
        return super().create(path)

    def _sweep(self, moment: str, folder: Path) -> None:
        if moment == self.moment:
            self.moment = ""
            clear_staging(folder.parent)


@pytest.mark.parametrize("moment", ["folder made", "lock made", "locked"])
def test_clearing_never_takes_a_folder_that_is_being_prepared(runs: Path, moment: str) -> None:
    runs.mkdir()
    with new_run(runs, disk=Disk(Sweeping(moment))) as run:
        run.log("here")
    assert names(runs) == ["x"]
    Run.reopen(runs / "x")[0].close()


class Holding(System):
    """Stands still at the removal of a folder's lock, until it is told to go on."""

    def __init__(self) -> None:
        self.there, self.on = threading.Event(), threading.Event()

    def remove(self, path: Path) -> None:
        self.there.set()
        self.on.wait()
        super().remove(path)


def test_a_folder_that_is_being_removed_is_in_use(tmp_path: Path) -> None:
    (tmp_path / ".staging-left").mkdir()
    system = Holding()
    sweeper = threading.Thread(target=clear_staging, args=(tmp_path, Disk(system)))
    sweeper.start()
    system.there.wait()
    with pytest.raises(StorageError, match="in use"):
        Lock(tmp_path / ".staging-left")
    system.on.set()
    sweeper.join()
    with pytest.raises(StorageError, match="in use"):  # gone
        Lock(tmp_path / ".staging-left")


def test_an_error_while_preparing_leaves_nothing(tmp_path: Path) -> None:
    def prepare() -> None:
        with staging(DISK, tmp_path) as (new, _):
            (new / "file").touch()
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        prepare()
    assert names(tmp_path) == []


# Where no run can be


class Refusing(System):
    """A disk that refuses one kind of call."""

    def __init__(self, call: str, number: int):
        self.call, self.number = call, number

    def __getattribute__(self, name: str) -> object:
        if name == object.__getattribute__(self, "call"):
            raise OSError(self.number, os.strerror(self.number))
        return object.__getattribute__(self, name)


def test_a_place_with_room_passes_and_nothing_is_left(tmp_path: Path) -> None:
    preflight(tmp_path / "deeper" / "runs", 1000)
    preflight(tmp_path, 0)
    assert names(tmp_path) == []


@pytest.mark.parametrize("call", ["make_folder", "extend", "create", "write", "sync", "rename"])
def test_a_place_that_cannot_be_written_is_refused_and_nothing_is_left(
    tmp_path: Path, call: str
) -> None:
    with pytest.raises(StorageError, match="Read-only file system") as caught:
        preflight(tmp_path / "runs", 0, Disk(Refusing(call, errno.EROFS)))
    remedy = "make it writable, or choose another place with --runs-dir"
    assert caught.value.render().endswith(f"help: {remedy}")
    assert str(tmp_path) in str(caught.value)
    assert names(tmp_path) == []


def test_a_place_without_room_is_refused_with_what_is_needed_and_free(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        preflight(tmp_path / "runs", 10**21)
    assert f"{tmp_path}/runs needs 1,000,000,000,000,000.0 MB; its file system" in str(caught.value)
    assert " MB free" in str(caught.value)
    assert names(tmp_path) == []


# Whose run it is


def test_a_run_that_everybody_can_write_is_read_and_not_gone_on_with(runs: Path) -> None:
    new_run(runs).close()
    (runs / "x").chmod(0o777)
    with pytest.raises(StorageError, match="x can be written by everybody") as caught:
        Run.reopen(runs / "x")
    assert f"help: close it: chmod o-w {runs}/x" in caught.value.render()
    (runs / "x").chmod(0o755)
    Run.reopen(runs / "x")[0].close()


def test_a_run_of_another_user_is_not_gone_on_with(tmp_path: Path) -> None:
    foreign = Path("/")  # root's
    if os.geteuid() == 0:
        foreign = tmp_path / "x"
        foreign.mkdir()
        os.chown(foreign, 12345, 12345)
    with pytest.raises(StorageError, match="belongs to another user"):
        refuse_foreign(foreign)


@pytest.mark.parametrize("name", ["checkpoints", "router", "tail"])
def test_a_run_whose_folders_lead_out_of_it_is_not_gone_on_with(
    runs: Path, tmp_path: Path, name: str
) -> None:
    new_run(runs).close()
    outside = tmp_path / "outside"
    if (runs / "x" / name).exists():
        (runs / "x" / name).rename(outside)
    else:
        outside.mkdir()
    (runs / "x" / name).symlink_to(outside)
    before = sorted(outside.rglob("*"))
    with pytest.raises(ArtefactError, match=f"{name} is a link"):
        Run.reopen(runs / "x")
    assert sorted(outside.rglob("*")) == before
