"""A sweep is watched while it seems to be driven."""

import json
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeSweep, SignalAt, rows

from moe_lab import config, session
from moe_lab.errors import ArtefactError
from moe_lab.plan import PlannedRun
from moe_lab.progress import Silent
from moe_lab.store.disk import DISK
from moe_lab.store.events import append_event
from moe_lab.store.lock import Lock
from moe_lab.store.sweep import StoredSweep
from moe_lab.watch import watch

from .conftest import meanwhile, nothing


class Driven:
    """A sweep of four runs of ten steps, which this process seems to drive."""

    def __init__(self, sweep: StoredSweep):
        self.sweep, self.runs = sweep, {run.name: run for run in sweep.plan.runs}
        self.lock: Lock | None = Lock(sweep.directory)

    def train(self, name: str, stop_at: int | None = None) -> None:
        """Make a run, or go on with it, to its end or until it is stopped after a step."""
        run: PlannedRun = self.runs[name]
        reporter = SignalAt(stop_at, signal.SIGTERM) if stop_at else Silent()
        directory = self.sweep.run_directory(run)
        if directory.exists():
            session.resume(directory, reporter=reporter)
            return
        resolved = config.load(self.sweep.base_path, settings=run.settings)
        session.train(resolved, runs_dir=self.sweep.directory, exact=True, reporter=reporter)

    def fail(self, name: str, error: str) -> None:
        """A run fails before it has a folder."""
        append_event(DISK, self.sweep.directory, "failed", run=name, error=error)

    def leave(self) -> None:
        """The driver ends."""
        if self.lock:
            self.lock.close()
            self.lock = None


@pytest.fixture
def driven(make_sweep: MakeSweep) -> Iterator[Driven]:
    sweep = Driven(make_sweep([{"moe.alpha": 0.0}, {"moe.alpha": 0.1}]))
    yield sweep
    sweep.leave()


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_finished_sweep_is_drawn_once_the_lowest_loss_first(
    driven: Driven, capsys: pytest.CaptureFixture[str]
):
    for name in driven.runs:
        driven.train(name)
    driven.leave()
    assert watch(Path("sweep"), tempo=meanwhile()) == 0
    out, err = capsys.readouterr()
    header, names, *table, state = out.splitlines()
    assert (header, err) == ("sweep  4 of 4 finished  100%", "")
    assert names.split() == ["run", "state", "step", "lm_loss", "n_eff_worst"]
    assert state == "sweep is finished"
    found = {}
    for line in table:
        name, shown, step, loss, n_eff = line.split()
        (row,) = rows(driven.sweep.directory / name, "steps", step=10)
        assert (shown, step) == ("finished", "10/10")
        assert loss == f"{float(row['lm_loss']):.3f}"
        assert n_eff == f"{float(row['n_eff_worst']):.1f}"
        found[name] = float(row["lm_loss"])
    assert list(found) == sorted(driven.runs, key=lambda name: found[name])


def test_a_sweep_that_nobody_drives_says_how_it_goes_on(
    driven: Driven, capsys: pytest.CaptureFixture[str]
):
    driven.train("p0-s0")
    driven.train("p1-s0", stop_at=4)
    driven.fail("p0-s1", "no memory\nTraceback")
    driven.leave()
    assert watch(Path("sweep"), "live", tempo=meanwhile()) == 0
    header, _, *table, state = capsys.readouterr().out.splitlines()
    # of four runs one is finished, one failed, and one has 4 of 10 steps
    assert header == "sweep  1 of 4 finished, 1 failed, 1 stopped  60%"
    assert [line.split()[:3] for line in table] == [
        *(["p0-s1", "failed", "-"], ["no", "memory"], ["p1-s0", "stopped", "4/10"]),
        ["p0-s0", "finished", "10/10"],
    ]
    assert state == (
        "sweep is not finished, and no process drives it; go on with: moe-lab resume sweep"
    )


def test_a_sweep_with_failures_says_how_they_are_tried_again(
    driven: Driven, capsys: pytest.CaptureFixture[str]
):
    for name in driven.runs:
        driven.fail(name, "no memory")
    driven.leave()
    assert watch(Path("sweep"), "none", tempo=meanwhile()) == 0
    assert capsys.readouterr() == (
        "",
        "runs of sweep failed; try them again with: moe-lab resume sweep --retry-failed\n",
    )


def test_a_sweep_is_followed_from_run_to_run(driven: Driven, capsys: pytest.CaptureFixture[str]):
    driven.train("p0-s0")
    driven.train("p1-s0", stop_at=4)
    tempo = meanwhile(
        nothing,
        lambda: driven.train("p1-s0", stop_at=6),
        lambda: driven.train("p0-s1", stop_at=2),
        lambda: driven.train("p1-s0"),
        lambda: driven.fail("p1-s1", "no memory"),
        lambda: driven.train("p0-s1"),
        driven.leave,
    )
    assert watch(Path("sweep"), "json", tempo=tempo) == 0
    start, *told, message = events(capsys.readouterr().err)
    assert start == {"event": "start", "sweep": "sweep", "runs": 4, "finished": 1}
    assert [(e["event"], e["run"], e.get("state")) for e in told if e["event"] != "step"] == [
        ("begun", "p0-s1", None),
        ("ended", "p0-s1", "stopped"),
        ("ended", "p1-s0", "finished"),
        ("begun", "p1-s1", None),
        ("ended", "p1-s1", "failed"),
        ("ended", "p0-s1", "finished"),
    ]
    assert "failed; try them again" in message["text"]


def test_a_run_that_is_being_written_is_running(driven: Driven, capsys: pytest.CaptureFixture[str]):
    driven.train("p0-s0", stop_at=4)
    lock = Lock(driven.sweep.directory / "p0-s0")
    driven.leave()  # the driver was killed, and the run goes on
    assert watch(Path("sweep"), once=True, tempo=meanwhile()) == 0
    header, _, row, state = capsys.readouterr().out.splitlines()
    assert header == "sweep  0 of 4 finished, 1 running  10%"
    assert row.split()[:3] == ["p0-s0", "running", "4/10"]
    assert state == "sweep is running"
    lock.close()


def test_without_a_terminal_there_is_a_table_and_then_lines(
    driven: Driven, capsys: pytest.CaptureFixture[str]
):
    driven.train("p0-s0")
    assert watch(Path("sweep"), "plain", tempo=meanwhile(driven.leave)) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "sweep  1 of 4 finished  25%"
    assert err.splitlines()[0] == "sweep  1 of 4 runs finished"


def test_on_a_terminal_the_finished_runs_are_in_the_table(
    driven: Driven, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    driven.train("p0-s0")
    assert watch(Path("sweep"), "live", tempo=meanwhile(driven.leave)) == 0
    err = capsys.readouterr().err
    assert "1 of 4 finished  25%  eta -  (0:00 watched)" in err
    assert re.search(r"p0-s0 +finished  10/10 ", err)


def test_a_sweep_that_goes_away_is_an_error(driven: Driven):
    with pytest.raises(ArtefactError, match="sweep is gone: it was moved or removed"):
        watch(Path("sweep"), "none", tempo=meanwhile(lambda: shutil.rmtree(driven.sweep.directory)))


def test_a_run_whose_folder_was_damaged_is_a_failure_and_the_rest_is_shown(
    driven: Driven, capsys: pytest.CaptureFixture[str]
):
    driven.train("p0-s0")
    driven.train("p1-s0")
    (driven.sweep.directory / "p0-s0" / "run.json").write_text("{")
    (driven.sweep.directory / "p1-s0" / "steps.csv").unlink()
    driven.leave()
    assert watch(Path("sweep"), tempo=meanwhile()) == 0
    shown = capsys.readouterr().out
    assert "sweep  1 of 4 finished, 1 failed" in shown
    assert "is corrupt" in shown
