import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Cli, MakeSweep, small


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_train_prints_the_runs_path_and_nothing_else_on_stdout(cli: Cli, tmp_path: Path):
    done = cli("train", *small("steps=2"), "--runs-dir", tmp_path)
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path}/run\n")
    assert done.stderr == f"{tmp_path}/run  steps 0/2\n"


def test_runs_go_where_they_are_asked_to(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MOE_LAB_RUNS", raising=False)
    assert cli("train", *small("steps=1")).stdout == "runs/run\n"
    monkeypatch.setenv("MOE_LAB_RUNS", "elsewhere")
    assert cli("train", *small("steps=1")).stdout == "elsewhere/run\n"
    assert cli("train", *small("steps=1"), "--runs-dir", "here").stdout == "here/run\n"


def test_a_taken_name_gets_the_next_number(cli: Cli, tmp_path: Path):
    (tmp_path / "a.yaml").write_text("name: mine\n")
    command = ("train", tmp_path / "a.yaml", *small("steps=1"), "--runs-dir", tmp_path / "runs")
    paths = [cli(*command).stdout for _ in range(3)]
    assert paths == [f"{tmp_path}/runs/{name}\n" for name in ("mine", "mine-2", "mine-3")]


@pytest.mark.parametrize("named", [("--name", "mine"), ("name=mine",)])
def test_a_name_that_was_asked_for_is_taken_or_refused(cli: Cli, tmp_path: Path, named):
    command = ("train", *small("steps=2"), *named, "--runs-dir", tmp_path)
    assert cli(*command).stdout == f"{tmp_path}/mine\n"
    before = listing(tmp_path)
    done = cli(*command)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: {tmp_path}/mine already exists\n"
        f"  help: choose another --name, or go on with it: moe-lab resume {tmp_path}/mine\n"
    )
    assert listing(tmp_path) == before


def test_warnings_do_not_stop_a_run(cli: Cli, tmp_path: Path):
    done = cli("train", *small("steps=1", "warmup=5"), "--runs-dir", tmp_path)
    assert done.exit_code == 0
    assert done.stderr.startswith("warning: 'train.warmup' (5) is longer than 'train.steps' (1)")


WITHOUT_TORCH = """
import sys
from moe_lab.cli import app
try:
    app(sys.argv[1:])
except SystemExit as end:
    print(end.code, "torch" in sys.modules)
"""


def test_a_place_that_cannot_be_written_is_refused_before_torch_is_imported(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"mine")
    command = [sys.executable, "-c", WITHOUT_TORCH, "train", "steps=1", "--runs-dir"]
    done = subprocess.run([*command, tmp_path / "file" / "runs"], capture_output=True, text=True)
    assert done.stdout == "4 False\n"
    assert f"error: cannot write {tmp_path}/file" in done.stderr
    assert listing(tmp_path) == ["file"]


def test_a_run_whose_time_is_over_is_exit_75_and_resume_has_a_limit_too(cli: Cli, tmp_path: Path):
    train = ("train", *small("steps=2"), "--runs-dir", tmp_path)
    for command in (train, ("resume", tmp_path / "run")):
        done = cli(*command, "--max-minutes", "0")
        assert (done.exit_code, done.stdout) == (75, f"{tmp_path}/run\n")
        advice = f"at --max-minutes; go on with: moe-lab resume {tmp_path}/run"
        assert done.stderr.splitlines()[-1] == f"stopped after step 0 {advice}"
    assert cli("resume", tmp_path / "run").exit_code == 0


def test_references_are_left_out_when_the_time_is_over(cli: Cli, tmp_path: Path):
    command = ("train", *small("steps=1"), "--runs-dir", tmp_path, "--references")
    assert cli(*command, "--max-minutes", "0").exit_code == 75
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_settings_of_a_sweep_cannot_be_changed_when_it_goes_on(cli: Cli, make_sweep: MakeSweep):
    directory = make_sweep([{"moe.alpha": 0.1}]).directory
    done = cli("resume", directory, "steps=20")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: {directory} is a sweep, which goes on as it was planned\n"
        "  help: leave out steps=20\n"
    )


# What is shown meanwhile


def test_progress_as_json_is_on_stderr(cli: Cli, tmp_path: Path):
    done = cli("train", *small("steps=2"), "--runs-dir", tmp_path, "--progress", "json")
    assert done.stdout == f"{tmp_path}/run\n"
    events = [json.loads(line) for line in done.stderr.splitlines()]
    told = [event["event"] for event in events]
    assert told == ["start", "evaluated", "step", "evaluated", "step"]
    assert events[0]["run"] == f"{tmp_path}/run"


def test_progress_can_be_switched_off(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    command = ("train", *small("steps=2"), "--runs-dir", tmp_path)
    assert cli(*command, "--progress", "none").stderr == ""
    monkeypatch.setenv("MOE_LAB_PROGRESS", "none")
    assert cli(*command).stderr == ""
    refused = cli(*command, "--progress", "loud")
    assert (refused.exit_code, refused.stdout) == (2, "")


# The gate at the end


def test_a_training_that_passes_its_gate_is_exit_0(cli: Cli, tmp_path: Path):
    rules = ("--fail-on", "cv > 1000", "--fail-on", "lm_loss < 0")
    done = cli("train", *small("steps=2"), "--runs-dir", tmp_path, *rules)
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path}/run\n")
    assert f"gate passed: {tmp_path}/run (finished)\n" in done.stderr
    assert "cv > 1000" in done.stderr


def test_a_training_that_fails_its_gate_is_exit_3_with_its_path_last(cli: Cli, tmp_path: Path):
    done = cli("train", *small("steps=2"), "--runs-dir", tmp_path, "--fail-on", "cv >= 0")
    assert (done.exit_code, done.stdout) == (3, f"{tmp_path}/run\n")
    assert "gate FAILED" in done.stderr


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("cv >", "expected a number or baseline; the rule ends here"),
        ("cw > 1", "there is no column 'cw' in the last evaluation"),
        ("cv > baseline", "the limit is that of a baseline, and none was given"),
    ],
)
def test_a_rule_that_cannot_hold_is_refused_before_training(cli, tmp_path: Path, rule, message):
    runs = tmp_path / "runs"
    done = cli("train", *small(), "--runs-dir", runs, "--fail-on", rule)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {message}\n  --> command line:1:")
    assert not runs.exists()


def test_columns_named_after_domains_are_known_only_afterwards(cli: Cli, tmp_path: Path):
    command = ("train", *small("steps=2"), "--runs-dir", tmp_path)
    assert cli(*command, "--fail-on", "domain_1_loss > 1000").exit_code == 0
    done = cli(*command, "--fail-on", "domain_7_loss > 1000")
    assert (done.exit_code, done.stdout) == (2, f"{tmp_path}/run-2\n")
    assert "there is no column 'domain_7_loss' in the last evaluation" in done.stderr


def test_a_run_that_diverged_is_exit_6_whatever_its_gate(cli: Cli, tmp_path: Path):
    explodes = ("lr=10", "weight_decay=1000", "warmup=0", "grad_clip=null", "lr_schedule=constant")
    done = cli(
        "train", *small("steps=30", *explodes), "--runs-dir", tmp_path, "--fail-on", "cv > 1000"
    )
    assert done.exit_code == 6
    checked = cli("check", tmp_path / "run", "--fail-on", "cv > 1000")
    assert checked.exit_code == 3
    assert f"gate FAILED: {tmp_path}/run (diverged)" in checked.stdout
