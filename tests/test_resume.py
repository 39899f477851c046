"""A run that was interrupted, in whatever way, ends with the bytes of an undisturbed one."""

import shutil
import signal
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
