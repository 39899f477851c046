"""What a sweep takes grows with its runs, and no faster: counted in calls to the file system, not in time."""

from pathlib import Path

import pytest
from bench.counting import calls
from bench.stub_runs import Stubs
from conftest import MakeSweep, small

from moe_lab import session
from moe_lab.config import load
from moe_lab.progress import Silent
from moe_lab.progress.base import SweepMessages
from moe_lab.report import sweep_reading
from moe_lab.store.sweep import StoredSweep
from moe_lab.sweep.drive import Policy, drive

STEPS = ("steps=4", "eval.every=4")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    asked, runs = load(None, small("name=trained", *STEPS)), tmp_path_factory.mktemp("runs")
    return session.train(asked, runs_dir=runs, exact=True, reporter=Silent()).directory


def of_seeds(make_sweep: MakeSweep, number: int, *, rule: bool) -> Path:
    """A sweep of a point at so many seeds."""
    sweep = make_sweep([{"moe.alpha": 0.1}], *STEPS, seeds=tuple(range(number)), rule=rule)
    return sweep.directory.rename(sweep.directory.with_name(f"of-{number}"))


def opened_by_driver(directory: Path, trained: Path, *, fenced: bool) -> int:
    sweep, silent = StoredSweep(directory), SweepMessages(lambda line: None)
    with calls() as counted:
        assert drive(sweep, Stubs(trained, fenced=fenced), silent, Policy()) == 0
    return counted["open"]


@pytest.mark.parametrize("fenced", [False, True])
@pytest.mark.parametrize("rule", [False, True])
def test_a_driver_opens_as_many_files_for_a_run_whatever_their_number(
    make_sweep: MakeSweep, trained: Path, *, rule: bool, fenced: bool
) -> None:
    few, more, many = (
        opened_by_driver(of_seeds(make_sweep, number, rule=rule), trained, fenced=fenced)
        for number in (2, 4, 8)
    )
    assert many - more == 2 * (more - few) > 0


def test_a_report_opens_as_many_files_for_a_run_whatever_their_number(
    make_sweep: MakeSweep, trained: Path
) -> None:
    opened = []
    for number in (2, 4, 8):
        directory = of_seeds(make_sweep, number, rule=False)
        opened_by_driver(directory, trained, fenced=False)
        sweep_reading.read(StoredSweep(directory))  # which imports what it takes
        with calls() as counted:
            sweep_reading.read(StoredSweep(directory))
        opened.append(counted["open"])
    few, more, many = opened
    assert many - more == 2 * (more - few) > 0


def test_a_driver_that_ends_does_not_read_what_had_finished_again(
    make_sweep: MakeSweep, trained: Path
) -> None:
    directory = of_seeds(make_sweep, 4, rule=False)
    opened_by_driver(directory, trained, fenced=False)
    with calls() as stock:
        StoredSweep(directory).states()
    fixed = opened_by_driver(of_seeds(make_sweep, 1, rule=False), trained, fenced=False)
    assert opened_by_driver(directory, trained, fenced=False) < stock["open"] + fixed
