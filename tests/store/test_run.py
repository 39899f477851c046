import errno
import multiprocessing
import os
import re
import stat
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import pytest

from moe_lab.errors import ArtefactError, ConfigError, StorageError
from moe_lab.store import Run, StoredRun, layout
from moe_lab.store.disk import Disk
from moe_lab.store.lock import Lock
from moe_lab.store.system import System

from .conftest import new_run, read, state_at, train_to

MADE = [
    ".lock",
    "checkpoints",
    "config.yaml",
    "cv.csv",
    "resolved.yaml",
    "run.json",
    "status.json",
    "steps.csv",
]


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_new_run_is_whole(runs: Path) -> None:
    with new_run(runs, record={"seed": 3}) as run:
        assert run.directory == runs / "x"
    assert names(runs) == ["x"]
    assert names(runs / "x") == MADE
    assert (runs / "x/config.yaml").read_bytes() == b"name: x  # mine\r\n"
    assert (runs / "x/resolved.yaml").read_text() == "name: x\n"
    assert (runs / "x/steps.csv").read_bytes() == b"step,loss\n"
    assert (runs / "x/cv.csv").read_bytes() == b"step,split,cv\n"
    record = read(runs / "x/run.json")
    assert (record["schema"], record["seed"]) == (2, 3)
    assert re.fullmatch("[0-9a-f-]{36}", record["id"])
    assert read(runs / "x/status.json")["state"] == "running"
    assert names(runs / "x/checkpoints/step-00000000") == sorted(
        [layout.MODEL, layout.OPTIMIZER, layout.STATE, layout.COMMIT]
    )


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_a_run_is_private_whatever_the_umask(runs: Path, umask: int) -> None:
    before = os.umask(umask)
    with new_run(runs) as run:
        train_to(run, start=1, stop=3)
    with Run.reopen(runs / "x")[0] as run:  # sets row 3 aside
        run.save_arrays(3, {"load": np.zeros(2)})
        run.event("start")
        run.log("hello")
        run.finish({})
    os.umask(before)
    assert {"checkpoints", "router", "tail"} <= set(names(runs / "x"))
    for path in [runs / "x", *(runs / "x").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_taken_name_gets_the_next_number(runs: Path) -> None:
    for expected in ("x", "x-2", "x-3"):
        with new_run(runs) as run:
            assert run.directory.name == expected


@pytest.mark.parametrize("taken", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_whatever_has_the_name_is_left_alone(runs: Path, taken: object) -> None:
    runs.mkdir()
    taken(runs / "x")  # type: ignore[operator]
    with new_run(runs) as run:
        assert run.directory.name == "x-2"
    assert names(runs) == ["x", "x-2"]


def test_a_taken_name_that_was_asked_for_is_refused(runs: Path) -> None:
    new_run(runs).close()
    with pytest.raises(ConfigError, match="x already exists") as caught:
        new_run(runs, exact=True)
    assert caught.value.exit_code == 2
    assert f"moe-lab resume {runs / 'x'}" in caught.value.render()
    assert names(runs) == ["x"]


def test_a_run_that_cannot_be_written_is_not_there(runs: Path) -> None:
    with pytest.raises(TypeError):
        new_run(runs, state=state_at(0, bad=object()))
    with pytest.raises(TypeError):
        new_run(runs, record={"bad": object()})
    assert names(runs) == []


@pytest.mark.parametrize("inside", [".", "deeper/still"])
def test_a_runs_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError) as caught:
        new_run(tmp_path / "file" / inside)
    assert "help: choose another place with --runs-dir" in caught.value.render()
    assert names(tmp_path) == ["file"]


def race(runs: Path, barrier: Barrier, exact: bool) -> None:
    for _ in range(5):
        barrier.wait()
        try:
            with new_run(runs, exact=exact) as run:
                train_to(run, start=1, stop=2)
        except ConfigError:
            (runs / f".refused-{multiprocessing.current_process().pid}").touch()


def racing(runs: Path, *, exact: bool) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    racers = [context.Process(target=race, args=(runs, barrier, exact)) for _ in range(2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
        assert racer.exitcode == 0


def test_racing_processes_each_get_a_whole_run_of_their_own(runs: Path) -> None:
    racing(runs, exact=False)
    assert names(runs) == sorted(["x", *(f"x-{number}" for number in range(2, 11))])
    for directory in runs.iterdir():
        assert StoredRun(directory).table("steps")["step"].tolist() == [1, 2]
    assert len({StoredRun(directory).record["id"] for directory in runs.iterdir()}) == 10


def test_of_processes_racing_for_one_name_one_wins(runs: Path) -> None:
    racing(runs, exact=True)
    assert [name for name in names(runs) if not name.startswith(".refused")] == ["x"]
    assert StoredRun(runs / "x").table("steps")["step"].tolist() == [1, 2]


def test_all_is_durable_before_a_commit_gets_its_name(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int | str] = []  # inodes that were synced, names that were given
    fsync, rename = os.fsync, os.rename

    def noting_fsync(descriptor: int) -> None:
        done.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def noting_rename(source: Path, target: Path) -> None:
        done.append(Path(target).name)
        rename(source, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(os, "rename", noting_rename)
    run = new_run(runs)
    named = done.index("x")
    made = [run.directory, *(path for path in run.directory.rglob("*") if path.name != ".lock")]
    assert {path.stat().st_ino for path in made} <= set(done[:named])
    assert runs.stat().st_ino in done[named:]
    done.clear()
    train_to(run, start=1, stop=2)
    run.close()
    named = done.index("step-00000002")
    folder = layout.checkpoint(run.directory, 2)
    paths = [*run.directory.glob("*.csv"), folder, *folder.iterdir()]
    assert {path.stat().st_ino for path in paths} <= set(done[:named])
    assert folder.parent.stat().st_ino in done[named:]


def test_status_tells_condition_step_and_reason(runs: Path) -> None:
    with new_run(runs) as run:
        train_to(run, start=1, stop=3)
        assert read(runs / "x/status.json")["step"] == 2  # the last commit
        run.status("diverged", step=3, reason="loss is nan")
    status = StoredRun(runs / "x").status
    assert (status["state"], status["step"], status["reason"]) == ("diverged", 3, "loss is nan")
    assert {"schema", "pid", "time"} < status.keys()


def test_only_a_finished_run_has_a_summary(runs: Path) -> None:
    with new_run(runs) as run:
        assert not StoredRun(runs / "x").is_finished
        run.append("steps", {"step": 1, "loss": 2.5})
        run.finish({"lm_loss": 2.5})
    stored = StoredRun(runs / "x")
    assert stored.is_finished
    assert stored.summary == {"schema": 2, "lm_loss": 2.5}
    assert stored.status["state"] == "finished"
    assert stored.table("steps")["loss"].tolist() == [2.5]


def test_state_holds_no_time_of_day(runs: Path) -> None:
    new_run(runs).close()
    state = read(runs / "x/checkpoints/step-00000000/state.json")
    assert state == {"schema": 2, "step": 0, "extra": {"tokens": 0}}


def test_a_run_of_another_program_has_tables_and_neither_config_nor_checkpoints(runs):
    with new_run(
        runs,
        config=None,
        resolved=None,
        state=None,
        record={"kind": "monitor", "config": {"seed": 1}},
    ) as run:
        run.append("steps", {"step": 1, "loss": 0.5})
        run.finish({})
    names = {path.name for path in run.directory.iterdir()}
    assert names == {".lock", "run.json", "status.json", "summary.json", "steps.csv", "cv.csv"}
    stored = StoredRun(run.directory)
    assert stored.is_recorded
    assert stored.config == {"seed": 1}
    with pytest.raises(ArtefactError, match="no intact checkpoint"):
        Run.reopen(run.directory)


@pytest.mark.parametrize(
    ("error", "state"), [(ValueError("x"), "failed"), (KeyboardInterrupt(), "stopped")]
)
def test_a_run_that_fails_says_why(runs, error, state):
    with new_run(runs) as run:
        run.fail(error)
    status = read(run.directory / "status.json")
    assert (status["state"], status["reason"]) == (state, repr(error))
    assert type(error).__name__ in (run.directory / "log.txt").read_text()


class Full(System):
    """A disk that is full when asked to be."""

    full = False

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(descriptor, data)

    def change(self, path: Path) -> int:
        if self.full:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().change(path)


def test_an_error_of_the_disk_names_the_step_that_is_intact_and_how_to_go_on(runs: Path) -> None:
    def train() -> None:
        system = Full()
        with new_run(runs, disk=Disk(system)) as run:
            train_to(run, start=1, stop=5)
            system.full = True
            train_to(run, start=6, stop=6)

    with pytest.raises(StorageError) as caught:
        train()
    text = caught.value.render()
    assert f"cannot write {runs}/x/steps.csv: No space left on device" in text
    resume = f"moe-lab resume {runs / 'x'}"
    assert f"free space on its file system; step 4 is intact; go on with: {resume}" in text


def test_a_run_that_cannot_be_resumed_does_not_say_how(runs: Path) -> None:
    def record() -> None:
        system = Full()
        with new_run(runs, disk=Disk(system), state=None) as run:
            system.full = True
            run.log("hello")

    with pytest.raises(StorageError) as caught:
        record()
    assert "help: free space on its file system" in caught.value.render().splitlines()[-1]
    assert "resume" not in caught.value.render()


def test_telling_of_an_error_never_hides_it(runs: Path) -> None:
    system = Full()
    with new_run(runs, disk=Disk(system)) as run:
        system.full = True
        run.fail(ValueError("the one that counts"))
    assert read(runs / "x/status.json")["state"] == "running"


def test_a_run_whose_tables_cannot_be_opened_leaves_no_lock(runs: Path) -> None:
    system = Full()
    new_run(runs).close()
    system.full = True
    with pytest.raises(StorageError, match="Input/output error"):
        Run.reopen(runs / "x", Disk(system))
    Lock(runs / "x").close()
