"""A run on a node, which Slurm signals, ends, or starts again."""

import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
from conftest import MakeSweep, results

from moe_lab import config, session
from moe_lab.job.same_sweep import plan_of
from moe_lab.job.slurm import call as calling
from moe_lab.job.slurm.call import Call, Notice
from moe_lab.job.slurm.folder import JobFolder, Report
from moe_lab.job.task import Task
from moe_lab.progress import Silent
from moe_lab.store.attempts import Attempts
from moe_lab.store.lock import is_locked
from moe_lab.store.sweep import StoredSweep

pytest.importorskip("submitit")
MakeCall = Callable[..., Call]
ONE = [{"moe.alpha": 0.0}]
STEPS = ("steps=12", "checkpoint.every=5", "eval.every=6")


@pytest.fixture(autouse=True)
def _no_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


@pytest.fixture
def make_call(make_sweep: MakeSweep) -> MakeCall:
    """A job of the only run of a small sweep."""

    def make(*base: str) -> Call:
        sweep = make_sweep(ONE, *base, seeds=(0,))
        (run,) = sweep.plan.runs
        attempt = Attempts(sweep.directory).begin(run.name)
        folder = JobFolder.create(sweep.directory).path
        return Call(Task(sweep.directory, run, attempt), plan_of(sweep.directory), folder)

    return make


class Submitit:
    """What submitit does at its signal: puts the job back and ends the process, or says why not."""

    def __init__(self, refusal: Exception | None = None):
        self.refusal, self.seen = refusal, list[str]()
        self.call: Call | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        assert self.call is not None
        directory = self.call.task.sweep / self.call.task.run.name
        assert not is_locked(directory)
        self.seen.append(StoredSweep(self.call.task.sweep).state(self.call.task.run).state)
        raise self.refusal or SystemExit(255)


@contextmanager
def within(call: Call, submitit: Submitit) -> Iterator[None]:
    """Submitit's handlers around a job."""
    submitit.call = call
    before = {
        signal.SIGUSR2: signal.signal(signal.SIGUSR2, submitit),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda number, frame: None),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def signalled(
    call: Call, *numbers: signal.Signals, after: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Sends this process signals when the run has made a step, and something was done."""
    steps = call.task.sweep / call.task.run.name / "steps.csv"

    def send() -> None:
        while not steps.exists() or steps.read_text().count("\n") < 2:
            time.sleep(0.001)
        after()
        for number in numbers:
            os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    yield
    sender.join()


def told(call: Call) -> list[Report]:
    return [report for _run, _attempt, report in JobFolder(call.folder).reports()]


def left(call: Call) -> list[Path]:
    """What lies in its folder."""
    return [path for path in call.folder.rglob("*") if path.is_file()]


def state(call: Call) -> str:
    return StoredSweep(call.task.sweep).state(call.task.run).state


def undisturbed(call: Call, runs_dir: Path) -> dict[str, bytes]:
    sweep = StoredSweep(call.task.sweep)
    asked = config.load(sweep.base_path, settings=call.task.run.settings)
    return results(session.train(asked, runs_dir=runs_dir, exact=True, reporter=Silent()).directory)


def test_a_job_is_given_what_can_be_pickled_and_comes_again_as_itself(make_call: MakeCall) -> None:
    call = make_call()
    again = call.checkpoint()
    assert pickle.loads(pickle.dumps(call)) == call
    assert (again.function, again.args) == (call, ())


def test_a_run_that_is_made_is_told_and_left(make_call: MakeCall) -> None:
    call, submitit = make_call(), Submitit()
    with within(call, submitit):
        call()
    assert (state(call), told(call), submitit.seen) == ("finished", [Report()], [])
    assert left(call) == []


@pytest.mark.parametrize(
    "numbers",
    [
        (signal.SIGUSR2,),  # the limit of time is near
        (signal.SIGTERM, signal.SIGTERM, signal.SIGUSR2),  # preempted, and Slurm repeats itself
    ],
)
def test_a_signalled_run_is_saved_and_left_before_its_job_is_put_back(
    make_call: MakeCall, tmp_path: Path, numbers: tuple[signal.Signals, ...]
) -> None:
    call, submitit = make_call(*STEPS), Submitit()
    with within(call, submitit):
        with signalled(call, *numbers), pytest.raises(SystemExit):
            call()
        assert (state(call), told(call), submitit.seen) == ("stopped", [], ["stopped"])
        assert left(call) == []
        call()  # the same job again
    assert (state(call), told(call)) == ("finished", [Report()])
    assert results(call.task.sweep / call.task.run.name) == undisturbed(call, tmp_path / "alone")


def test_a_job_that_its_driver_stops_is_not_put_back(make_call: MakeCall) -> None:
    call, submitit = make_call("steps=2000"), Submitit()
    stop = JobFolder(call.folder).stop
    with within(call, submitit), signalled(call, signal.SIGTERM, after=stop):
        call()
    assert (state(call), told(call), submitit.seen) == ("stopped", [Report()], [])


def test_a_job_that_starts_when_its_driver_stops_it_begins_nothing(make_call: MakeCall) -> None:
    call = make_call()
    JobFolder(call.folder).stop()
    call()
    assert (state(call), told(call)) == ("pending", [Report(how=calling.STOPPED)])


@pytest.mark.parametrize("word", ["COMPLETING", "CANCELLED", "PENDING", ""])
def test_a_job_that_slurm_ends_is_not_put_back_and_tells_nothing(
    make_call: MakeCall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    call, submitit = make_call("steps=2000"), Submitit()
    squeue = tmp_path / "squeue"
    squeue.write_text(f'#!/bin/sh\n[ "$3" = --jobs=17 ] && echo {word}\n')
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with within(call, submitit), signalled(call, signal.SIGTERM):
        call()
    assert (state(call), told(call), submitit.seen) == ("stopped", [], [])


@pytest.mark.parametrize("path", ["", "/bin"])  # no squeue
def test_where_the_queue_does_not_say_scontrol_does(
    make_call: MakeCall, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    call, submitit = make_call("steps=2000"), Submitit()
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with within(call, submitit), signalled(call, signal.SIGTERM), pytest.raises(SystemExit):
        call()
    assert submitit.seen == ["stopped"]


def test_a_refused_requeue_leaves_a_saved_run_to_the_driver(make_call: MakeCall) -> None:
    call, submitit = make_call("steps=2000"), Submitit(RuntimeError("scontrol: disabled"))
    with within(call, submitit), signalled(call, signal.SIGUSR2):
        call()
    (report,) = told(call)
    assert (state(call), report.error) == ("stopped", None)
    assert report.how == "Slurm put it not back: scontrol: disabled"


def test_a_job_that_comes_again_though_it_never_left_touches_nothing(make_call: MakeCall) -> None:
    call = make_call()
    assert JobFolder(call.folder).enter(
        call.task
    )  # and was killed, or goes on where nobody sees it
    call()
    assert (state(call), told(call)) == ("pending", [Report(how=calling.KILLED)])


def test_an_error_of_the_run_is_told(make_call: MakeCall) -> None:
    call, submitit = make_call(), Submitit()
    (call.task.sweep / "base.yaml").write_text("nonsense")
    with within(call, submitit):
        call()
    (report,) = told(call)
    assert report.error is not None
    assert "base.yaml" in report.error


def test_a_node_with_another_disk_is_told(make_call: MakeCall) -> None:
    call = make_call()
    other = Call(call.task, "0" * 64, call.folder)
    other()
    (report,) = told(call)
    assert report.error is not None
    assert "is not the driver's sweep on the node" in report.error
    assert state(call) == "pending"


def test_an_overtaken_job_tells_that_another_has_the_run(make_call: MakeCall) -> None:
    call = make_call()
    Attempts(call.task.sweep).begin(call.task.run.name)
    call()
    (report,) = told(call)
    assert (report.in_use, state(call)) == (True, "pending")


def test_the_first_signal_is_kept_and_the_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    notice = Notice()
    with notice.heeded():
        signal.raise_signal(signal.SIGUSR2)
        signal.raise_signal(signal.SIGTERM)
        with notice:
            assert notice.asked
        signal.raise_signal(signal.SIGTERM)
    assert notice.signal == signal.SIGUSR2
    assert signal.getsignal(signal.SIGTERM) is before
