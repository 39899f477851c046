"""Runs and sweeps of every schema, as the version of their time wrote them: still read, and gone on with."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from conftest import Cli, rows

from moe_lab import load_run, load_sweep
from moe_lab.store import layout

FROZEN = Path(__file__).parent / "frozen"
SCHEMAS = sorted(path.name for path in FROZEN.glob("schema-*"))
FORMATS = ("table", "md", "csv", "json")


@pytest.fixture(params=SCHEMAS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of what is frozen, private as what a run leaves: git keeps no modes."""
    copy = shutil.copytree(FROZEN / request.param, tmp_path / "old")
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return copy


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_schema_is_frozen():
    assert len(SCHEMAS) == layout.SCHEMA, "make the missing one: tests/reliability/frozen/make.py"


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("names", "shown"),
    [
        *((names, names) for names in (("stopped",), ("finished", "stopped"))),
        (("sweep-alpha",), ("alpha",)),
    ],
)
def test_a_report_of_an_old_run_or_sweep_renders(
    cli: Cli, old: Path, names: tuple[str, ...], shown: tuple[str, ...], form: str
):
    before = contents(old)
    done = cli("report", *(old / name for name in names), "--format", form)
    assert (done.exit_code, done.stderr) == (0, "")
    assert all(word in done.stdout for word in shown)
    assert contents(old) == before


def test_a_report_of_an_old_run_says_what_was_in_its_summary(cli: Cli, old: Path):
    (run,) = json.loads(cli("report", old / "finished", "--json").stdout)["runs"]
    known = json.loads((old / "finished" / "summary.json").read_text())["outcomes"]
    assert (run["verdict"], run["worst_layer"]) == (known["verdict"], known["worst_layer"])
    assert run["loss"]["lm_loss"] == known["lm_loss"]


def test_an_old_run_is_held_against_rules(cli: Cli, old: Path):
    for rule, expected in (("lm_loss > 1000", 0), ("lm_loss > 0", 3)):
        assert cli("check", old / "finished", "--fail-on", rule).exit_code == expected


def test_old_runs_are_listed(cli: Cli, old: Path):
    listed = json.loads(cli("ls", old, "--json").stdout)["runs"]
    found = {entry["name"]: (entry["state"], entry["step"]) for entry in listed}
    assert (found["finished"], found["stopped"]) == (("finished", 6), ("stopped", 3))


def test_old_runs_and_sweeps_are_frames(old: Path):
    run, sweep = load_run(old / "finished"), load_sweep(old / "sweep-alpha")
    assert list(run.steps["step"]) == [1, 2, 3, 4, 5, 6]
    assert list(run.eval["step"]) == [0, 3, 6]
    assert run.config["moe"]["n_experts"] == 3
    with (old / "sweep-alpha" / "runs.csv").open(newline="") as file:
        stored = list(csv.DictReader(file))
    assert list(sweep.runs["run"]) == [row["run"] for row in stored]
    assert [f"{loss!r}" for loss in sweep.runs["lm_loss"]] == [row["lm_loss"] for row in stored]


def test_an_old_run_goes_on_and_repeats_no_row(cli: Cli, old: Path):
    run = old / "stopped"
    before = contents(run)
    done = cli("resume", run)
    assert (done.exit_code, done.stdout) == (0, f"{run}\n")
    assert [row["step"] for row in rows(run, "steps")] == ["1", "2", "3", "4", "5", "6"]
    for path in run.glob("*.csv"):
        assert path.read_bytes().startswith(before[path])
    assert json.loads((run / "status.json").read_text())["state"] == "finished"
    assert cli("report", run).exit_code == 0


def test_what_had_finished_is_left_alone(cli: Cli, old: Path):
    run, sweep = old / "finished", old / "sweep-alpha"
    before = contents(run)
    assert cli("resume", run).exit_code == 0
    assert contents(run) == before
    tables = {name: (sweep / name).read_bytes() for name in ("runs.csv", "summary.csv")}
    runs = {path: data for path, data in contents(sweep).items() if path.parent != sweep}
    assert cli("resume", sweep, "--progress", "none").exit_code == 0
    after = contents(sweep)
    assert {path: after[path] for path in runs} == runs
    assert {name: after[sweep / name] for name in tables} == tables


@pytest.mark.parametrize("command", ["report", "resume"])
@pytest.mark.parametrize("name", ["stopped/run.json", "sweep-alpha/sweep.json"])
def test_a_later_schema_is_refused_and_left_alone(cli: Cli, old: Path, command: str, name: str):
    path = old / name
    later = {**json.loads(path.read_text()), "schema": layout.SCHEMA + 1}
    path.write_text(json.dumps(later))
    before = contents(old)
    done = cli(command, path.parent)
    assert (done.exit_code, done.stdout) == (5, "")
    assert f"{path} has schema {layout.SCHEMA + 1}; this moe-lab reads up to" in done.stderr
    assert done.stderr.endswith("  help: update moe-lab\n")
    assert contents(old) == before
