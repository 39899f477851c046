"""The private folder of jobs: where it is, who can reach it, and what is told there."""

import json
import stat
from pathlib import Path

import pytest

from moe_lab.errors import EngineError, StorageError
from moe_lab.job.slurm.folder import JobFolder, Report
from moe_lab.job.task import Task
from moe_lab.plan import PlannedRun, Point

TASK = Task(Path("sweep"), PlannedRun(Point("p0", {}), 0), 2)


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    return JobFolder.create(tmp_path / "sweep")


def test_it_is_its_owners_alone_and_beside_the_runs(folder: JobFolder, tmp_path: Path) -> None:
    assert folder.path.parent == tmp_path / ".slurm" / "sweep"
    for path in (folder.path, folder.path.parent, folder.path.parent.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_every_driver_has_its_own(tmp_path: Path) -> None:
    folders = [JobFolder.create(tmp_path / "sweep") for _ in range(3)]
    assert len({folder.path for folder in folders}) == 3
    assert len({folder.title for folder in folders}) == 3


def test_it_is_not_put_where_somebody_else_can_write(tmp_path: Path) -> None:
    (tmp_path / ".slurm").mkdir()
    (tmp_path / ".slurm").chmod(0o777)
    with pytest.raises(StorageError, match="can be written by everybody"):
        JobFolder.create(tmp_path / "sweep")


@pytest.mark.parametrize("name", ["a%jb", "100%", "a\nb", "a\\b"])
def test_what_a_batch_script_would_misread_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(EngineError, match="cannot have its scripts"):
        JobFolder.create(tmp_path / name / "sweep")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["my sweep", "a,b", "Größe", "x" * 100])
def test_a_job_has_a_name_that_a_queue_can_show(tmp_path: Path, name: str) -> None:
    title = JobFolder.create(tmp_path / name).title
    assert title.isascii()
    assert len(title) <= 57  # 40 and 16 with a hyphen
    assert set(title) & set(", |\n") == set()


def test_a_later_driver_finds_it_again(folder: JobFolder, tmp_path: Path) -> None:
    found = JobFolder.of(tmp_path / "sweep", folder.token)
    assert found is not None
    assert (found.path, found.title) == (folder.path, folder.title)


@pytest.mark.parametrize(
    "token", ["", "..", "../sweep", "0123456789abcdef", "0123456789ABCDEF", "/"]
)
def test_what_is_not_there_or_no_name_is_not_found(
    folder: JobFolder, tmp_path: Path, token: str
) -> None:
    assert JobFolder.of(tmp_path / "sweep", token) is None


def test_a_report_is_read_once(folder: JobFolder) -> None:
    told = Report(error="error: x", in_use=True, how="so")
    folder.report(TASK, told)
    assert list(folder.reports()) == [("p0-s0", 2, told)]
    assert list(folder.reports()) == []


@pytest.mark.parametrize("content", ["", "[]", '{"error": 3}', '{"run": "x"}', "\x80\x04."])
def test_a_report_that_is_none_is_passed_over_and_gone(folder: JobFolder, content: str) -> None:
    path = folder.path / "ended" / "2-p0-s0.json"
    path.write_text(content)
    assert list(folder.reports()) == []
    assert not path.exists()


def test_what_is_no_report_stays(folder: JobFolder) -> None:
    for name in ("7_0_submitted.pkl", "7_0_0_log.out", ".2-p0-s0.json.new", "x.json"):
        (folder.path / "ended" / name).write_text(json.dumps({}))
    assert list(folder.reports()) == []
    assert len(list((folder.path / "ended").iterdir())) == 4


def test_a_job_is_in_a_run_once(folder: JobFolder) -> None:
    other = Task(TASK.sweep, TASK.run, 3)
    assert folder.enter(TASK)
    assert not folder.enter(TASK)  # killed, or on another node
    assert folder.enter(other)
    folder.leave(TASK)
    assert folder.enter(TASK)


def test_a_stop_is_seen(folder: JobFolder) -> None:
    assert not folder.stopping
    folder.stop()
    folder.stop()
    assert folder.stopping


def test_those_of_all_drivers_go_at_once_and_other_sweeps_keep_theirs(
    folder: JobFolder, tmp_path: Path
) -> None:
    JobFolder.create(tmp_path / "sweep")
    other = JobFolder.create(tmp_path / "other")
    JobFolder.remove_all(tmp_path / "sweep")
    assert not folder.path.parent.exists()
    assert other.path.exists()
    JobFolder.remove_all(tmp_path / "other")
    assert list(tmp_path.iterdir()) == []
