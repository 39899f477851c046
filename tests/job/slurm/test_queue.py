"""Slurm's queue, which answers, does not, and answers again."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from moe_lab.errors import EngineError
from moe_lab.job.slurm.queue import FINAL, SQUEUE, Jobs, Queue, Queued, ask, parsed

Squeue = Callable[[str], None]
AWAY = "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1"


class Clock:
    """Stands where it is put."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Squeue:
    """Puts a squeue on the PATH that runs these lines; each call leaves one in `calls`."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    path = tmp_path / "squeue"

    def put(lines: str) -> None:
        path.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n{lines}\n')
        path.chmod(0o755)

    return put


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def answer(queue: Queue) -> Jobs | None:
    """What the look that is due brings; None if that is nothing, as where none is due."""
    before = queue.news.copy()
    for _ in range(500):
        found = queue.look()
        if found is not None or queue._asking is None or queue.news != before:
            return found
        time.sleep(0.01)
    raise AssertionError("squeue has not ended")


def test_a_job_of_an_array_and_one_alone_are_told_apart() -> None:
    text = "12|RUNNING|a-1\n13_0|PENDING|b|2\n   13_11|COMPLETING|b\nslurm: nonsense\n"
    assert parsed(text) == {
        "12": Queued("RUNNING", "a-1"),
        "13_0": Queued("PENDING", "b|2"),
        "13_11": Queued("COMPLETING", "b"),
    }


def test_what_comes_back_is_not_final() -> None:
    waiting = {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED"}
    again = {
        "REQUEUED",
        "REQUEUE_FED",
        "REQUEUE_HOLD",
        "SPECIAL_EXIT",
        "RESV_DEL_HOLD",
        "SIGNALING",
    }
    assert not FINAL & (waiting | again | {"RESIZING", "STAGE_OUT", "A_STATE_OF_NEXT_YEAR"})


def test_one_call_asks_for_all_jobs_of_the_user(squeue: Squeue, tmp_path: Path) -> None:
    squeue("printf '7_0|RUNNING|x\\n'")
    assert parsed(ask()) == {"7_0": Queued("RUNNING", "x")}
    assert calls(tmp_path) == [" ".join(SQUEUE[1:])]
    assert {"--me", "--array", "--states=all"} <= set(SQUEUE)


def test_the_lines_of_ten_thousand_jobs_are_read(squeue: Squeue, clock: Clock) -> None:
    squeue('i=0; while [ $i -lt 10000 ]; do echo "5_$i|PENDING|$i"; i=$((i+1)); done')
    assert len(answer(Queue(10, 60, clock)) or ()) == 10_000


def test_it_is_not_asked_before_its_time(squeue: Squeue, clock: Clock, tmp_path: Path) -> None:
    squeue("echo '1|RUNNING|x'")
    queue = Queue(10, 60, clock)
    found = [bool(answer(queue))]
    for clock.now in (9.9, 10.0, 15.0):
        found.append(bool(answer(queue)))
    assert found == [True, False, True, False]
    assert len(calls(tmp_path)) == 2


def test_it_is_asked_before_its_time_when_something_was_done(
    squeue: Squeue, clock: Clock, tmp_path: Path
) -> None:
    squeue("echo '1|RUNNING|x'")
    queue = Queue(10, 60, clock)
    assert answer(queue)
    assert queue.look(soon=True) is None
    assert answer(queue)
    assert len(calls(tmp_path)) == 2


def test_a_look_does_not_wait(squeue: Squeue, clock: Clock) -> None:
    squeue("sleep 0.5; echo '1|RUNNING|x'")
    queue = Queue(10, 60, clock)
    assert queue.look() is None  # it is going on
    assert answer(queue)


def test_an_absent_controller_is_waited_for_with_one_word(squeue: Squeue, clock: Clock) -> None:
    queue, told = Queue(10, 60, clock), list[list[str]]()
    for now, lines in ((0, AWAY), (10, AWAY), (60, AWAY), (70, "echo '1|RUNNING|x'")):
        squeue(lines)
        clock.now, queue.news = now, []
        found = answer(queue)
        told.append(queue.news)
    assert found == {"1": Queued("RUNNING", "x")}
    (away,) = told[0]
    assert "slurm_load_jobs error: Unable to contact slurm controller" in away
    assert "1 minutes" in away
    assert told[1:] == [[], [], ["Slurm answers again"]]


def test_it_is_not_waited_for_for_ever(squeue: Squeue, clock: Clock) -> None:
    squeue(AWAY)
    queue = Queue(10, 60, clock)
    for clock.now in (0, 60):
        assert answer(queue) is None
    clock.now = 60.1 + 10
    with pytest.raises(EngineError, match="Unable to contact slurm controller"):
        answer(queue)


def test_each_absence_has_its_own_patience(squeue: Squeue, clock: Clock) -> None:
    queue = Queue(10, 60, clock)
    for clock.now, lines in ((0, AWAY), (50, "echo '1|RUNNING|x'"), (60, AWAY), (110, AWAY)):
        squeue(lines)
        answer(queue)
    assert len(queue.news) == 3


def test_a_missing_command_is_an_engine_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match=r"Slurm does not answer: .*squeue"):
        ask()
