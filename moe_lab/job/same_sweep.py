"""Whether a folder that a driver named is the same one where a run is to be made: other hosts have other disks."""

import hashlib
import platform
from pathlib import Path

from moe_lab.errors import ArtefactError, StorageError
from moe_lab.store import files, layout, limits


def plan_of(sweep: Path) -> str:
    """What tells a sweep from every other: the SHA-256 of its plan and its time. Raises ArtefactError."""
    return hashlib.sha256(files.read_regular(sweep / layout.SWEEP, limits.PLAN)).hexdigest()


def refuse_other(sweep: Path, plan: str) -> None:
    """Raises StorageError if what is here in a sweep's place is not that sweep."""
    try:
        same = plan_of(sweep) == plan
    except ArtefactError:
        same = False
    if not same:
        raise StorageError(
            f"{sweep} is not the driver's sweep on the node {platform.node()}",
            help="choose a --runs-dir that all nodes reach by the same path",
        )
