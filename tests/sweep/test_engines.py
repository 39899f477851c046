"""A driver and an engine that may keep a job when its driver has gone, or that may go itself."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from conftest import MakeSweep, results

from moe_lab import session
from moe_lab.config import load
from moe_lab.errors import EngineError
from moe_lab.job.task import Ended, Message, Task
from moe_lab.progress import Silent
from moe_lab.store.attempts import Attempts
from moe_lab.store.sweep import StoredSweep
from moe_lab.sweep.drive import Policy, drive

from .conftest import Here, Told, states

ONE = [{"moe.alpha": 0.0}]


class Engine(Here):
    """Numbers its jobs, and still has those that it is told of."""

    fenced = True

    def __init__(self, has: Sequence[str] = (), seats: int = 2) -> None:
        super().__init__(seats=seats)
        self.has, self.tasks = has, list[Task]()

    def start(self, tasks: Sequence[Task]) -> Mapping[str, str]:
        self.tasks += tasks
        super().start(tasks)
        return {task.run.name: f"7_{task.run.seed}" for task in tasks}

    def adopt(self, task: Task, job: str) -> bool:
        if job in self.has:
            super().start([task])
        return job in self.has


def drive_with(engine: Here, sweep: StoredSweep, **policy: object) -> tuple[int, Told]:
    told = Told()
    return drive(StoredSweep(sweep.directory), engine, told, Policy(**policy)), told  # type: ignore[arg-type]


def test_every_start_has_a_number_and_leaves_its_job(make_sweep: MakeSweep) -> None:
    sweep, engine = make_sweep(ONE), Engine()
    assert drive_with(engine, sweep)[0] == 0
    assert [(task.run.name, task.attempt) for task in engine.tasks] == [("p0-s0", 1), ("p0-s1", 1)]
    kept = Attempts(sweep.directory)
    assert [(kept.number(name), kept.job(name)) for name in ("p0-s0", "p0-s1")] == [
        (1, "7_0"),
        (1, "7_1"),
    ]


def test_where_locks_are_seen_there_are_no_numbers(make_sweep: MakeSweep) -> None:
    sweep = make_sweep(ONE, seeds=(0,))
    assert drive_with(Here(), sweep)[0] == 0
    assert Attempts(sweep.directory).number("p0-s0") == 0
    assert not list(sweep.directory.glob(".[!l]*"))


def test_a_run_that_an_engine_had_is_numbered_everywhere(make_sweep: MakeSweep) -> None:
    """Its job may live on unseen."""

    class Seen(Here):
        def ended(self, task: Task) -> Ended:
            numbers.append(task.attempt)
            return super().ended(task)

    sweep, numbers = make_sweep(ONE, seeds=(0,)), list[int | None]()
    Attempts(sweep.directory).begin("p0-s0")
    assert drive_with(Seen(), sweep)[0] == 0
    assert numbers == [2]


def test_a_new_driver_takes_over_what_the_engine_still_has(make_sweep: MakeSweep) -> None:
    sweep, engine = make_sweep(ONE), Engine(has=["7_1"])
    kept = Attempts(sweep.directory)
    for seed in (0, 1):
        kept.begin(f"p0-s{seed}")
        kept.note_job(f"p0-s{seed}", f"7_{seed}")
    code, told = drive_with(engine, sweep)
    assert code == 0
    assert [(task.run.name, task.attempt) for task in engine.tasks] == [("p0-s0", 2)]
    assert kept.number("p0-s1") == 1
    assert sorted(told.of("begun")) == ["p0-s0", "p0-s1"]
    assert states(sweep) == {"p0-s0": "finished", "p0-s1": "finished"}


class Gone(Here):
    """An engine that cannot be reached, or that goes when it is waited for."""

    def __init__(self, at: str) -> None:
        super().__init__(seats=1)
        self.at = at

    def __enter__(self) -> "Gone":
        if self.at == "start":
            raise EngineError("no cluster at 10.0.0.1:6379", help="is it up?")
        return self

    def wait(self, timeout: float | None) -> list[Message]:
        raise EngineError("the cluster has gone")


@pytest.mark.parametrize(
    ("at", "help_"),
    [
        ("start", "is it up?; the sweep is kept; go on with: moe-lab resume "),
        ("wait", "the sweep is kept; go on with: moe-lab resume "),
    ],
)
def test_an_engine_that_is_not_there_leaves_a_sweep_that_another_goes_on_with(
    make_sweep: MakeSweep, tmp_path: Path, at: str, help_: str
) -> None:
    sweep = make_sweep(ONE, seeds=(0,))
    plan = (sweep.directory / "sweep.json").read_bytes()
    with pytest.raises(EngineError) as caught:
        drive_with(Gone(at), sweep)
    assert caught.value.exit_code == 4
    assert str(caught.value.problems[0].help).startswith(help_)
    assert (sweep.directory / "sweep.json").read_bytes() == plan
    assert drive_with(Here(), sweep)[0] == 0
    alone = load(sweep.base_path, settings={**sweep.plan.runs[0].settings, "name": "alone"})
    session.train(alone, runs_dir=tmp_path, exact=True, reporter=Silent())
    assert results(sweep.directory / "p0-s0") == results(tmp_path / "alone")
