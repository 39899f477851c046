"""A folder under its name: whole, or not at all, and never in place of another."""

import errno
import itertools
import os
import shlex
from pathlib import Path

from moe_lab.errors import ConfigError, StorageError
from moe_lab.store.disk import Disk

_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)


def refuse_existing(directory: Path) -> None:
    """Raises ConfigError if a run's name is taken; for a check before any work is done."""
    if os.path.lexists(directory):
        raise ConfigError(
            f"{directory} already exists",
            help=f"choose another --name, or go on with it: {resume_command(directory)}",
        )


def resume_command(directory: Path) -> str:
    """What a person types to go on with a run."""
    return shlex.join(["moe-lab", "resume", str(directory)])


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
