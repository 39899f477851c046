"""Sweeps whose runs are jobs of Slurm: of stand-ins for its commands, and of submitit's local executor."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, MakeSweep, small
from sweep.conftest import states

from moe_lab.errors import ConfigError, EngineError
from moe_lab.job.task import Ended, Message, Task
from moe_lab.launch.base import Demand
from moe_lab.launch.slurm import Slurm, shares
from moe_lab.store.attempts import Attempts
from moe_lab.store.sweep import StoredSweep

from .conftest import ALPHA, SEEDS, StandIn, tables

ONE = [{"moe.alpha": 0.0}]
TWO = [{"moe.alpha": 0.0}, {"moe.alpha": 0.1}]
POLL = 0.3  # seconds

# What can be asked for


@pytest.fixture
def submitit() -> None:
    pytest.importorskip("submitit")


def test_the_options_are_known_before_anything_is_imported(cli: Cli, tmp_path: Path) -> None:
    done = cli(
        *("sweep", "alpha", "--runs-dir", tmp_path, "--launcher", "slurm"),
        *("--launcher-opt", "tiem=3", "--launcher-opt", "array_size=0"),
        *("--launcher-opt", "cluster=pbs", "--launcher-opt", "poll=often"),
    )
    assert done.exit_code == 2
    assert "--launcher slurm has no option 'tiem'" in done.stderr
    assert "one of partition, time, mem, account, qos, constraint, gres, array_size" in done.stderr
    for option in ("array_size=0", "cluster=pbs", "poll=often"):
        assert f"--launcher-opt {option}: " in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_is_one_line_with_its_remedy(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    done = cli("sweep", "alpha", "--runs-dir", tmp_path, "--launcher", "slurm")
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        "error: --launcher slurm needs the package submitit",
        "  help: pip install 'moe-lab[slurm]'",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("submitit")
def test_a_share_of_a_gpu_is_refused() -> None:
    with pytest.raises(ConfigError, match="--jobs-per-gpu 2: a job of Slurm has a GPU of its own"):
        Slurm(Demand(per_gpu=2))


@pytest.mark.usefixtures("submitit")
def test_without_slurm_the_plan_is_kept(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    done = cli("sweep", "alpha", "--seeds", 1, "--runs-dir", tmp_path, "--launcher", "slurm")
    assert done.exit_code == 4
    expected = "Slurm is not here: there is no sbatch, squeue, scancel, scontrol, srun on the PATH"
    assert expected in done.stderr
    assert f"moe-lab resume {tmp_path}/sweep-alpha" in done.stderr
    assert set(states(StoredSweep(tmp_path / "sweep-alpha")).values()) == {"pending"}


@pytest.mark.usefixtures("submitit")
@pytest.mark.parametrize(
    ("jobs", "array_size", "places", "free"),
    [
        (None, 1000, None, sys.maxsize),  # Slurm knows how much room there is
        (3, 1000, 3, 3000),
        (2, 5, 2, 10),  # never more arrays at a time than jobs: each runs one at least
    ],
)
def test_jobs_wait_in_the_queue_and_not_here(
    jobs: int | None, array_size: int, places: int | None, free: int
) -> None:
    launcher = Slurm(Demand(jobs=jobs), array_size=array_size)
    assert (launcher.places, launcher.free, launcher.busy) == (places, free, 0)


@pytest.mark.parametrize(
    ("places", "sizes", "expected"),
    [
        (None, [4, 1], [4, 1]),
        (2, [9], [2]),
        (5, [9, 9, 3], [2, 2, 1]),  # 5 = 2 + 2 + 1
        (1, [9, 9], [1, 1]),
    ],
)
def test_arrays_share_the_places(places: int | None, sizes: list[int], expected: list[int]) -> None:
    task: Any = None
    assert shares(places, [[task] * size for size in sizes]) == expected


# With jobs that wait: nothing is trained


@pytest.fixture
def waiting(slurm: StandIn, submitit: None) -> StandIn:
    """A cluster that is full."""
    slurm.places(0)
    return slurm


def tasks(sweep: StoredSweep) -> list[Task]:
    attempts = Attempts(sweep.directory)
    return [Task(sweep.directory, run, attempts.begin(run.name)) for run in sweep.plan.runs]


def launcher(jobs: int | None = None, threads: int = 1, **options: Any) -> Slurm:
    return Slurm(Demand(threads, "cpu", jobs), poll=POLL, **options)


def heard(launcher: Slurm, number: int, seconds: float = 30) -> list[Message]:
    """So many messages."""
    until, found = time.monotonic() + seconds, list[Message]()
    while len(found) < number and time.monotonic() < until:
        found += launcher.wait(0.5)
    return found


@pytest.mark.engines
def test_a_batch_script_asks_for_what_was_asked_for(
    waiting: StandIn, make_sweep: MakeSweep
) -> None:
    site = {"partition": "cpu", "mem": "4GB", "qos": "long", "constraint": "a|b", "time": "90"}
    with Slurm(Demand(3, "cuda", 2), **site, signal_before=60, poll=POLL) as given:  # type: ignore[arg-type]
        given.start(tasks(make_sweep(TWO)))
        (options,) = {
            str(job["options"]): job["options"] for job in waiting.jobs().values()
        }.values()
        (title,) = {job["name"] for job in waiting.jobs().values()}
    quoted = {"constraint": "'a|b'", "array": "0-3%2", "job-name": title, "requeue": ""}
    plain = {"partition": "cpu", "mem": "4GB", "qos": "long", "time": "90", "nodes": "1"}
    rest = {"cpus-per-task": "3", "gpus-per-node": "1", "signal": "USR2@60", "open-mode": "append"}
    (output,) = (options.pop("output"),)
    assert options == quoted | plain | rest
    assert output.endswith("/%A_%a_0_log.out")


@pytest.mark.engines
def test_runs_are_arrays_and_one_alone_is_a_job(waiting: StandIn, make_sweep: MakeSweep) -> None:
    sweep = make_sweep(TWO, seeds=(0, 1, 2))
    with launcher(jobs=3, array_size=5) as given:
        ids = given.start(tasks(sweep))
        assert waiting.log("sbatch") == ["sbatch 101 5", "sbatch 102 1"]
        assert {job["at_once"] for job in waiting.jobs().values()} == {2, 1}  # 3 = 2 + 1
        (token,) = {job.partition("@")[2] for job in ids.values()}
        expected = [*(f"101_{i}@{token}" for i in range(5)), f"102@{token}"]
        assert list(ids.values()) == expected
        assert (given.busy, given.free) == (6, 9)  # 3 x 5, less 6


@pytest.mark.engines
def test_a_pending_job_is_never_over(waiting: StandIn, make_sweep: MakeSweep) -> None:
    with launcher() as given:
        given.start(tasks(make_sweep(ONE)))
        before = len(waiting.log("squeue"))
        assert heard(given, 1, seconds=8 * POLL) == []
        assert len(waiting.log("squeue")) - before >= 2  # it was asked
        assert given.busy == 2


@pytest.mark.engines
def test_waiting_is_never_longer_than_was_said(waiting: StandIn, make_sweep: MakeSweep) -> None:
    with launcher() as given:
        given.start(tasks(make_sweep(ONE)))
        assert given.wait(0) == given.wait(0.01) == []


@pytest.mark.engines
def test_what_waits_is_cancelled_when_its_driver_ends(
    waiting: StandIn, make_sweep: MakeSweep
) -> None:
    sweep = make_sweep(ONE)
    with launcher() as given:
        given.start(tasks(sweep))
    assert {job["state"] for job in waiting.jobs().values()} == {"CANCELLED"}
    assert waiting.log("scancel") == [
        "scancel --state=PENDING 101",
        "scancel --signal=TERM 101",
    ]
    assert given.busy == 0
    assert len(list((sweep.directory.parent / ".slurm" / "sweep").iterdir())) == 1  # its logs


@pytest.mark.engines
def test_a_job_that_somebody_cancels_is_told_of(waiting: StandIn, make_sweep: MakeSweep) -> None:
    with launcher() as given:
        given.start(tasks(make_sweep(ONE)))
        subprocess.run(["scancel", "101_1"], check=True)
        (end,) = heard(given, 1)
    assert isinstance(end, Ended)
    assert (end.run, end.error) == ("p0-s1", None)
    assert str(end.how).startswith("job 101_1 is CANCELLED, and told nothing")


@pytest.mark.engines
def test_jobs_are_taken_over_once_and_only_by_their_name(
    waiting: StandIn, make_sweep: MakeSweep
) -> None:
    sweep = make_sweep(ONE, seeds=(0, 1, 2))
    given = tasks(sweep)
    first = launcher()
    first.__enter__()
    ids = list(first.start(given).values())  # and its driver is killed
    subprocess.run(["scancel", "101_1"], check=True)
    other = {**waiting.jobs()}["101_0"]["name"][:-1] + "x"
    with launcher() as second:
        before = len(waiting.log("squeue"))
        asked = [ids[0], ids[1], "102@" + ids[0][-16:], f"101_2@{other[-16:]}", "", "nonsense@../x"]
        assert [second.adopt(given[0], job) for job in asked] == [True, *[False] * 5]
        assert len(waiting.log("squeue")) == before
        assert (second.busy, second._given.ids) == (1, ["101_0"])
    with launcher() as third:  # the second has stopped that folder's jobs
        assert not third.adopt(given[2], ids[2])


@pytest.mark.engines
def test_what_is_refused_is_told_in_the_words_of_sbatch(
    waiting: StandIn, cli: Cli, tmp_path: Path
) -> None:
    asked = ("sweep", "alpha", "--seeds", 1, "--runs-dir", tmp_path / "runs", "--launcher", "slurm")
    done = cli(*asked, "--launcher-opt", "partition=nowhere")
    assert done.exit_code == 4
    assert "Batch job submission failed: Invalid partition name specified" in done.stderr
    assert "moe-lab resume" in done.stderr
    assert set(states(StoredSweep(tmp_path / "runs" / "sweep-alpha")).values()) == {"pending"}


@pytest.mark.engines
def test_jobs_that_were_taken_before_a_refusal_go_on(
    waiting: StandIn, make_sweep: MakeSweep
) -> None:
    sweep = make_sweep(ONE, seeds=(0, 1, 2))
    given = launcher(array_size=2)
    with pytest.raises(EngineError, match="QOSMaxSubmitJobPerUserLimit"), given:  # noqa: PT012
        waiting.set("full")
        assert list(given.start(tasks(sweep))) == ["p0-s0", "p0-s1"]
        given.wait(1)
    assert [job["state"] for job in waiting.jobs().values()] == ["PENDING", "PENDING"]
    subprocess.run(["scancel", "101"], check=True)


@pytest.mark.engines
def test_a_controller_that_is_away_for_too_long_is_left_with_its_jobs(
    waiting: StandIn, make_sweep: MakeSweep
) -> None:
    given = launcher(patience=0.02)
    given.__enter__()
    given.start(tasks(make_sweep(ONE)))
    waiting.set("away")
    with pytest.raises(EngineError, match="Unable to contact slurm controller") as caught:
        heard(given, 99)
    given.__exit__(EngineError, caught.value, None)
    assert waiting.log("scancel") == []


@pytest.mark.engines
@pytest.mark.usefixtures("submitit")
def test_without_a_controller_nothing_begins(waiting: StandIn) -> None:
    waiting.set("away")
    with pytest.raises(EngineError, match="Unable to contact slurm controller"):
        launcher().__enter__()


# With jobs that train


@contextmanager
def driving(*command: object) -> Iterator[subprocess.Popen[str]]:
    """A driver in a process of its own."""
    words = [sys.executable, "-m", "moe_lab", *map(str, command)]
    with subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as driver:
        yield driver


def until(true: Callable[[], bool], driver: subprocess.Popen[str]) -> None:
    while not true():
        assert driver.poll() is None, driver.communicate()
        time.sleep(0.02)


def trained(sweep: Path, run: str) -> int:
    """Rows of a run so far."""
    path = sweep / run / "steps.csv"
    return path.read_text().count("\n") - 1 if path.exists() else 0


LONGER = small("steps=150", "checkpoint.every=20", "eval.every=50")
OPTIONS = ("--launcher", "slurm", "--launcher-opt", f"poll={POLL}")


@pytest.mark.engines
@pytest.mark.usefixtures("submitit")
def test_jobs_that_wait_are_preempted_and_lose_the_controller_make_the_same_tables(
    slurm: StandIn, cli: Cli, tmp_path: Path
) -> None:
    asked = ("sweep", "alpha=0,0.1", "--seeds", 1, *LONGER, "--runs-dir")
    assert cli(*asked, tmp_path / "local").exit_code == 0
    sweep = tmp_path / "runs" / "sweep-alpha"
    slurm.places(1)
    with driving(*asked, tmp_path / "runs", *OPTIONS) as driver:
        until(lambda: trained(sweep, "alpha-0-s0") > 30, driver)
        os.kill(slurm.jobs()["101_0"]["step"], signal.SIGTERM)  # as Slurm preempts
        until(lambda: slurm.jobs()["101_0"]["restarts"] == 1, driver)
        slurm.set("away")
        time.sleep(3 * POLL)
        slurm.set("away", on=False)
        _, said = driver.communicate()
    assert driver.returncode == 0, said
    assert "Slurm does not answer" in said
    assert "Slurm answers again" in said
    assert "failed" not in said
    assert slurm.log("sbatch") == ["sbatch 101 2"]
    assert slurm.log("requeue") == ["requeue 101_0"]
    assert tables(sweep) == tables(tmp_path / "local" / "sweep-alpha")
    assert {job["state"] for job in slurm.jobs().values()} == {"COMPLETED"}
    assert not (tmp_path / "runs" / ".slurm").exists()


@pytest.mark.engines
@pytest.mark.usefixtures("submitit")
def test_a_killed_driver_leaves_its_jobs_to_the_next_which_submits_nothing_twice(
    slurm: StandIn, cli: Cli, make_sweep: MakeSweep
) -> None:
    sweep = make_sweep(ONE, "steps=150", seeds=(0,)).directory
    with driving("resume", sweep, *OPTIONS) as driver:
        until(lambda: trained(sweep, "p0-s0") > 20, driver)
        driver.kill()
    done = cli("resume", sweep, *OPTIONS)
    assert done.exit_code == 0, done.stderr
    assert slurm.log("sbatch") == ["sbatch 101 1"]
    assert [job["restarts"] for job in slurm.jobs().values()] == [0]
    assert Attempts(sweep).number("p0-s0") == 1


@pytest.mark.engines
@pytest.mark.usefixtures("submitit")
def test_a_driver_that_is_stopped_saves_its_runs_and_they_do_not_come_again(
    slurm: StandIn, tmp_path: Path
) -> None:
    sweep = tmp_path / "runs" / "sweep-alpha"
    slurm.places(1)
    asked = ("sweep", "alpha=0,0.1", "--seeds", 1, *small("steps=100000"))
    with driving(*asked, "--runs-dir", tmp_path / "runs", *OPTIONS) as driver:
        until(lambda: trained(sweep, "alpha-0-s0") > 20, driver)
        driver.send_signal(signal.SIGINT)
        _, said = driver.communicate()
    assert driver.returncode == 130, said
    assert states(StoredSweep(sweep)) == {"alpha-0-s0": "stopped", "alpha-0.1-s0": "pending"}
    slurm.settle()
    found = {job["id"]: (job["state"], job["restarts"]) for job in slurm.jobs().values()}
    assert found == {"101_0": ("COMPLETED", 0), "101_1": ("CANCELLED", 0)}
    assert slurm.log("requeue") == []
    (kept,) = (tmp_path / "runs" / ".slurm" / "sweep-alpha").iterdir()
    assert (kept / "101_0_0_log.out").exists()


@pytest.mark.engines
@pytest.mark.usefixtures("submitit")
def test_submitits_own_executor_makes_the_tables_of_the_local_launcher_though_a_job_is_killed(
    alpha: Path, cli: Cli, tmp_path: Path
) -> None:
    sweep, victim = tmp_path / "sweep-alpha", "alpha-0.01-s0"
    asked = ("sweep", *ALPHA, "--seeds", SEEDS, "--runs-dir", tmp_path, *OPTIONS)
    with driving(*asked, "--launcher-opt", "cluster=local") as driver:
        until(lambda: trained(sweep, victim) > 10, driver)
        status = json.loads((sweep / victim / "status.json").read_text())
        os.kill(status["pid"], signal.SIGKILL)
        _, said = driver.communicate()
    assert driver.returncode == 0, said
    numbers = {run.name: Attempts(sweep).number(run.name) for run in StoredSweep(sweep).runs()}
    assert numbers == dict.fromkeys(numbers, 1) | {victim: 2}
    assert tables(sweep) == tables(alpha)
