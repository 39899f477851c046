"""A run that was interrupted, in whatever way, ends with the bytes of an undisturbed one."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Cli, SignalAt, results, small, small_text

from moe_lab import session
from moe_lab.config import load
from moe_lab.errors import ConfigError
from moe_lab.progress import Silent
from moe_lab.session import Outcome
from moe_lab.store.lock import Lock
from moe_lab.store.read import StoredRun


def snapshot(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_resuming_a_finished_run_does_nothing(cli: Cli, finished: Path):
    before = snapshot(finished)
    done = cli("resume", finished)
    assert (done.exit_code, done.stdout) == (0, f"{finished}\n")
    assert done.stderr == f"{finished} is finished: nothing to do\n"
    assert snapshot(finished) == before


def test_resuming_a_run_in_use_is_refused(cli: Cli, stopped: Path):
    before = snapshot(stopped)
    lock = Lock(stopped)
    done = cli("resume", stopped)
    lock.close()
    assert (done.exit_code, done.stdout) == (4, "")
    assert done.stderr.startswith(f"error: {stopped} is in use by another process\n  help: ")
    assert snapshot(stopped) == before


def test_what_is_not_a_run_cannot_be_resumed(cli: Cli, tmp_path: Path):
    for place in (tmp_path / "nowhere", tmp_path):
        done = cli("resume", place)
        assert (done.exit_code, done.stdout) == (5, "")
        assert done.stderr.startswith(f"error: {place} is not a moe-lab run: ")
    assert list(tmp_path.iterdir()) == []


def test_rows_after_the_last_checkpoint_are_computed_again(finished: Path, stopped: Path):
    for name in ("steps", "cv", "timing"):
        with (stopped / f"{name}.csv").open("a") as file:
            file.write("7,torn")
    assert session.resume(stopped, reporter=Silent()).exit_code == 0
    assert results(stopped) == results(finished)


STATEFUL = {  # what lives beyond a step: a bias, an expert's row that is not learned, clusters, drawn noise
    "loss_free": ("balance={name: loss_free, speed: 0.1}", "accumulate=2", "top_k=2"),
    "frozen": ("router_lr_factor=0", "capacity_factor=1", "drop_order=random"),
    "noisy": ("router=noisy_top_k", "top_k=2", "concentration=0.5", "cluster_size=4"),
    "fixed": ("router={name: reference, assignment: random, gate: one}", "alpha=0"),
    "dense": ("moe_layers=none",),
}


@pytest.mark.parametrize("settings", STATEFUL.values(), ids=STATEFUL)
def test_whatever_a_run_carries_is_there_again_after_a_stop(settings, tmp_path: Path):
    asked = load(None, small(*settings, "steps=6", "eval.every=3", "checkpoint.every=2"))
    whole = session.train(asked, runs_dir=tmp_path / "whole", exact=True, reporter=Silent())
    cut = SignalAt(3, signal.SIGTERM)
    part = session.train(asked, runs_dir=tmp_path / "cut", exact=True, reporter=cut)
    assert part.exit_code == 143
    assert session.resume(part.directory, reporter=Silent()).exit_code == 0
    assert results(part.directory) == results(whole.directory)


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(finished: Path, stopped: Path):
    newest = stopped / "checkpoints" / "step-00000006" / "model.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    reporter = SignalAt(0)
    session.resume(stopped, reporter=reporter)
    assert reporter.said[0].startswith(f"warning: {newest} has ")
    assert StoredRun(stopped).events[-2]["step"] == 4
    assert results(stopped) == results(finished)


def test_a_run_killed_after_its_last_checkpoint_needs_no_step(finished: Path, tmp_path: Path):
    run = Path(shutil.copytree(finished, tmp_path / "small"))
    (run / "summary.json").unlink()
    assert session.resume(run, reporter=Silent()) == Outcome(run)
    for name in ("summary.json", "timing.csv"):
        assert (run / name).read_bytes() == (finished / name).read_bytes()
    assert results(run) == results(finished)


def text_run(tmp_path: Path) -> tuple[Path, Path]:
    """A text, and a run on it as a kill after step 6 leaves it, with a checkpoint of step 4."""
    text = tmp_path / "text.txt"
    text.write_bytes(bytes(range(32, 127)) * 50)
    asked = load(None, small_text(text, "checkpoint.every=4"))
    session.train(asked, runs_dir=tmp_path, exact=True, reporter=SignalAt(6))
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-00000006")
    return text, tmp_path / "run"


def test_a_text_that_has_changed_is_refused_and_nothing_is_lost(tmp_path: Path):
    text, run = text_run(tmp_path)
    original, before = text.read_bytes(), snapshot(run)
    text.write_bytes(original.replace(b"A", b"B", 1))
    with pytest.raises(ConfigError, match=f"the data of {run} have changed") as caught:
        session.resume(run, reporter=Silent())
    assert caught.value.exit_code == 2
    assert snapshot(run) == before
    text.write_bytes(original)
    assert session.resume(run, reporter=Silent()).exit_code == 0


def test_a_text_that_is_gone_is_refused(cli: Cli, tmp_path: Path):
    text, run = text_run(tmp_path)
    text.unlink()
    before = snapshot(run)
    done = cli("resume", run)
    assert done.exit_code == 2
    assert f"no such file: {text}" in done.stderr
    assert snapshot(run) == before


# Killed or stopped in the middle


STEPS = 120
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


def being_born(runs: Path) -> bool:
    """While the run is prepared under a hidden name; at the latest when it has got its own."""
    return any(runs.glob(".staging-*")) or (runs / "run").exists()


def in_a_checkpoint(after: int) -> Moment:
    """While a checkpoint is being prepared, from a number of steps on."""
    reached = steps_written(after)
    return lambda runs: reached(runs) and any(runs.glob("run/checkpoints/.staging-*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(being_born, id="before it has a name"),
        *(pytest.param(steps_written(n), id=f"step {n}") for n in (0, 1, 4, 5, 33, 60, 80)),
        *(pytest.param(in_a_checkpoint(n), id=f"checkpoint after step {n}") for n in (4, 30, 60)),
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
    for number in (13, 60):
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
