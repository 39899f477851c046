"""A folder under its name: whole, or not at all, and never in place of another; and where none can be."""

import errno
import itertools
import os
import shlex
import shutil
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from moe_lab.errors import ArtefactError, ConfigError, StorageError
from moe_lab.store import layout
from moe_lab.store.disk import DISK, Disk, writing
from moe_lab.store.lock import InUseError, Lock
from moe_lab.store.read import read_record

_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)


def refuse_existing(directory: Path) -> None:
    """Raises ConfigError if a run's name is taken; for a check before any work is done."""
    if os.path.lexists(directory):
        raise ConfigError(
            f"{directory} already exists",
            help=f"choose another --name, or go on with it: {resume_command(directory)}",
        )


def resume_command(directory: Path) -> str:
    """What a person types to go on with a run or a sweep; of a run by several ranks, on one machine."""
    engine = ["moe-lab"]
    with suppress(ArtefactError):  # a sweep has no such record
        if (ranks := read_record(directory).get("world_size", 1)) != 1:
            engine = ["torchrun", "--nproc-per-node", str(ranks), "-m", "moe_lab"]
    return shlex.join([*engine, "resume", str(directory)])


def preflight(runs_dir: Path, need: int, disk: Disk = DISK) -> None:
    """Tries to write where a run shall be, which need not exist, and looks for `need` bytes of room.

    Leaves nothing. Raises StorageError.
    """
    folder = next(path for path in (runs_dir, *runs_dir.parents) if os.path.lexists(path))
    with staging(disk, folder) as (new, lock):
        disk.replace(new / "probe", b"written, synced and renamed")
        disk.discard(new / "probe")
        disk.abandon(new)  # without its lock it looks left over: another process may be faster
    lock.close()
    with writing(folder):
        free = shutil.disk_usage(folder).free
    if free < need:
        raise StorageError(
            f"{runs_dir} needs {need / 1e6:,.1f} MB; its file system has {free / 1e6:,.1f} MB free",
            help="free space on it, or choose another place with --runs-dir",
        )


def refuse_foreign(directory: Path) -> None:
    """Raises StorageError if somebody else may write in a run's folder, ArtefactError if it leads out of itself.

    Such a run can be read, and not be gone on with.
    """
    found = directory.stat()
    if found.st_uid != os.geteuid():
        remedy = f"go on as that user, or with a copy: cp -r {shlex.quote(str(directory))} COPY"
        raise StorageError(f"{directory} belongs to another user", help=remedy)
    if found.st_mode & stat.S_IWOTH:
        remedy = f"close it: chmod o-w {shlex.quote(str(directory))}"
        raise StorageError(f"{directory} can be written by everybody", help=remedy)
    for name in (layout.CHECKPOINTS, layout.ARRAYS, layout.TAILS):
        if (directory / name).is_symlink():
            raise ArtefactError(f"{directory / name} is a link, not a folder of the run")


@contextmanager
def staging(disk: Disk, parent: Path) -> Iterator[tuple[Path, Lock]]:
    """A new hidden folder in `parent`, and its lock, which stays with it when it gets its name; removed by an error.

    What a kill left of others goes first, unless those of other hosts may be alive.
    """
    if not disk.shared:
        clear_staging(parent, disk)
    folder, lock = _locked(disk, parent)
    try:
        yield folder, lock
    except BaseException:
        disk.abandon(folder)
        lock.close()
        raise


def clear_staging(directory: Path, disk: Disk = DISK) -> None:
    """Removes folders that a kill left half prepared; those of a live process are locked and stay."""
    for left in sorted(directory.glob(f"{layout.STAGING}*")):
        if left.is_dir() and not left.is_symlink():
            with suppress(StorageError), closing(Lock(left, disk)):  # in use, or not ours to remove
                disk.discard_tree(left)


def _locked(disk: Disk, parent: Path) -> tuple[Path, Lock]:
    while True:
        folder = disk.staging_folder(parent)
        try:
            return folder, Lock(folder, disk)
        except InUseError:  # for an instant it looked left over, and another process is removing it
            continue
        except BaseException:
            disk.abandon(folder)
            raise


def publish(disk: Disk, new: Path, wanted: Path, *, exact: bool) -> Path:
    """Renames the prepared folder to the first free name, durably."""
    target = wanted
    numbers = itertools.count(2)
    while not _renamed(disk, new, target):
        if exact:
            refuse_existing(target)
        target = wanted.with_name(f"{wanted.name}-{next(numbers)}")
    disk.sync_folder(wanted.parent)
    return target


def _renamed(disk: Disk, new: Path, target: Path) -> bool:
    """False if the name is taken, even at the last moment: rename replaces no folder with files."""
    if os.path.lexists(target):  # rename would replace an empty folder
        return False
    try:
        disk.rename(new, target)
    except StorageError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _TAKEN:
            return False
        raise
    return True
