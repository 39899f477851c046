import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import Cli, small

from moe_lab import __version__
from moe_lab.config import load
from moe_lab.store.lock import Lock


def imported(*arguments: object) -> tuple[int, set[str]]:
    """Exit code of the command, and which of the slow packages it has imported."""
    code = (
        "import sys\nfrom moe_lab.cli import app\n"
        "try:\n    app()\nexcept SystemExit as end:\n"
        "    print(end.code or 0, *(p for p in ('torch', 'pandas', 'scipy') if p in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True
    )
    exit_code, *packages = done.stdout.splitlines()[-1].split()
    return int(exit_code), set(packages)


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


# What is refused


REFUSED = [
    ("moe: {alpah: 1}", [], "bad.yaml:1:7", "unknown config key 'moe.alpah'"),
    ("moe: {alpha: 1}", ["alpah=1"], "command line: alpah=1", "unknown config key 'alpah'"),
    ("moe: {alpha: high}", [], "bad.yaml:1:14", "'moe.alpha': expected a number"),
    ("moe: {alpha: -1}", [], "bad.yaml:1:14", "'moe.alpha'"),
    ("moe: {top_k: 2.0}", [], "bad.yaml:1:14", "'moe.top_k': expected an integer"),
    ("moe: {top_k: 9}", [], "bad.yaml:1:7", "'moe.top_k' (9) must not exceed"),
    ("seed: 0", ["top_k=9"], "command line: top_k=9", "'moe.top_k' (9) must not exceed"),
    ("moe: {init_std: 0}", [], "bad.yaml:1:7", "ties on every token"),
    ("seed: 0", ["renormalize=true"], "command line: renormalize=true", "gives the router no"),
    ("moe: {capacity_factor: 0}", [], "bad.yaml:1:24", "'moe.capacity_factor'"),
    ("model: {d_expert: 20}", [], "bad.yaml:1:9", "is not a multiple of 8"),
    ("model: {moe_layers: [2]}", [], "bad.yaml:1:9", "names block 2"),
    ("", [], "bad.yaml", "the file is empty"),
    ("seed: 1\nseed: 2", [], "bad.yaml:2:1", "seed"),
    ("name: a/b", [], "bad.yaml:1:7", "'name'"),
    ("seed: 0", ["--name", "../x"], "command line: name=../x", "'name'"),
    ("data: {source: text}", [], "bad.yaml:1:1", "path"),
    ("data: {source: text, path: nowhere.txt}", [], "bad.yaml:1:22", "no such file: "),
    ("data: {source: text, path: empty.txt}", [], "bad.yaml:1:22", "is empty"),
    ("data: {source: text, path: short.txt}", [], "bad.yaml:1:22", "has 129 bytes"),
    ("data: {source: text, path: .}", [], "bad.yaml:1:22", "is a folder"),
    (None, [], "bad.yaml", "config not found"),
]


@pytest.mark.parametrize(("text", "extra", "place", "message"), REFUSED)
def test_bad_input_is_located_and_writes_nothing(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text, extra, place, message
):
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").touch()
    Path("short.txt").write_bytes(b"x" * 129)  # two windows of 64 + 1 need 130
    if text is not None:
        Path("bad.yaml").write_text(text)
    shutil.copytree(Path(__file__).parent / "store", "runs/old")
    before = listing(tmp_path)
    done = cli("train", "bad.yaml", *extra)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert re.search(rf"(?m){re.escape(place)}(:|$)", done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert listing(tmp_path) == before


@pytest.mark.parametrize(("inside", "why"), [(".", "File exists"), ("deeper", "Not a directory")])
def test_a_runs_folder_that_cannot_be_made_is_exit_4(cli: Cli, tmp_path: Path, inside, why):
    (tmp_path / "file").write_text("mine")
    done = cli("train", *small(), "--runs-dir", tmp_path / "file" / inside)
    assert (done.exit_code, done.stdout) == (4, "")
    assert done.stderr.startswith(f"error: cannot write {tmp_path}/file")
    assert why in done.stderr
    assert done.stderr.endswith("  help: choose another place with --runs-dir\n")
    assert listing(tmp_path) == ["file"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA GPU here")
def test_cuda_without_cuda_is_refused(cli: Cli, tmp_path: Path):
    (tmp_path / "a.yaml").write_text("train:\n  device: cuda\n")
    done = cli("train", tmp_path / "a.yaml", "--runs-dir", tmp_path / "runs")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "finds no CUDA GPU here" in done.stderr
    assert f"  --> {tmp_path}/a.yaml:2:3\n" in done.stderr
    assert "  help: use train.device=cpu, or install a CUDA build" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_two_config_files_are_refused(cli: Cli):
    done = cli("train", "a.yaml", "b.yaml")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        "error: two config files were given: a.yaml and b.yaml\n"
        "  help: give one file; settings are written key=value\n"
    )


@pytest.mark.parametrize("arguments", [("bogus",), ("train", "--bogus"), ("report",), ("resume",)])
def test_wrong_usage_is_exit_2(cli: Cli, arguments):
    done = cli(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Usage: " in done.stderr


# What is imported


def test_help_and_config_import_neither_torch_nor_pandas(tmp_path: Path):
    for arguments in (("--help",), ("train", "--help"), ("config", "show"), ("config", "schema")):
        assert imported(*arguments) == (0, set()), arguments


def test_errors_import_neither_torch_nor_pandas(tmp_path: Path):
    (tmp_path / "bad.yaml").write_text("nope: 1\ntrain: {steps: many}\n")
    assert imported("train", tmp_path / "bad.yaml") == (2, set())
    assert imported("train", "top_k=99") == (2, set())
    assert imported("train", "source=text", f"path={tmp_path}/nowhere") == (2, set())
    assert imported("report", tmp_path) == (5, set())


def test_report_imports_no_torch(finished: Path):
    assert imported("report", finished) == (0, {"pandas"})
    assert imported("report", finished, "--format", "json") == (0, {"pandas"})


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
