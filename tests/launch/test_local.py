import os
import signal
from pathlib import Path

import pytest
import torch
from conftest import MakeSweep

from moe_lab.errors import ConfigError
from moe_lab.job.starting import THREADS
from moe_lab.job.task import Ended, Message, Progress, Task
from moe_lab.launch import local
from moe_lab.launch.base import Demand
from moe_lab.launch.local import Local, seats
from moe_lab.signals import ASKED
from moe_lab.store.sweep import StoredSweep

# How many at a time


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "cores", lambda: 8)


@pytest.mark.parametrize(
    ("jobs", "threads", "expected"),
    [
        (None, 1, 8),
        (None, 3, 2),  # 2 x 3 = 6 of 8 cores; 3 x 3 = 9 are too many
        (None, 9, 1),  # one run is always allowed
        (1, 9, 1),
        (2, 4, 2),
        (3, 1, 3),
    ],
)
def test_cores_are_never_given_twice(
    eight_cores: None, jobs: int | None, threads: int, expected: int
) -> None:
    assert seats(jobs, threads) == expected


def test_more_threads_than_cores_are_refused_with_what_is_possible(eight_cores: None) -> None:
    with pytest.raises(ConfigError) as caught:
        seats(3, 3)
    message = caught.value.render()
    assert "--jobs 3: at train.threads 3 that takes 9 cores, and there are 8" in message
    assert "use at most --jobs 2" in message


@pytest.mark.parametrize(
    ("seats", "per_gpu", "slots"),
    [
        (8, 1, ["0", "1"]),
        (8, 2, ["0", "1", "0", "1"]),
        (3, 2, ["0", "1", "0"]),  # a GPU is shared only when all are in use
        (1, 2, ["0"]),
    ],
)
def test_runs_are_spread_over_the_gpus(
    monkeypatch: pytest.MonkeyPatch, eight_cores: None, seats: int, per_gpu: int, slots: list[str]
) -> None:
    monkeypatch.setattr(local, "_gpus", lambda threads: ["0", "1"])
    launcher = Local(Demand(device="auto", jobs=seats, per_gpu=per_gpu))
    assert (launcher._slots, launcher.free) == (slots, len(slots))


def test_without_a_gpu_there_is_a_slot_per_seat(
    monkeypatch: pytest.MonkeyPatch, eight_cores: None
) -> None:
    monkeypatch.setattr(local, "_gpus", lambda threads: [])
    assert Local(Demand(device="auto", jobs=3, per_gpu=2))._slots == [None] * 3


def test_on_cpu_no_gpu_is_counted_or_hidden(
    monkeypatch: pytest.MonkeyPatch, eight_cores: None
) -> None:
    monkeypatch.setattr(local, "_gpus", lambda threads: ["0"])
    assert Local(Demand(jobs=2))._slots == [None, None]


# The server of processes


def test_the_server_starts_with_few_threads_and_deaf_to_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[str, object] = {}

    def note() -> None:
        seen["threads"] = [os.environ[name] for name in THREADS]
        seen["blocked"] = signal.pthread_sigmask(signal.SIG_BLOCK, ())

    def around() -> tuple[dict[str, str], set[object]]:
        return dict(os.environ), set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    monkeypatch.setenv(THREADS[0], "7")
    monkeypatch.delenv(THREADS[1], raising=False)
    monkeypatch.setattr(local.forkserver, "ensure_running", note)
    before = around()
    local._server(3)
    assert seen["threads"] == ["3", "3", "3"]
    assert set(ASKED) <= set(seen["blocked"])  # type: ignore[call-overload]
    assert around() == before


def test_gpus_are_counted_as_torch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(local._gpus(1)) == torch.cuda.device_count()


# A launcher at work


def until_ended(launcher: Local) -> Ended:
    """The end of the one run that is going on."""
    found: list[Message] = []
    while not any(isinstance(message, Ended) for message in found):
        found += launcher.wait(1)
    (ended,) = (message for message in found if isinstance(message, Ended))
    return ended


def test_a_run_that_fails_before_it_has_a_folder_is_told_with_its_error(
    make_sweep: MakeSweep,
) -> None:
    sweep, launcher = make_sweep([{"moe.alpha": 0.0}]), Local(Demand(jobs=2))
    sweep.base_path.write_text("nonsense")
    assert (launcher.free, launcher.busy) == (2, 0)
    launcher.start([Task(sweep.directory, sweep.plan.runs[0])])
    assert (launcher.free, launcher.busy) == (1, 1)
    ended = until_ended(launcher)
    assert (ended.run, ended.killed_by) == ("p0-s0", None)
    assert "base.yaml" in str(ended.error)
    assert (launcher.free, launcher.busy) == (2, 0)


@pytest.fixture
def going(make_sweep: MakeSweep) -> tuple[StoredSweep, Local]:
    """A sweep, and a launcher that has begun to train its first run."""
    sweep, launcher = make_sweep([{"moe.alpha": 0.0}], "steps=2000"), Local(Demand(jobs=1))
    launcher.start([Task(sweep.directory, sweep.plan.runs[0])])
    while not (told := launcher.wait(1)):
        pass
    assert [type(message) for message in told] == [Progress]
    assert told[0].run == "p0-s0"
    return sweep, launcher


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "killed_by", "state"),
    [
        (signal.SIGKILL, signal.SIGKILL, "interrupted"),
        (signal.SIGINT, None, "stopped"),
    ],
)
def test_a_stopped_run_is_saved_and_a_killed_one_told_with_its_signal(
    going: tuple[StoredSweep, Local],
    number: signal.Signals,
    killed_by: int | None,
    state: str,
) -> None:
    sweep, launcher = going
    launcher.stop(number)
    assert until_ended(launcher) == Ended("p0-s0", killed_by=killed_by)
    assert (launcher.free, launcher.busy) == (1, 0)
    assert sweep.states()["p0-s0"].state == state


@pytest.mark.slow
def test_a_launcher_that_is_closed_saves_its_runs(going: tuple[StoredSweep, Local]) -> None:
    sweep, launcher = going
    launcher.close()
    assert (launcher.free, launcher.busy) == (1, 0)
    assert sweep.states()["p0-s0"].state == "stopped"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/oom_score_adj").exists(), reason="not on this system")
def test_where_memory_runs_out_a_run_goes_before_its_driver(
    going: tuple[StoredSweep, Local],
) -> None:
    _sweep, launcher = going
    (pid,) = (member.process.pid for member in launcher._members.values())
    ours, its = (int(Path(f"/proc/{who}/oom_score_adj").read_text()) for who in ("self", pid))
    launcher.close()
    assert its == 500 > ours


@pytest.mark.slow
def test_a_run_that_is_stopped_before_it_has_a_folder_ends_at_once(make_sweep: MakeSweep) -> None:
    sweep, launcher = (
        make_sweep([{"moe.alpha": 0.0}], "vocab_size=512", "n_domains=16"),
        Local(Demand(jobs=1)),
    )
    launcher.start([Task(sweep.directory, sweep.plan.runs[0])])
    launcher.stop(signal.SIGINT)
    assert until_ended(launcher) == Ended("p0-s0", killed_by=signal.SIGINT)
    assert sweep.states()["p0-s0"].state == "pending"
