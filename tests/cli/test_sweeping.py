import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import BuildModel, Cli, results, small

from moe_lab.config import load
from moe_lab.store.sweep import StoredSweep

from .conftest import COMMAND, RUN, SWEEP, Made


def contents(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


# What is printed and written


def test_a_sweep_prints_its_table_and_its_directory_last(made: Made):
    lines = made.out.splitlines()
    assert lines[0] == "sweep-alpha: 2 points x 2 seeds on collapse, 4 finished"
    assert lines[-1] == str(made.directory)
    assert all(re.match(r"sweep-alpha  0 of|\d of 4 runs", line) for line in made.err.splitlines())


def test_each_run_is_an_ordinary_run(cli: Cli, made: Made):
    runs = {path.parent.name for path in made.directory.glob("*/summary.json")}
    assert runs == {f"alpha-{alpha}-s{seed}" for alpha in ("0", "0.1") for seed in (0, 1)}
    assert "finished, 10 of 10" in cli("report", made.directory / RUN).stdout
    assert cli("check", made.directory / RUN, "--fail-on", "cv > 1000").exit_code == 0


def test_the_tables_beside_the_runs_are_those_of_the_report(cli: Cli, made: Made):
    report = cli("report", made.directory, "--format", "csv").stdout_bytes
    assert (made.directory / "summary.csv").read_bytes() == report
    header, *rows = (made.directory / "runs.csv").read_text().splitlines()
    assert header.startswith("run,moe.alpha,seed,state,error,verdict,")
    assert [row.split(",")[0] for row in rows] == [
        *("alpha-0-s0", "alpha-0.1-s0", "alpha-0-s1", "alpha-0.1-s1")
    ]


def test_progress_can_be_objects_or_nothing(cli: Cli, copied: Path):
    command = (*COMMAND, "--runs-dir", copied.parent, "--progress")
    assert cli(*command, "none").stderr == ""
    (event,) = map(json.loads, cli(*command, "json").stderr.splitlines())
    assert event == {"event": "start", "sweep": SWEEP, "runs": 4, "finished": 4}


# Again


def test_the_same_command_again_begins_nothing_and_prints_the_same(
    cli: Cli, made: Made, copied: Path
):
    before = contents(copied)
    done = cli(*COMMAND, "--runs-dir", copied.parent)
    assert (done.exit_code, done.stdout) == (0, f"{made.table}{copied}\n")
    assert done.stderr == "sweep-alpha  4 of 4 runs finished\n"
    resumed = cli("resume", copied)
    assert (resumed.exit_code, resumed.stdout) == (0, done.stdout)
    changed = {path.name for path, data in contents(copied).items() if before.get(path) != data}
    assert changed == {"events.jsonl"}


def test_what_is_missing_is_made_to_the_same_bytes(cli: Cli, made: Made, copied: Path):
    shutil.rmtree(copied / RUN)
    assert "not finished: 1 pending" in cli("report", copied).stdout
    assert re.search(r"(?m)^ sweep-alpha +unfinished +3/4 runs ", cli("ls", copied.parent).stdout)
    done = cli("resume", copied, "--jobs", "1")
    assert (done.exit_code, done.stdout) == (0, f"{made.table}{copied}\n")
    assert results(copied / RUN) == results(made.directory / RUN)


def test_a_failed_run_is_exit_7_until_it_is_tried_again(cli: Cli, made: Made, copied: Path):
    shutil.rmtree(copied / RUN)
    sweep = StoredSweep(copied)
    sweep.fail(sweep.plan.runs[-1], "error: no memory\nTraceback")
    failed = cli(*COMMAND, "--runs-dir", copied.parent)
    assert failed.exit_code == 7
    assert failed.stdout.splitlines()[-1] == str(copied)
    assert f"{RUN}: error: no memory\n" in failed.stdout
    assert "Traceback" not in failed.stdout
    assert failed.stderr.endswith(
        f"runs failed; try them again with: moe-lab resume {copied} --retry-failed\n"
    )
    again = cli("resume", copied, "--retry-failed")
    assert (again.exit_code, again.stdout) == (0, f"{made.table}{copied}\n")


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        (("sweep", "alpha=0,0.2", "--seeds", "2", *small()), "moe.alpha: 0 0.1 there, 0 0.2 here"),
        (("sweep", "alpha=0,0.1", "--seeds", "3", *small()), "seeds: 0 1 there, 0 1 2 here"),
        ((*COMMAND[:4], *small("steps=11")), "train.steps: 10 there, 11 here"),
        ((*COMMAND, "--rule"), "rule: no there, yes here"),
    ],
)
def test_another_plan_under_the_name_is_refused_and_shown(
    cli: Cli, copied: Path, changes: tuple[str, ...], difference: str
):
    before = contents(copied.parent)
    done = cli(*changes, "--runs-dir", copied.parent)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: {copied} is a sweep with another plan:\n  {difference}\n"
        f"  help: choose another --name, or go on with the old one: moe-lab resume {copied}\n"
    )
    assert contents(copied.parent) == before


@pytest.mark.parametrize("taken", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_a_name_of_what_is_no_sweep_is_refused(
    cli: Cli, tmp_path: Path, taken: Callable[[Path], None]
):
    taken(tmp_path / "mine")
    done = cli(*COMMAND, "--name", "mine", "--runs-dir", tmp_path)
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"error: {tmp_path}/mine exists and is no sweep" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_sweep_lies_where_the_option_or_the_environment_says(
    cli: Cli, copied: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MOE_LAB_RUNS", str(copied.parent))
    assert cli(*COMMAND).stdout.endswith(f"\n{copied}\n")
    monkeypatch.setenv("MOE_LAB_RUNS", str(copied.parent / "elsewhere"))
    assert cli(*COMMAND, "--runs-dir", copied.parent).stdout.endswith(f"\n{copied}\n")
    assert not (copied.parent / "elsewhere").exists()


# Before anything runs


def test_a_dry_run_shows_what_it_would_take_and_writes_nothing(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build_model: BuildModel
):
    monkeypatch.chdir(tmp_path)
    done = cli(*COMMAND, "--dry-run")
    assert done.exit_code == 0, done.stderr
    parameters = sum(parameter.numel() for parameter in build_model().parameters())
    for point, alpha in (("alpha-0", "0"), ("alpha-0.1", "0.1")):  # 10 steps x 4 x 16 tokens
        row = rf"(?m)^ {point} +{alpha} +{parameters:,} +640 +[\d.e-]+ $"
        assert re.search(row, done.stdout), done.stdout
    assert "4 runs, 2,560 tokens" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_is_driven_by_one_process_of_torchrun(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    done = cli("sweep", "alpha", "--runs-dir", tmp_path / "runs")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "torchrun has started several" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_over_sources_has_no_column_for_what_a_source_brings(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    settings = ("steps=2", "warmup=1", "tokens=64", "batch_size=1", "d_model=16", "d_expert=16")
    done = cli("sweep", "data.source=domains,clusters", *settings, "--seeds", "1", "--dry-run")
    assert done.exit_code == 0, done.stderr
    assert "2 points x 1 seed on collapse" in done.stdout
    for source in ("domains", "clusters"):  # 2 steps x 1 x 64 tokens
        row = rf"(?m)^ source-{source} +{source} +[\d,]+ +128 +[\d.e-]+ $"
        assert re.search(row, done.stdout), done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("alpha", "--jobs", "9999"), "--jobs 9999: at train.threads 1 that takes 9999 cores"),
        (("alpha", "--jobs", "0"), "--jobs 0: expected auto or a number from 1"),
        (("alpha", "--jobs", "x"), "--jobs x: expected auto or a number from 1"),
        (("alpha", "--launcher", "spark"), "there is no such launcher"),
        (("alpha", "--launcher", "spark"), "help: one of local, "),
        (("alpha", "--launcher-opt", "nodes=2"), "--launcher local has no option 'nodes'"),
        (("alpha", "--launcher-opt", "nodes=2"), "help: local has none"),
        (("alpha", "--address", "auto"), "--launcher local has no option 'address'"),
        (("alhpa",), "did you mean 'alpha'? axes with a default grid: alpha, "),
        (("alpha", "--seeds", "99"), "5 points × 99 seeds are 495 runs; the limit is 200"),
        (("alpha", "--max-runs", "14"), "allow so many: --max-runs 15"),
        (("alpha=0,-1",), "point alpha=-1: 'moe.alpha': -1 is outside"),
        (("alpha", "--seeds", "0,0"), "seeds: 0 is given twice"),
        (("alpha", "balance=loss_free"), "it has no loss to be weighed"),
        (("noise", "--rule"), "the tuning rule moves alpha alone"),
        (("nowhere.yaml",), "nowhere.yaml"),
        (("alpha", "--config", "nowhere.yaml"), "config not found: nowhere.yaml"),
        (("alpha", "--name", "../x"), "'name'"),
    ],
)
def test_what_cannot_be_swept_is_refused_before_anything_is_written(
    cli: Cli, tmp_path: Path, arguments: tuple[str, ...], message: str
):
    done = cli("sweep", *arguments, "--runs-dir", tmp_path / "runs")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


FILE = """\
name: both
base: base.yaml
axes: {alpha: [0, 0.1]}
set: {steps: 2}
seeds: [5]
"""


def test_a_sweep_file_names_all_that_its_sweep_is(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "base.yaml").write_text(load(None, small("name=mine")).dump())
    (folder / "sweep.yaml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    done = cli("sweep", "elsewhere/sweep.yaml", "--runs-dir", "runs")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "both: 2 points x 1 seed on mine, 2 finished"
    assert lines[-1] == "runs/both"
    found = json.loads(cli("report", "runs/both", "--json").stdout)
    assert (found["seeds"], found["facts"]["train.steps"]) == ([5], 2)


def test_a_sweep_out_of_time_exits_75_and_says_how_to_go_on(cli: Cli, tmp_path: Path):
    command = ("sweep", "alpha=0,0.1", "--seeds", "1", *small("steps=100000"), "--max-minutes", "0")
    done = cli(*command, "--runs-dir", tmp_path)
    assert done.exit_code == 75, done.stderr
    going_on = f"moe-lab resume {tmp_path / SWEEP}"
    assert done.stderr.endswith(
        f"max-minutes: runs are being saved\nstopped; go on with: {going_on}\n"
    )
    assert done.stdout.endswith(f"\n{tmp_path / SWEEP}\n")
    again = cli("resume", tmp_path / SWEEP, "--max-minutes", "0", "--fail-fast", "--retries", "0")
    assert again.exit_code == 75


# A stop before the first run


@pytest.mark.slow
def test_ctrl_c_while_workers_start_ends_without_a_traceback(tmp_path: Path):
    command = [sys.executable, "-m", "moe_lab", "sweep", "alpha", "--progress", "live"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as driver:
        while not (tmp_path / "runs" / SWEEP / "events.jsonl").exists():
            time.sleep(0.05)
        time.sleep(0.5)  # the server of processes is importing torch
        os.killpg(driver.pid, signal.SIGINT)  # as a terminal sends it: to all of them
        out, err = driver.communicate()
    assert driver.returncode == 130
    assert "Traceback" not in err
    assert err.endswith("stopped; go on with: moe-lab resume runs/sweep-alpha\n")
    assert out.endswith("\nruns/sweep-alpha\n")
