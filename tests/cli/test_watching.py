import json
import shutil
from pathlib import Path

from conftest import Cli

from .conftest import Made


def test_a_finished_run_is_shown_and_left(cli: Cli, finished: Path):
    done = cli("watch", finished)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "step 10/10  100%" in done.stdout
    assert done.stdout.endswith(f"{finished} is finished\n")
    assert cli("watch", finished, "--once").stdout == done.stdout


def test_a_finished_sweep_is_shown_and_left(cli: Cli, made: Made):
    done = cli("watch", made.directory)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("sweep-alpha  4 of 4 finished  100%\n")
    assert done.stdout.endswith(f"{made.directory} is finished\n")


def test_a_stopped_run_is_no_failure_of_the_watch(cli: Cli, stopped: Path):
    done = cli("watch", stopped, "--progress", "none")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.endswith(f"go on with: moe-lab resume {stopped}\n")


def test_json_goes_to_stderr(cli: Cli, finished: Path):
    done = cli("watch", finished, "--progress", "json")
    assert (done.exit_code, done.stdout) == (0, "")
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == [
        *("start", "step", "message"),
    ]


def test_what_is_no_run_is_exit_5(cli: Cli, tmp_path: Path, finished: Path):
    done = cli("watch", tmp_path / "nowhere")
    assert (done.exit_code, done.stdout) == (5, "")
    assert done.stderr.startswith(f"error: {tmp_path}/nowhere is not a moe-lab run")
    holds = cli("watch", finished.parent)
    assert holds.exit_code == 5
    assert f"it holds runs: moe-lab ls {finished.parent}" in holds.stderr


def test_a_damaged_run_is_exit_5_with_its_line(cli: Cli, finished: Path, tmp_path: Path):
    run = shutil.copytree(finished, tmp_path / "run")
    path = run / "steps.csv"
    path.write_bytes(path.read_bytes() + b"11,1,1\n12,1,1\n")
    done = cli("watch", run)
    assert done.exit_code == 5
    assert f"{path}:12:1" in done.stderr
    assert "row with 3 fields" in done.stderr
