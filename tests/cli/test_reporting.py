import csv
import io
import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import Cli, TrainRun, edit

from moe_lab.store.lock import Lock


def test_report_json_has_its_parts(cli: Cli, finished: Path):
    done = cli("report", finished, "--format", "json")
    assert done.exit_code == 0
    shown = json.loads(done.stdout)
    assert cli("report", finished, "--json").stdout == done.stdout
    assert shown["schema"] == 1
    (run,) = shown["runs"]
    assert run.keys() == {
        *("name", "directory", "state", "step", "steps", "verdict", "evidence", "worst_layer"),
        *("loss", "references", "rho", "floors", "balance", "router", "stability"),
        *("auxiliary", "throughput", "provenance", "config"),
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
    edit(named[0] / "run.json", command=["[red]x", "\x1b"])
    assert "[red]x \\x1b" in cli("report", named[0]).stdout


# Formats


def test_a_report_as_csv_is_one_long_table_that_reads_back(cli: Cli, finished: Path):
    done = cli("report", finished, finished, "--format", "csv")
    assert done.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(done.stdout, newline="")))
    assert list(rows[0]) == ["run", "section", "name", "layer", "value"]
    (run, _) = json.loads(cli("report", finished, finished, "--json").stdout)["runs"]
    half = rows[: len(rows) // 2]
    assert rows[len(half) :] == half
    values = {(row["section"], row["name"], row["layer"]): row["value"] for row in half}
    assert len(values) == len(half)
    assert {row["run"] for row in rows} == {str(finished)}
    assert float(values["loss", "lm_loss", ""]) == run["loss"]["lm_loss"]
    assert float(values["balance", "cv", "1"]) == run["balance"][1]["cv"]
    assert values["config", "moe.alpha", ""] == "0.01"


def test_a_report_as_markdown_has_tables(cli: Cli, finished: Path):
    one = cli("report", finished, "--format", "md").stdout.splitlines()
    assert one[0].startswith("### small: ")
    assert "| balance per layer | 0 | 1 | mean | worst | floor |" in one
    several = cli("report", finished, finished, "--format", "md").stdout.splitlines()
    assert several[:2] == ["|  | small | small |", "| --- | ---: | ---: |"]


def test_a_model_without_experts_is_reported(cli: Cli, train_run: TrainRun):
    run = train_run("steps=2", "moe_layers=none")
    done = cli("report", run)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("run: -  (finished, 2 of 2)\n")
    for form in ("md", "csv", "json"):
        assert cli("report", run, "--format", form).exit_code == 0
    assert cli("report", run, run).exit_code == 0
    assert re.search(r"(?m)^ run +finished +2/2 +- ", cli("ls", run.parent).stdout)
