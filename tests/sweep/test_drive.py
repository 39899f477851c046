import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import FINISHED, MakeSweep, results, small

from moe_lab import session
from moe_lab.config import load
from moe_lab.errors import StorageError
from moe_lab.job.task import Ended, Message, Progress, Task
from moe_lab.launch.base import Demand
from moe_lab.launch.local import Local
from moe_lab.progress import Silent
from moe_lab.report import sweep_reading
from moe_lab.store.disk import Disk
from moe_lab.store.lock import Lock
from moe_lab.store.sweep import StoredSweep
from moe_lab.store.system import System
from moe_lab.sweep.drive import FAILED, Policy, drive

from .conftest import Endless, Here, Told, run, starts, states

GRID = [{"moe.alpha": 0.0}, {"moe.alpha": 0.1}]
CALM = {"train.lr": 1e-3, "train.weight_decay": 0.1}
DIVERGES = {"train.lr": 10.0, "train.weight_decay": 1000.0}
OPEN = ("warmup=0", "grad_clip=null", "lr_schedule=constant", "steps=30")  # so that it can


@pytest.mark.slow
def test_every_run_is_made_once_and_equals_the_same_run_alone(
    make_sweep: MakeSweep, tmp_path: Path
) -> None:
    sweep = make_sweep(GRID)
    code, told = run(sweep)
    assert code == 0
    assert set(states(sweep).values()) == {"finished"}
    assert told.started == ("sweep", 4, 0)
    assert sorted(told.of("finished")) == ["p0-s0", "p0-s1", "p1-s0", "p1-s1"]
    assert starts(sweep) == [1, 1, 1, 1]
    alone = load(None, small("name=alone", "seed=1", "alpha=0.1"))
    session.train(alone, runs_dir=tmp_path, exact=True, reporter=Silent())
    assert results(tmp_path / "alone") == results(sweep.directory / "p1-s1")


def test_the_tuning_rule_is_followed_to_its_end_beside_the_grid(make_sweep: MakeSweep) -> None:
    sweep = make_sweep(GRID, "steps=8", seeds=(0,), rule=True)
    assert run(sweep)[0] == 0
    stored = StoredSweep(sweep.directory)
    (chain,) = stored.chains()
    assert chain.settled
    asked = {made.name for made in chain.runs}
    assert "alpha-0.01-s0" in asked
    assert states(sweep) == dict.fromkeys({"p0-s0", "p1-s0"} | asked, "finished")
    found = sweep_reading.read(stored)
    assert found.rule is not None
    (course,) = found.rule.courses
    own = stored.outcomes(chain.chosen)
    assert own is not None
    assert course.loss == own["gap"]
    assert course.regret is not None


def test_a_finished_sweep_begins_nothing(make_sweep: MakeSweep) -> None:
    sweep = make_sweep(GRID[:1], seeds=(3,))
    run(sweep)
    code, told = run(sweep)
    assert (code, told.events, told.started) == (0, [], ("sweep", 1, 1))


@pytest.mark.slow
def test_replicates_share_data_and_initial_weights_over_all_points(make_sweep: MakeSweep) -> None:
    sweep = make_sweep([{"moe.alpha": 0.0, "moe.noise": 0.0}, {"moe.alpha": 0.1, "moe.noise": 1.0}])
    run(sweep)

    def untrained(name: str) -> str:
        return (sweep.directory / name / "eval.csv").read_text().splitlines()[1]

    assert untrained("p0-s0") == untrained("p1-s0")
    assert untrained("p0-s0") != untrained("p0-s1")


def test_a_diverged_run_is_kept_counted_and_takes_nothing_with_it(make_sweep: MakeSweep) -> None:
    sweep = make_sweep([CALM, DIVERGES], *OPEN, seeds=(0,))
    code, told = run(sweep)
    assert code == FAILED
    assert states(sweep) == {"p0-s0": "finished", "p1-s0": "diverged"}
    assert "inf" in str(sweep.states()["p1-s0"].error) or "nan" in str(
        sweep.states()["p1-s0"].error
    )
    code, told = run(sweep)
    assert (code, told.events) == (FAILED, [("diverged", "p1-s0")])  # counted, and not begun again
    code, told = run(sweep, retry_failed=True)
    assert (code, told.of("begun")) == (FAILED, ["p1-s0"])  # it diverges again


def test_fail_fast_begins_nothing_after_a_failure(make_sweep: MakeSweep) -> None:
    code, told = run(make_sweep([DIVERGES, CALM], *OPEN, seeds=(0, 1)), seats=1, fail_fast=True)
    assert (code, told.of("begun")) == (FAILED, ["p0-s0"])


def test_three_instant_failures_of_one_error_end_the_sweep(make_sweep: MakeSweep) -> None:
    sweep = make_sweep(GRID, seeds=(0, 1, 2))
    sweep.base_path.write_text("nonsense")
    code, told = run(sweep, seats=1)
    assert code == FAILED
    assert len(told.of("failed")) == 3
    assert "3 runs failed at once with one error" in told.said[-1]
    assert list(states(sweep).values()).count("pending") == 3
    assert "nonsense" in str(sweep.states()["p0-s0"].error)


def test_failures_that_differ_in_the_name_of_the_run_alone_are_one_error(
    make_sweep: MakeSweep,
) -> None:
    class Failing(Here):
        def ended(self, task: Task) -> Ended:
            return Ended(task.run.name, f"error: no room for {task.run.name}")

    told = Told()
    code = drive(make_sweep(GRID, seeds=(0, 1, 2)), Failing(seats=1), told, Policy())
    assert (code, len(told.of("failed"))) == (FAILED, 3)
    assert "3 runs failed at once" in told.said[-1]


class KillFirst(Local):
    """Kills a run's process when it first tells of a step, so many times."""

    def __init__(self, times: int) -> None:
        super().__init__(Demand(jobs=1))
        self.left = times

    def wait(self, timeout: float) -> list[object]:  # type: ignore[override]
        messages = super().wait(timeout)
        if self.left and any(isinstance(message, Progress) for message in messages):
            self.left -= 1
            self.stop(signal.SIGKILL)
        return list(messages)


@pytest.mark.parametrize(("kills", "retries", "state"), [(1, 1, "finished"), (2, 1, "interrupted")])
def test_a_killed_run_is_gone_on_with_as_often_as_asked(
    make_sweep: MakeSweep, kills: int, retries: int, state: str
) -> None:
    sweep = make_sweep(GRID[:1], "steps=200", seeds=(0,))
    told = Told()
    code = drive(sweep, KillFirst(kills), told, Policy(retries=retries))
    assert states(sweep) == {"p0-s0": state}
    assert code == (0 if state == "finished" else FAILED)
    assert starts(sweep) == [1]
    if code:
        assert "SIGKILL" in str(StoredSweep(sweep.directory).states()["p0-s0"].error)


def test_one_driver_at_a_time(make_sweep: MakeSweep) -> None:
    sweep = make_sweep(GRID)
    lock = Lock(sweep.directory)
    before = {path: path.read_bytes() for path in sweep.directory.iterdir()}
    with pytest.raises(StorageError, match="in use") as caught:
        run(sweep)
    lock.close()
    assert caught.value.exit_code == 4
    assert {path: path.read_bytes() for path in sweep.directory.iterdir()} == before


def test_a_sweep_out_of_time_saves_its_runs_and_exits_75(make_sweep: MakeSweep) -> None:
    sweep, launcher, told = make_sweep(GRID), Endless(), Told()
    assert drive(sweep, launcher, told, Policy(max_minutes=0)) == 75
    assert told.of("begun") == told.of("stopped") == ["p0-s0", "p1-s0"]
    assert told.said == ["max-minutes: runs are being saved"]
    assert launcher.signals[0] == signal.SIGTERM


def test_a_sweep_that_is_done_in_time_exits_0(make_sweep: MakeSweep, finished: Path) -> None:
    sweep = make_sweep([{"moe.alpha": 0.01}], *FINISHED, seeds=(0,))
    shutil.copytree(finished, sweep.directory / "p0-s0")
    assert drive(sweep, Endless(), Told(), Policy(max_minutes=0)) == 0


class Full(System):
    """Takes nothing from some write on."""

    left = 3

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(descriptor, data)


def test_a_driver_that_the_disk_refuses_saves_its_runs(make_sweep: MakeSweep) -> None:
    class Deaf(Endless):
        def wait(self, timeout: float | None) -> list[Message]:
            if timeout is not None:
                self.signals.append(signal.SIGKILL)  # its processes die
            return super().wait(timeout)

    sweep, launcher = make_sweep(GRID), Deaf()
    full = StoredSweep(sweep.directory, Disk(Full()))
    with pytest.raises(StorageError, match="No space left on device"):
        drive(full, launcher, Told(), Policy(retries=0))
    assert launcher.signals[-1] == signal.SIGTERM


DRIVER = """
import sys
from pathlib import Path
from moe_lab.launch.base import Demand
from moe_lab.launch.local import Local
from moe_lab.progress.sweeps import for_sweep
from moe_lab.store.sweep import StoredSweep
from moe_lab.sweep.drive import Policy, drive

if __name__ == "__main__":
    with for_sweep("json") as reporter:
        sys.exit(drive(StoredSweep(Path(sys.argv[1])), Local(Demand(jobs=2)), reporter, Policy()))
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_driver_leaves_runs_that_go_on(
    make_sweep: MakeSweep, tmp_path: Path, number: signal.Signals
) -> None:
    sweep, script = make_sweep(GRID, "steps=120", seeds=(0,)), tmp_path / "driver.py"
    script.write_text(DRIVER)
    command = [sys.executable, script, sweep.directory]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as driver:
        assert driver.stderr is not None
        next(line for line in driver.stderr if json.loads(line)["event"] == "step")
        os.kill(driver.pid, number)
        driver.stderr.read()
    code = driver.returncode
    assert code == (-number if number == signal.SIGKILL else 128 + number)
    if number != signal.SIGKILL:
        assert "stopped" in states(sweep).values()
    assert run(sweep)[0] == 0
    assert set(states(sweep).values()) == {"finished"}
    assert starts(sweep) == [1, 1]
