"""When a job is over: what it tells, and what the queue does not know any more."""

from pathlib import Path

import pytest

from moe_lab.job.slurm.folder import JobFolder, Report
from moe_lab.job.slurm.given import Given, Job, is_over
from moe_lab.job.slurm.queue import FINAL
from moe_lab.job.task import Ended, Task
from moe_lab.plan import PlannedRun, Point


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    return JobFolder.create(tmp_path / "sweep")


def task(seed: int = 0, attempt: int = 1) -> Task:
    return Task(Path("sweep"), PlannedRun(Point("p0", {}), seed), attempt)


def given(folder: JobFolder, jobs: int = 1) -> Given:
    found = Given()
    for index in range(jobs):
        found.add(Job(f"7_{index}", task(index), folder))
    return found


@pytest.mark.parametrize(
    "state",
    ["PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "REQUEUED", "REQUEUE_HOLD", "COMPLETING"],
)
def test_a_job_that_waits_is_never_over(folder: JobFolder, state: str) -> None:
    jobs = given(folder)
    assert [jobs.vanished({"7_0": state}) for _ in range(5)] == [[]] * 5
    assert (len(jobs), is_over({"7_0": state}, "7_0")) == (1, False)


@pytest.mark.parametrize("states", [{}, *({"7_0": state} for state in sorted(FINAL))])
def test_a_job_is_over_at_the_second_look_that_does_not_find_it(
    folder: JobFolder, states: dict[str, str]
) -> None:
    jobs = given(folder)
    assert jobs.vanished(states) == []
    (end,) = jobs.vanished(states)
    assert (end.run, end.error, len(jobs)) == ("p0-s0", None, 0)


def test_a_job_that_was_preempted_and_comes_again_is_not_over(folder: JobFolder) -> None:
    jobs = given(folder)
    looks = [{"7_0": "PREEMPTED"}, {"7_0": "PENDING"}, {}, {"7_0": "RUNNING"}, {"7_0": "PREEMPTED"}]
    assert [jobs.vanished(states) for states in looks] == [[]] * 5


def test_the_others_of_an_array_go_on(folder: JobFolder) -> None:
    jobs = given(folder, 3)
    states = {"7_0": "RUNNING", "7_2": "PENDING"}
    assert [end.run for end in [*jobs.vanished(states), *jobs.vanished(states)]] == ["p0-s1"]
    assert jobs.ids == ["7_0", "7_2"]
    assert jobs.all_ids == {"7_0", "7_1", "7_2"}


def test_a_job_that_told_nothing_is_told_with_its_state_and_log(folder: JobFolder) -> None:
    jobs = given(folder, 2)
    folder.log("7_0").write_text("Killed")
    first, second = jobs.vanished({"7_0": "OUT_OF_MEMORY"}, missed=1)
    assert first.how == f"job 7_0 is OUT_OF_MEMORY, and told nothing; its log: {folder.log('7_0')}"
    assert second.how is not None
    assert "job 7_1 is not in the queue any more" in second.how
    assert f"does its node reach {folder.path}?" in second.how


def test_a_job_is_over_as_soon_as_it_tells_so(folder: JobFolder) -> None:
    jobs = given(folder, 2)
    folder.report(task(1), Report())
    assert jobs.reported() == [Ended("p0-s1")]
    assert jobs.ids == ["7_0"]
    assert jobs.vanished({"7_0": "RUNNING"}, missed=1) == []


def test_an_error_is_told_with_the_log_of_the_job(folder: JobFolder) -> None:
    jobs = given(folder)
    folder.report(task(), Report(error="error: no disk", in_use=True, how="so"))
    (end,) = jobs.reported()
    expected = f"error: no disk\n  log: {folder.path}/7_0_0_log.out"
    assert end == Ended("p0-s0", expected, in_use=True, how="so")


def test_a_run_is_followed_from_when_its_job_has_a_node(folder: JobFolder) -> None:
    jobs = given(folder, 2)
    looks = [{"7_0": "PENDING"}, {"7_0": "RUNNING"}, {"7_0": "RUNNING", "7_1": "RUNNING"}, {}]
    assert [jobs.begun(states) for states in looks] == [[], [task(0)], [task(1)], []]


def test_a_job_that_has_told_nothing_yet_is_not_heard_too_soon_again(folder: JobFolder) -> None:
    jobs = given(folder)
    assert jobs.reported() == []
    folder.report(task(), Report())
    assert (
        jobs.reported() == []
    )  # looked at a moment ago: on a cluster each look costs the file server


@pytest.mark.parametrize("attempt", [1, 3])
def test_what_another_attempt_tells_is_not_heard(folder: JobFolder, attempt: int) -> None:
    jobs = Given()
    jobs.add(Job("9", task(0, attempt=2), folder))
    folder.report(task(0, attempt), Report())
    assert (jobs.reported(), len(jobs)) == ([], 1)
