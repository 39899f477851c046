import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Cli, small

from moe_lab import __version__
from moe_lab.config import load
from moe_lab.store.lock import Lock


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# train


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


# Other commands


def test_version(cli: Cli):
    assert cli("--version").stdout == f"moe-lab {__version__}\n"


def test_help_names_every_command(cli: Cli):
    done = cli("--help")
    assert done.exit_code == 0
    for command in ("train", "resume", "report", "config"):
        assert re.search(rf"(?m)^\s+{command}\s", done.stdout)


def test_config_show_reads_back(cli: Cli, tmp_path: Path):
    (tmp_path / "a.yaml").write_text("moe:\n  alpha: 0.5\n")
    done = cli("config", "show", tmp_path / "a.yaml", "noise=1")
    assert f"  alpha: 0.5  # {tmp_path}/a.yaml:2\n" in done.stdout
    assert "  noise: 1.0  # command line\n" in done.stdout
    assert "  top_k: 1  # default\n" in done.stdout
    (tmp_path / "b.yaml").write_text(done.stdout)
    assert load(tmp_path / "b.yaml").config == load(tmp_path / "a.yaml", ["noise=1"]).config


def test_config_check_says_valid_or_why_not(cli: Cli, tmp_path: Path):
    (tmp_path / "a.yaml").write_text("seed: 1\n")
    done = cli("config", "check", tmp_path / "a.yaml", "warmup=500")
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path}/a.yaml: valid\n")
    assert done.stderr.startswith("warning: 'train.warmup' (500) is longer")
    done = cli("config", "check", tmp_path / "a.yaml", "warmup=-1", "nope=2")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.count("error: ") == 2


def test_config_schema_is_json_schema(cli: Cli):
    schema = json.loads(cli("config", "schema").stdout)
    assert schema["properties"].keys() >= {"name", "seed", "data", "model", "moe", "train"}


def test_a_bug_is_exit_1_and_a_traceback_is_for_debugging(cli: Cli, finished: Path, tmp_path: Path):
    run = shutil.copytree(finished, tmp_path / "run")
    record = json.loads((run / "run.json").read_text())
    del record["data"]["ladder"]
    (run / "run.json").write_text(json.dumps(record))
    done = cli("report", run)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "error: this is a bug in moe-lab: KeyError('ladder')\n"
        "  help: run again with `moe-lab --debug …` for the traceback\n"
    )
    debugged = cli("--debug", "report", run)
    assert isinstance(debugged.exception, KeyError)
    assert "Traceback" in cli("--debug", "report", tmp_path).stderr  # of an error with a name


# report


def test_report_json_has_its_parts(cli: Cli, finished: Path):
    done = cli("report", finished, "--format", "json")
    assert done.exit_code == 0
    shown = json.loads(done.stdout)
    assert cli("report", finished, "--json").stdout == done.stdout
    assert shown["schema"] == 1
    (run,) = shown["runs"]
    assert run.keys() == {
        *("name", "directory", "state", "step", "steps", "verdict", "evidence", "worst_layer"),
        *("loss", "balance", "auxiliary", "throughput", "provenance", "config"),
    }
    assert (run["name"], run["state"], run["step"], run["steps"]) == ("small", "finished", 10, 10)


def test_report_of_a_run_in_progress_is_read_to_its_last_whole_row(cli: Cli, stopped: Path):
    status = json.loads((stopped / "status.json").read_text())
    (stopped / "status.json").write_text(json.dumps({**status, "state": "running"}))
    for path in stopped.glob("*.csv"):
        path.write_bytes(path.read_bytes()[:-3])
    assert cli("report", stopped).stdout.splitlines()[0].endswith("(interrupted, 5 of 10)")
    lock = Lock(stopped)
    done = cli("report", stopped, stopped)
    lock.close()
    assert done.exit_code == 0
    assert "running, 5 of 10" in done.stdout


def test_report_of_what_is_no_run_is_exit_5(cli: Cli, finished: Path, tmp_path: Path):
    done = cli("report", finished, tmp_path)
    assert (done.exit_code, done.stdout) == (5, "")
    assert done.stderr.startswith(f"error: {tmp_path} is not a moe-lab run: ")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def named(finished: Path, tmp_path: Path) -> list[Path]:
    """Two runs with names as long as they may be, in a folder whose name looks like markup."""
    places = [tmp_path / "[red]" / (letter * 64) for letter in "ab"]
    return [shutil.copytree(finished, place) for place in places]


@pytest.mark.parametrize("columns", ["40", "1"])
def test_a_report_off_a_terminal_is_never_cut(
    cli: Cli, named: list[Path], monkeypatch: pytest.MonkeyPatch, columns: str
):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERM", "xterm-256color")
    for directories in (named[:1], named):
        done = cli("report", *directories)
        assert done.exit_code == 0
        assert "…" not in done.stdout
        assert "\x1b" not in done.stdout
        for directory in directories:
            assert directory.name in done.stdout
    assert "dropped in training, worst layer" in done.stdout


def test_what_looks_like_markup_is_shown_as_it_is(cli: Cli, named: list[Path]):
    shown = cli("report", *named, "--format", "json").stdout
    assert [run["directory"] for run in json.loads(shown)["runs"]] == [str(run) for run in named]
    named[0].joinpath("run.json").write_text(
        json.dumps(
            {**json.loads(named[0].joinpath("run.json").read_text()), "command": ["[red]x", "\x1b"]}
        )
    )
    assert "[red]x \\x1b" in cli("report", named[0]).stdout


@pytest.mark.parametrize(
    "arguments",
    [("report", "RUN"), ("report", "RUN", "--format", "json"), ("config", "schema")],
    ids=" ".join,
)
def test_a_reader_that_leaves_early_is_met_with_silence(finished: Path, arguments):
    words = [str(finished) if word == "RUN" else word for word in arguments]
    command = [sys.executable, "-m", "moe_lab", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        child.stdout.close()
        assert child.stderr.read() == b""
    assert child.returncode == 0
