"""The smallest run of a real model, begun or gone on with as the command line does it."""

from pathlib import Path
from typing import Any

from conftest import small

from moe_lab import session
from moe_lab.config import load
from moe_lab.progress import Silent
from moe_lab.store import layout
from moe_lab.store.disk import DISK, Disk

from . import workload

SETTINGS = small(
    *("name=x", "steps=4", "eval.every=3", "checkpoint.every=2"),
    *("tokens=32", "n_layers=1", "n_domains=2", "batch_size=2"),
)
UNREPEATABLE = {
    *workload.UNREPEATABLE,
    layout.SUMMARY,  # has tokens_per_s
    layout.COMMIT,  # has the length of timing.csv
}


def drive(runs: Path, disk: Disk = DISK) -> None:
    """What is left to do of the run."""
    directory, said = runs / workload.NAME, Silent()
    if directory.exists():
        session.resume(directory, reporter=said, disk=disk)
    else:
        asked: Any = load(None, SETTINGS)
        session.train(asked, runs_dir=runs, exact=True, reporter=said, disk=disk)
