import json
import re
from pathlib import Path

from conftest import Cli

from .conftest import RUN, SWEEP, Made


def test_a_report_says_what_the_sweep_printed_wherever_it_lies(cli: Cli, made: Made, copied: Path):
    for form in ("table", "md", "csv", "json"):
        here = cli("report", made.directory, "--format", form)
        assert (here.exit_code, here.stderr) == (0, "")
        assert cli("report", copied, "--format", form).stdout == here.stdout
    assert cli("report", copied).stdout == made.table


def test_a_report_as_json_has_points_and_runs(cli: Cli, made: Made):
    found = json.loads(cli("report", made.directory, "--json", "--margin", "0.5").stdout)
    assert (found["schema"], found["name"], found["margin"]) == (1, SWEEP, 0.5)
    assert [(point["point"], point["n"]) for point in found["points"]] == [
        *(("alpha-0", 2), ("alpha-0.1", 2))
    ]
    assert [run["state"] for run in found["runs"]] == ["finished"] * 4


def test_the_margin_decides_what_is_equivalent(cli: Cli, made: Made):
    assert "equivalent within 1000 nats" in cli("report", made.directory, "--margin", "1000").stdout
    assert "equivalent" not in cli("report", made.directory, "--margin", "1e-9").stdout
    for wrong in ("0", "nan", "inf", "-1"):
        assert cli("report", made.directory, "--margin", wrong, "--json").exit_code == 2


def test_times_are_shown_only_when_asked_for(cli: Cli, made: Made):
    for form in ("table", "md", "csv", "json"):
        command = ("report", made.directory, "--format", form)
        assert not re.search(r"tokens_per_s\b", cli(*command).stdout)
        assert re.search(r"tokens_per_s\b", cli(*command, "--times").stdout)


def test_a_report_as_markdown_has_a_heading_and_a_table(cli: Cli, made: Made):
    lines = cli("report", made.directory, "--format", "md").stdout.splitlines()
    assert lines[0] == "### sweep-alpha: 2 points x 2 seeds on collapse, 4 finished"
    assert [line for line in lines if line.startswith("|")][1].startswith("| --- | ---: |")


def test_a_sweep_is_reported_by_itself(cli: Cli, made: Made):
    for other in (made.directory, made.directory / RUN):
        done = cli("report", made.directory, other)
        assert (done.exit_code, done.stdout) == (2, "")
        assert "error: a sweep is reported by itself" in done.stderr


def test_a_sweep_is_listed_with_its_runs_counted(cli: Cli, made: Made):
    done = cli("ls", made.directory.parent)
    assert re.search(r"(?m)^ sweep-alpha +finished +4/4 runs ", done.stdout)
    (entry,) = json.loads(cli("ls", made.directory.parent, "--json").stdout)["runs"]
    assert (entry["step"], entry["steps"], entry["counted"]) == (4, 4, "runs")
    assert len(json.loads(cli("ls", made.directory, "--json").stdout)["runs"]) == 4


def test_a_gate_on_a_sweep_names_a_run_of_it(cli: Cli, made: Made):
    for command in (
        ("check", made.directory),
        ("check", made.directory / RUN, "--baseline", made.directory),
    ):
        done = cli(*command, "--fail-on", "cv > baseline" if len(command) > 2 else "collapse")
        assert (done.exit_code, done.stdout) == (5, "")
        assert done.stderr == (
            f"error: {made.directory} is a sweep, not a run\n"
            f"  help: name one of its runs, such as {made.directory}/alpha-0-s0\n"
        )


def test_a_damaged_run_is_a_failed_one_and_hides_no_other(cli: Cli, copied: Path):
    (copied / RUN / "run.json").write_text("{")
    done = cli("report", copied)
    assert done.exit_code == 0
    assert "3 finished, 1 failed" in done.stdout
    assert re.search(rf"(?m)^  {RUN}: .*run.json is corrupt", done.stdout)
