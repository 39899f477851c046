"""Which runs go through a door, what they are called, and where the result lies."""

import errno
import json
import os
import shutil
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from conftest import Cli, edit

from moe_lab.errors import ArtefactError, ConfigError, StorageError
from moe_lab.exporting import export
from moe_lab.registry import EXPORTS
from moe_lab.store.disk import Disk
from moe_lab.store.lock import Lock
from moe_lab.store.seal import read_sealed
from moe_lab.store.sweep import StoredSweep
from moe_lab.store.system import System

FROZEN = Path(__file__).parent / "reliability" / "frozen" / "schema-2"
FORMS = [name.replace("_", "-") for name in EXPORTS.names()]
ALL = pytest.mark.parametrize("to", FORMS)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """`finished`, `stopped` and `sweep-alpha`, private."""
    copy = shutil.copytree(FROZEN, tmp_path / "runs")
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return copy


def names(folder: Path) -> list[str]:
    frame = pd.read_csv(folder / "long.csv", keep_default_na=False)
    return list(dict.fromkeys(frame["run"]))


def test_the_doors_are_the_files_of_their_folder():
    assert FORMS == ["csv-long", "parquet", "tensorboard"]


@ALL
def test_an_export_lies_in_its_run_and_says_what_it_is(runs: Path, to: str):
    done = export([runs / "finished"], to)
    assert done.folder == runs / "finished" / "export" / to
    record = read_sealed(done.folder / "EXPORT.json")
    rows = {"steps": 6, "utilization": 18, "cv": 18, "aux_loss": 18, "eval": 3, "router": 6}
    assert record["rows"] == done.rows == {**rows, "timing": 6}
    assert record["to"] == to
    (run,) = record["runs"]
    assert run["id"] == json.loads((runs / "finished" / "run.json").read_text())["id"]
    assert (run["name"], run["state"], run["rows"]) == ("finished", "finished", 75)


@ALL
def test_made_again_it_has_the_rows_of_now(runs: Path, to: str):
    export([runs / "finished"], to)
    text = (runs / "finished" / "steps.csv").read_text()
    (runs / "finished" / "steps.csv").write_text(
        text + text.splitlines()[-1].replace("6,", "7,", 1) + "\n"
    )
    assert export([runs / "finished"], to).rows["steps"] == 7
    assert sorted(path.name for path in (runs / "finished" / "export").iterdir()) == [to]


@ALL
def test_a_running_run_is_read_to_its_last_whole_row(runs: Path, to: str):
    run = runs / "stopped"
    edit(run / "status.json", state="running")
    with (run / "cv.csv").open("a") as file:
        file.write("4,train,0,256,0.0")
    with closing(Lock(run)):
        done = export([run], to)
    assert done.rows["cv"] == 10
    assert done.runs[0]["state"] == "running"


@ALL
def test_a_run_of_one_step_or_of_none_is_exported(runs: Path, to: str):
    for left in (1, 0):
        for table in (runs / "finished").glob("*.csv"):
            table.write_text("".join(table.read_text().splitlines(keepends=True)[: 1 + left]))
        assert set(export([runs / "finished"], to).rows.values()) == {left}


def test_several_runs_need_a_place(runs: Path):
    with pytest.raises(ConfigError, match="needs a place") as caught:
        export([runs / "finished", runs / "stopped"], "csv-long")
    assert "--out" in caught.value.render()
    done = export([runs / "finished", runs / "stopped"], "csv-long", runs / "out")
    assert names(done.folder) == ["finished", "stopped"]


def test_runs_of_one_name_are_told_apart_by_their_folders(runs: Path):
    shutil.copytree(runs / "finished", runs / "other" / "finished")
    given = [runs / "finished", runs / "other" / "finished", runs / "other" / ".." / "finished"]
    assert names(export(given, "csv-long", runs / "out").folder) == ["finished", "other/finished"]


@ALL
def test_a_damaged_run_of_a_sweep_is_left_out(runs: Path, to: str):
    sweep = runs / "sweep-alpha"
    (sweep / "alpha-0-s0" / "run.json").write_text("{")
    with (sweep / "alpha-0-s1" / "cv.csv").open("a") as file:
        file.write("x,y\nz\n")
    (sweep / "alpha-0.1-s0" / "steps.csv").unlink()
    done = export([sweep], to)
    assert [run["name"] for run in done.runs] == ["alpha-0.1-s1"]
    assert set(done.left_out) == {"alpha-0-s0", "alpha-0-s1", "alpha-0.1-s0"}
    assert done.rows["steps"] == 6


def test_a_run_that_is_not_the_planned_one_is_left_out(runs: Path):
    sweep = runs / "sweep-alpha"
    shutil.rmtree(sweep / "alpha-0-s1")
    shutil.copytree(sweep / "alpha-0-s0", sweep / "alpha-0-s1")
    assert "made with seed 0, the plan says 1" in export([sweep], "csv-long").left_out["alpha-0-s1"]


def test_runs_of_a_sweep_that_have_not_begun_are_counted(runs: Path):
    shutil.rmtree(runs / "sweep-alpha" / "alpha-0-s1")
    done = export([runs / "sweep-alpha"], "csv-long")
    assert (done.to_come, len(done.runs), done.left_out) == (1, 3, {})


@pytest.mark.parametrize("state", ["none has begun", "has 1 fields"])
def test_a_sweep_without_a_readable_run_is_an_error(runs: Path, state: str):
    for run in (runs / "sweep-alpha").glob("alpha-*"):
        if state == "none has begun":
            shutil.rmtree(run)
        else:
            with (run / "cv.csv").open("a") as file:
                file.write("1,\n1,\n")
    with pytest.raises(ArtefactError, match="sweep-alpha has no run that can be read: "):
        export([runs / "sweep-alpha"], "csv-long")
    assert not (runs / "sweep-alpha" / "export" / "csv-long").exists()


def test_a_damaged_run_alone_is_an_error(runs: Path):
    with (runs / "finished" / "cv.csv").open("a") as file:
        file.write("1,2\n3,4\n")
    with pytest.raises(ArtefactError, match="row with 2 fields"):
        export([runs / "finished"], "csv-long")


def test_a_sweep_is_exported_by_itself(runs: Path):
    with pytest.raises(ConfigError, match="by itself"):
        export([runs / "sweep-alpha", runs / "finished"], "csv-long", runs / "out")


def test_what_is_no_run_is_named(runs: Path):
    with pytest.raises(ArtefactError, match="is not a moe-lab run"):
        export([runs], "csv-long")
    assert not (runs / "export").exists()


def test_a_folder_of_exports_that_leads_elsewhere_is_refused(runs: Path, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (runs / "finished" / "export").symlink_to(tmp_path / "mine")
    with pytest.raises(ConfigError, match="is a link"):
        export([runs / "finished"], "csv-long")
    assert list((tmp_path / "mine").iterdir()) == []


class Full(System):
    """A disk that has taken its last byte but so many."""

    def __init__(self, room: int):
        self.room = room

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(descriptor, data)


@ALL
@pytest.mark.parametrize("room", [0, 10, 5_000])
def test_a_full_disk_leaves_the_older_export(runs: Path, to: str, room: int):
    before = export([runs / "sweep-alpha"], to).folder
    kept = {path: path.read_bytes() for path in before.rglob("*") if path.is_file()}
    with pytest.raises(StorageError, match="No space left"):
        export([runs / "sweep-alpha"], to, disk=Disk(Full(room)))
    assert {path: path.read_bytes() for path in before.rglob("*") if path.is_file()} == kept
    assert sorted(path.name for path in before.parent.iterdir()) == [to]


def test_a_run_and_a_sweep_with_exports_are_read_and_gone_on_with(cli: Cli, runs: Path):
    for name in ("finished", "stopped", "sweep-alpha"):
        export([runs / name], "csv-long")
    assert cli("report", runs / "finished").exit_code == 0
    assert cli("report", runs / "sweep-alpha").exit_code == 0
    assert cli("check", runs / "finished", "--fail-on", "lm_loss > 100").exit_code == 0
    assert [e["reason"] for e in json.loads(cli("ls", runs, "--json").stdout)["runs"]] == [None] * 3
    states = StoredSweep(runs / "sweep-alpha").states()
    assert {found.state for found in states.values()} == {"finished"}
    resumed = cli("resume", runs / "stopped")
    assert resumed.exit_code == 0, resumed.stderr
