"""Two processes at one place: whenever the second comes, it changes nothing of what the first is writing."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from moe_lab.errors import StorageError
from moe_lab.store import Run
from moe_lab.store.disk import DISK, Disk

from . import workload
from .faults import Faulty


@pytest.fixture
def runs(memory: Path) -> Path:
    path = memory / "runs"
    path.mkdir()
    return path


def test_a_second_process_cannot_go_on_with_a_run_and_changes_nothing(runs: Path):
    refused = 0

    def visit(name: str, arguments: tuple[Any, ...]) -> None:
        nonlocal refused
        if (runs / workload.NAME).exists():
            before = workload.contents(runs, set())
            with pytest.raises(StorageError, match="in use"):
                Run.reopen(runs / workload.NAME)
            assert workload.contents(runs, set()) == before
            refused += 1

    workload.drive(runs, Disk(Faulty(0, visit)))
    assert refused > 100


def test_a_run_can_be_begun_while_another_one_is(runs: Path):
    def visit(name: str, arguments: tuple[Any, ...]) -> None:
        workload.begin(runs, DISK, name="other").close()

    for at in range(44):
        workload.begin(runs, Disk(Faulty(at, visit, once=True))).close()
        assert {path.name for path in runs.iterdir()} == {workload.NAME, "other"}, at
        for path in runs.iterdir():
            shutil.rmtree(path)
