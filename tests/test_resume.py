"""A run killed at any moment, and resumed, ends with the bytes of an undisturbed one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Cli, results, small

from moe_lab.store.read import StoredRun

STEPS = 150
SETTINGS = small(
    *(f"steps={STEPS}", "eval.every=7", "checkpoint.every=5", "router_grad_every=3"),
    *("noise=0.2", "capacity_factor=1.5", "n_experts=12", "init_tilt=2"),
)

Moment = Callable[[Path], bool]  # of a runs folder


@pytest.fixture(scope="module")
def undisturbed(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("undisturbed")
    assert cli("train", *SETTINGS, "--runs-dir", runs).exit_code == 0
    return runs / "run"


@contextmanager
def process(runs: Path) -> Iterator[subprocess.Popen[str]]:
    """The run in a process of its own, which does not outlive the block."""
    command = [sys.executable, "-m", "moe_lab", "train", *SETTINGS, "--runs-dir", str(runs)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def wait(child: subprocess.Popen[str], moment: Moment, runs: Path) -> None:
    while child.poll() is None and not moment(runs):
        time.sleep(0.0005)


def steps_written(number: int) -> Moment:
    """As soon as steps.csv has so many rows."""

    def reached(runs: Path) -> bool:
        table = runs / "run" / "steps.csv"
        return table.exists() and table.read_bytes().count(b"\n") > number

    return reached


def staging(after: int, *inside: str) -> Moment:
    """While a folder is being prepared, from a number of steps on."""
    reached = steps_written(after) if after else lambda runs: True

    def prepared(runs: Path) -> bool:
        folder = runs.joinpath(*inside)
        return reached(runs) and folder.is_dir() and any(folder.glob(".staging-*"))

    return prepared


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(staging(0), id="before the run has a name"),
        pytest.param(steps_written(0), id="before the first step"),
        *(pytest.param(steps_written(n), id=f"after step {n}") for n in (1, 4, 5, 33, 77, 120)),
        *(
            pytest.param(staging(n, "run", "checkpoints"), id=f"in a checkpoint after step {n}")
            for n in (4, 40, 90)
        ),
    ],
)
def test_a_killed_run_ends_with_the_same_bytes(
    cli: Cli, undisturbed: Path, tmp_path: Path, moment: Moment
):
    with process(tmp_path) as child:
        wait(child, moment, tmp_path)
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL, "the run was over before the moment came"
    if not (tmp_path / "run").exists():
        assert cli("train", *SETTINGS, "--runs-dir", tmp_path).exit_code == 0
    else:
        assert cli("report", tmp_path / "run").exit_code == 0
        assert StoredRun(tmp_path / "run").status["state"] == "running"
        done = cli("resume", tmp_path / "run")
        assert (done.exit_code, done.stdout) == (0, f"{tmp_path}/run\n")
    assert results(tmp_path / "run") == results(undisturbed)
    assert StoredRun(tmp_path / "run").is_finished
    assert not any((tmp_path / "run").rglob(".staging-*"))


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_with_the_same_bytes(
    cli: Cli, undisturbed: Path, tmp_path: Path
):
    with process(tmp_path) as child:
        wait(child, steps_written(8), tmp_path)
    for number in (13, 47, 101):
        command = [sys.executable, "-m", "moe_lab", "resume", str(tmp_path / "run")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            wait(child, steps_written(number), tmp_path)
            child.kill()
    assert cli("resume", tmp_path / "run").exit_code == 0
    assert results(tmp_path / "run") == results(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(
    cli: Cli, undisturbed: Path, tmp_path: Path, number: signal.Signals, code: int
):
    with process(tmp_path) as child:
        wait(child, steps_written(12), tmp_path)
        child.send_signal(number)
        stdout, stderr = child.communicate()
    assert child.returncode == code, stderr
    assert stdout == f"{tmp_path}/run\n"
    assert stderr.splitlines()[-1].endswith(f"; go on with: moe-lab resume {tmp_path}/run")
    assert "Traceback" not in stderr
    assert StoredRun(tmp_path / "run").status["state"] == "stopped"
    assert cli("resume", tmp_path / "run").exit_code == 0
    assert results(tmp_path / "run") == results(undisturbed)
