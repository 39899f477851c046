import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from moe_lab.errors import ArtefactError, MoeLabError, StorageError
from moe_lab.store import Run, StoredRun
from moe_lab.store.commit import newest_commit

from .conftest import new_run, read, state_at, train_to


def results(directory: Path) -> dict[str, bytes]:
    """Every file that may not depend on the time of day, by its path in the run."""
    files = [*directory.glob("*.csv"), *directory.glob("checkpoints/*/*")]
    return {str(file.relative_to(directory)): file.read_bytes() for file in files}


def test_a_resumed_run_has_the_bytes_of_an_undisturbed_one(runs: Path) -> None:
    with new_run(runs, "calm") as calm:
        train_to(calm, start=1, stop=6, keep=2)
    for cut in range(6):
        with new_run(runs, f"cut-{cut}") as run:
            train_to(run, start=1, stop=cut, keep=2)
            run.append("steps", {"step": cut + 1, "loss": 0.5})
            run.flush()
        with (run.directory / "cv.csv").open("ab") as torn:
            torn.write(b"9,tra")
        (run.directory / "checkpoints/.staging-left").mkdir()
        (run.directory / "checkpoints/.staging-left/model.safetensors").touch()
        run, state = Run.reopen(run.directory)
        with run:
            assert state.step == cut // 2 * 2
            assert state.extra == {"tokens": 64 * state.step}
            train_to(run, start=state.step + 1, stop=6, keep=2)
        assert results(run.directory) == results(calm.directory)


def test_reopening_passes_over_a_damaged_checkpoint_and_says_so(runs: Path) -> None:
    with new_run(runs) as run:
        train_to(run, start=1, stop=5)
    (runs / "x/checkpoints/step-00000004/model.safetensors").write_bytes(b"")
    run, state = Run.reopen(runs / "x")
    run.close()
    assert state.step == 2
    assert len(run.skipped) == 1
    assert "step-00000004/model.safetensors has 0 bytes" in run.skipped[0]
    assert (runs / "x/steps.csv").read_bytes() == b"step,loss\n1,1.0\n2,0.5\n"


def test_a_committed_row_that_was_changed_is_computed_again(runs: Path) -> None:
    with new_run(runs, "calm") as calm:
        train_to(calm, start=1, stop=6)
    with new_run(runs) as run:
        train_to(run, start=1, stop=5)
    cv = runs / "x/cv.csv"
    cv.write_bytes(cv.read_bytes().replace(b"3,train,1.0", b"3,train,1.5"))
    run, state = Run.reopen(runs / "x")
    with run:
        assert state.step == 2
        assert "cv.csv: SHA-256 of its first" in run.skipped[0]
        train_to(run, start=3, stop=6)
    assert results(runs / "x") == results(calm.directory)


def test_a_table_shorter_than_every_commit_is_refused_before_any_is_cut(runs: Path) -> None:
    with new_run(runs) as run:
        train_to(run, start=1, stop=3)
    cv = runs / "x/cv.csv"
    cv.write_bytes(cv.read_bytes()[:10])
    steps = (runs / "x/steps.csv").read_bytes()
    with pytest.raises(ArtefactError, match=r"cv\.csv has 10 bytes; its checkpoint counted"):
        Run.reopen(runs / "x")
    cv.unlink()
    with pytest.raises(ArtefactError, match=r"cannot read .*cv\.csv"):
        Run.reopen(runs / "x")
    assert (runs / "x/steps.csv").read_bytes() == steps


def test_a_run_in_use_is_refused_and_unchanged(runs: Path) -> None:
    with new_run(runs) as run:
        train_to(run, start=1, stop=3)
        before = results(run.directory)
        with pytest.raises(StorageError, match="x is in use by another process") as caught:
            Run.reopen(run.directory)
        assert caught.value.exit_code == 4
        assert results(run.directory) == before
    Run.reopen(run.directory)[0].close()


def test_a_refused_reopening_frees_the_lock(runs: Path) -> None:
    new_run(runs).close()
    commit = runs / "x/checkpoints/step-00000000/COMMIT.json"
    good = commit.read_bytes()
    commit.write_bytes(b"{}")
    with pytest.raises(ArtefactError, match="no intact checkpoint"):
        Run.reopen(runs / "x")
    commit.write_bytes(good)
    Run.reopen(runs / "x")[0].close()


@pytest.mark.parametrize("name", [".", "nowhere"])
def test_a_folder_that_is_no_run_gets_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArtefactError, match="is not a moe-lab run"):
        Run.reopen(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_its_flushed_rows_and_no_lock(runs: Path) -> None:
    program = """
import os, pathlib, signal, sys
from tests.store.conftest import new_run, train_to
run = new_run(pathlib.Path(sys.argv[1]))
train_to(run, start=1, stop=3)
run.append("steps", {"step": 4})
os.kill(os.getpid(), signal.SIGKILL)
"""
    root = Path(__file__).parents[2]
    killed = subprocess.run([sys.executable, "-c", program, str(runs)], cwd=root, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert StoredRun(runs / "x").table("steps")["step"].tolist() == [1, 2, 3]
    run, state = Run.reopen(runs / "x")
    run.close()
    assert state.step == 2


def test_a_torn_event_is_not_fused_with_the_next(runs: Path) -> None:
    with new_run(runs) as run:
        run.event("start", step=0)
    with (runs / "x/events.jsonl").open("ab") as torn:
        torn.write(b'{"kind": "sa')
    run, _ = Run.reopen(runs / "x")
    with run:
        run.event("resume", step=0)
    assert [event["kind"] for event in StoredRun(runs / "x").events] == ["start", "resume"]


def test_a_run_of_schema_1_goes_on(tmp_path: Path) -> None:
    frozen = Path(__file__).parents[1] / "reliability/frozen/schema-1/stopped"
    run_dir = Path(shutil.copytree(frozen, tmp_path / "x"))
    run, state = Run.reopen(run_dir)
    with run:
        assert (state.step, run.skipped) == (3, ())
        run.commit(state, keep=2)
    commit = read(run_dir / "checkpoints/step-00000003/COMMIT.json")
    assert commit["schema"] == 2
    assert len(commit["csv"]["steps"]["sha256"]) == 64


def test_errors_of_a_run_are_for_users(runs: Path) -> None:
    new_run(runs).close()
    (runs / "x/run.json").write_text("{}")
    with pytest.raises(MoeLabError, match="no schema version"):
        Run.reopen(runs / "x")


def test_a_damaged_checkpoint_is_kept_instead_of_no_intact_one(runs: Path) -> None:
    def kept() -> list[str]:
        return sorted(path.name[-1] for path in (runs / "x/checkpoints").iterdir())

    with new_run(runs) as run:
        train_to(run, start=1, stop=5, every=2, keep=2)
    (runs / "x/checkpoints/step-00000004/model.safetensors").write_bytes(b"")
    run, state = Run.reopen(runs / "x")
    assert state.step == 2
    with run:
        train_to(run, start=3, stop=3, every=1, keep=2)
        assert kept() == ["2", "3", "4"]
        run.commit(state_at(5), keep=2)
        assert kept() == ["3", "5"]


def test_a_damaged_checkpoint_that_was_made_again_counts_again(runs: Path) -> None:
    with new_run(runs) as run:
        train_to(run, start=1, stop=5, every=2, keep=2)
    (runs / "x/checkpoints/step-00000004/model.safetensors").write_bytes(b"")
    run, _ = Run.reopen(runs / "x")
    with run:
        run.commit(state_at(4), keep=2)
        run.commit(state_at(5), keep=2)
    assert newest_commit(runs / "x").state.step == 5
    (runs / "x/checkpoints/step-00000005/COMMIT.json").unlink()
    assert newest_commit(runs / "x").state.step == 4
