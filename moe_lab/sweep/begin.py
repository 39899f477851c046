"""A sweep from the command line to its folder: made, or found again and gone on with."""

import os
from contextlib import suppress
from pathlib import Path

from moe_lab.errors import ConfigError
from moe_lab.store.disk import DISK, Disk
from moe_lab.store.folders import resume_command
from moe_lab.store.sweep import StoredSweep, create_sweep, is_sweep
from moe_lab.sweep.differences import differences
from moe_lab.sweep.grid import Grid


def begin(grid: Grid, runs_dir: Path, disk: Disk = DISK) -> StoredSweep:
    """The folder of a sweep. A plan never changes: raises ConfigError if another one has the name."""
    directory = runs_dir / grid.name
    if not os.path.lexists(directory):
        with suppress(ConfigError):  # it is there now: another process has been faster
            return create_sweep(
                *(runs_dir, grid.name, grid.plan),
                base=grid.base.dump(),
                config=grid.base.raw,
                disk=disk,
            )
    if not is_sweep(directory):
        raise ConfigError(f"{directory} exists and is no sweep", help="choose another --name")
    stored = StoredSweep(directory, disk)
    if found := differences(stored.plan, stored.base.config, grid):
        raise ConfigError(
            "\n  ".join([f"{directory} is a sweep with another plan:", *found]),
            help=f"choose another --name, or go on with the old one: {resume_command(directory)}",
        )
    return stored
