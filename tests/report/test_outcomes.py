"""What runs are compared by: from a summary, stored with a run, and read back at a glance."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, TrainRun, earlier, edit

from moe_lab.errors import ArtefactError
from moe_lab.report.outcomes import OUTCOMES, Glance, glances, outcomes, reached
from moe_lab.store.read import StoredRun


def outcome(**changes: Any) -> dict[str, Any]:
    course = {"start": 7.0, "lowest": 1.5, "lowest_step": 90, "end": 1.6}
    course |= {"onsets": (20, 60), "recoveries": (50,)}
    return outcomes(
        {
            "verdict": "collapsed",
            "worst_layer": 1,
            "loss": {"lm_loss": 3.0, "gap": 0.4, "nmi": 0.1},
            "balance": [
                {"layer": 0, "cv": 0.5},
                {"layer": "mean", "cv": 1.0, "cv_floor": 0.1},
                {"layer": "worst", "cv": 2.0, "max_violation": 5.0, "dead_experts": 0.5}
                | {"dropped": 0.25},
            ],
            "evidence": [{"layer": 0, "lowest": 5.0}, {"layer": 1, **course}],
            "auxiliary": {
                **{"aux_over_lm": 0.02, "lm_loss_fall": 0.04, "balance_fall": 0.05},
                "router_grad_share": {"0": 0.1, "1": 0.3},
            },
            "throughput": {"tokens_per_s": 9.0},
            **changes,
        }
    )


def test_runs_are_compared_by_their_worst_layer():
    assert outcome() == {
        "verdict": "collapsed",
        "worst_layer": 1,
        "n_eff_start": 7.0,
        "n_eff_lowest": 1.5,
        "n_eff_lowest_step": 90,
        "n_eff": 1.6,
        "collapsed_since": 60,
        "lm_loss": 3.0,
        "gap": 0.4,
        "nmi": 0.1,
        "cv": 1.0,
        "cv_worst": 2.0,
        "cv_floor": 0.1,
        "max_violation": 5.0,
        "dead_experts": 0.5,
        "dropped": 0.25,
        "aux_over_lm": 0.02,
        "router_grad_share": 0.3,
        "lm_loss_fall": 0.04,
        "balance_fall": 0.05,
        "tokens_per_s": 9.0,
    }


def test_a_run_without_a_step_has_blanks():
    found = outcome(
        verdict=None,
        worst_layer=None,
        loss={},
        balance=[],
        evidence=[],
        auxiliary=dict.fromkeys(OUTCOMES) | {"router_grad_share": {}},
        throughput={},
    )
    assert found == dict.fromkeys(OUTCOMES)


def test_a_collapse_that_is_over_is_not_one_since_then():
    course = {"layer": 1, "onsets": (20,), "recoveries": (80,)}
    assert outcome(verdict="balanced", evidence=[course])["collapsed_since"] is None


# Stored with a run


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A finished run that may be changed."""
    return Path(shutil.copytree(finished, tmp_path / "copies" / "small"))


def change(run: Path, name: str, **values: Any) -> None:
    edit(run / name, **values)


def glance(run: Path) -> Glance:
    (found,) = glances([run])
    return found


def test_a_finished_run_has_stored_what_its_tables_say(finished: Path):
    assert StoredRun(finished).outcomes == reached(finished)


def test_a_run_of_an_earlier_version_is_read_from_its_tables(finished: Path, copy: Path):
    new, old = glance(finished), glance(earlier(copy))
    assert replace(old, directory=finished) == new
    assert (new.name, new.state, new.step, new.steps, new.seed) == ("small", "finished", 10, 10, 0)


def test_what_a_finished_run_stored_is_not_computed_again(copy: Path):
    stored = reached(copy)
    change(copy, "summary.json", outcomes={**stored, "gap": 77.0})
    assert glance(copy).outcomes == {**stored, "gap": 77.0}


@pytest.mark.parametrize("stored", [None, {"verdict": "collapsed"}])
def test_outcomes_that_are_not_whole_are_computed_from_tables(copy: Path, stored: object):
    change(copy, "summary.json", outcomes=stored)
    assert glance(copy).outcomes == reached(copy)


@pytest.mark.parametrize("stored", [[], "gap", {"gap": "1"}, {"verdict": "fine"}])
def test_outcomes_that_are_none_are_refused(copy: Path, stored: object):
    change(copy, "summary.json", outcomes=stored)
    with pytest.raises(ArtefactError, match=r"summary\.json is corrupt: outcomes"):
        glances([copy])


def test_a_run_that_has_not_finished_is_read_as_far_as_it_is(stopped: Path):
    found = glance(stopped)
    assert (found.state, found.step, found.steps) == ("stopped", 6, 10)
    assert found.outcomes == reached(stopped)
    assert found.outcomes["n_eff_lowest"] is not None


def test_a_corrupt_summary_is_named(copy: Path, cli: Cli):
    (copy / "summary.json").write_text('{"outcomes": ')
    with pytest.raises(ArtefactError, match=r"small/summary\.json is corrupt"):
        glances([copy])
    assert cli("report", copy, copy).exit_code == 5


def test_runs_of_two_versions_do_not_differ_by_that(train_run: TrainRun, tmp_path: Path, cli: Cli):
    extra = "extra=[{name: router_z, weight: 0.001}]"
    run = train_run("steps=1", "moe_layers=[1]", extra)
    old = earlier(Path(shutil.copytree(run, tmp_path / "old")))
    for form in ("md", "json"):
        done = cli("report", run, old, "--format", form)
        assert done.exit_code == 0, done.stderr
    configs = [found["config"] for found in json.loads(done.stdout)["runs"]]
    assert json.dumps(configs[0]) == json.dumps(configs[1])
    table = cli("report", run, old, "--format", "md").stdout
    cells = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("|")][2:]
    assert all(first == second for _, first, second in cells)
    assert "moe.extra" not in table


READ = """
import os, sys
from pathlib import Path

runs, opened = Path(sys.argv[1]), []
names = {path.name for path in runs.glob("*/*") if path.is_file()}

def note(event, arguments):
    if event == "open" and str(arguments[0]) in names:  # relative to the run's folder
        opened.append(arguments[0])

sys.addaudithook(note)
from moe_lab.cli import app

app(["report", *map(str, sorted(runs.iterdir()))], standalone_mode=False)
loaded = {"torch", "pandas", "scipy"} & sys.modules.keys()
print(*sorted(loaded), "|", *sorted(set(opened)))
"""


@pytest.mark.parametrize("number", [3, 8])
def test_finished_runs_are_reported_from_three_small_files_each_without_torch_and_pandas(
    finished: Path, tmp_path: Path, number: int
):
    for i in range(number):
        run = shutil.copytree(finished, tmp_path / "runs" / f"run-{i}")
        config = StoredRun(finished).config
        change(run, "run.json", config={**config, "moe": {**config["moe"], "alpha": float(i)}})
    done = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path / "runs")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"run-{number - 1}" in done.stdout
    assert done.stdout.splitlines()[-1] == "| run.json status.json summary.json"
