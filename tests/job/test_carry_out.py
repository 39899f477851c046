"""A task carried out where it is asked."""

from conftest import MakeSweep

from moe_lab.job.carry_out import ended
from moe_lab.job.task import Task
from moe_lab.progress import Silent
from moe_lab.store.attempts import Attempts


def test_an_attempt_that_was_overtaken_before_it_began_makes_nothing(make_sweep: MakeSweep) -> None:
    sweep = make_sweep([{"moe.alpha": 0.0}], seeds=(0,))
    kept = Attempts(sweep.directory)
    numbers = [kept.begin("p0-s0") for _ in range(2)]
    told = ended(Task(sweep.directory, sweep.plan.runs[0], numbers[0]), Silent())
    assert told.in_use
    assert "attempt 2 has begun" in str(told.error)
    assert not (sweep.directory / "p0-s0").exists()
