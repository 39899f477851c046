import json
import shutil
from pathlib import Path

import pytest
from conftest import Cli


@pytest.fixture
def runs(finished: Path, stopped: Path, tmp_path: Path) -> Path:
    """A finished run, a newer one that was stopped, and what else lies in such a folder."""
    folder = tmp_path / "runs"
    shutil.copytree(finished, folder / "old")
    shutil.copytree(stopped, folder / "new")
    shutil.copytree(finished, folder / ".staging-abc")
    (folder / "notes").mkdir()
    (folder / "README.md").write_text("mine")
    shutil.copytree(finished, folder / "torn")
    (folder / "torn" / "status.json").write_text('{"schema": 1, "sta')
    return folder


def test_runs_are_listed_newest_first_with_their_numbers(cli: Cli, runs: Path, finished: Path):
    done = cli("ls", runs, "--json")
    assert done.exit_code == 0
    listed = json.loads(done.stdout)["runs"]
    assert [entry["name"] for entry in listed if not entry["reason"]] == ["new", "old"]
    new, old = listed[:2]
    assert (new["state"], new["step"], new["steps"], new["verdict"]) == ("stopped", 6, 10, None)
    assert (old["state"], old["step"], old["steps"]) == ("finished", 10, 10)
    assert old["verdict"] in ("balanced", "skewed")
    last = (finished / "eval.csv").read_text().splitlines()[-1].split(",")
    assert (old["lm_loss"], old["gap"]) == (float(last[1]), float(last[2]))


def test_what_is_no_run_is_named_with_the_reason(cli: Cli, runs: Path):
    done = cli("ls", runs)
    assert (done.exit_code, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()[3:5]] == ["new", "old"]
    assert f"notes: {runs}/notes is not a moe-lab run: " in done.stdout
    assert f"torn: {runs}/torn/status.json is corrupt: " in done.stdout
    assert ".staging" not in done.stdout
    assert "README" not in done.stdout


def test_the_folder_is_an_argument_an_option_or_the_environment(
    cli: Cli, runs: Path, monkeypatch: pytest.MonkeyPatch
):
    listed = cli("ls", runs, "--json").stdout
    assert cli("ls", "--runs-dir", runs, "--json").stdout == listed
    monkeypatch.setenv("MOE_LAB_RUNS", str(runs))
    assert cli("ls", "--json").stdout == listed


def test_an_empty_folder_has_no_runs(cli: Cli, tmp_path: Path):
    assert cli("ls", tmp_path).stdout == "no runs\n"
    assert json.loads(cli("ls", tmp_path, "--json").stdout) == {"schema": 1, "runs": []}


def test_a_folder_that_is_not_there_is_refused(cli: Cli, tmp_path: Path):
    done = cli("ls", tmp_path / "nowhere")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: cannot list {tmp_path}/nowhere: No such file or directory\n"
        "  help: train a run first, or name the folder: moe-lab ls DIR\n"
    )
