"""What is written: the run of a loop that is not ours, however it ends."""

import json

import pytest
import torch
from conftest import rows

from moe_lab.errors import ConfigError
from moe_lab.frames import load_run
from moe_lab.monitor import RouterMonitor
from moe_lab.report.outcomes import reached

from .conftest import record, tokens


def evaluate_nothing(monitor: RouterMonitor) -> None:
    with monitor.evaluation():
        pass


def test_a_step_without_a_forward_pass_is_refused_and_writes_nothing(toy, watch, tmp_path):
    model = toy().eval()
    with pytest.raises(ConfigError, match="nothing to write for step 1") as refused:
        record(watch(model), model, tokens(2, 5))
    assert "model.train()" in str(refused.value.problems[0].help)
    assert list(tmp_path.iterdir()) == []


def test_an_evaluation_without_a_forward_pass_is_refused(toy, watch):
    with watch(toy()) as monitor, pytest.raises(ConfigError, match="no forward pass"):
        evaluate_nothing(monitor)


def test_layers_with_other_numbers_of_experts_are_refused_by_name(toy, watch, tmp_path):
    model = toy((4, 2), (6, 2))
    with pytest.raises(
        ConfigError, match=r"layers.0.gate has E=4, k=2, layers.1.gate has E=6, k=2"
    ):
        record(watch(model), model, tokens(2, 5))
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_exists_is_refused(toy, watch, tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(ConfigError, match="already exists"), watch(toy()):
        pass


def test_a_loop_that_ends_is_finished_with_verdicts(toy, watch):
    model = toy()
    directory = record(watch(model), model, tokens(8, 8))
    summary = json.loads((directory / "summary.json").read_text())
    assert summary["steps"] == 1
    assert summary["layers"]["0"]["verdict"] in ("balanced", "skewed")
    assert summary["outcomes"] == reached(directory)
    assert json.loads((directory / "status.json").read_text())["state"] == "finished"


@pytest.mark.parametrize(
    ("error", "state"), [(ValueError, "failed"), (KeyboardInterrupt, "stopped")]
)
def test_a_loop_left_by_an_exception_keeps_its_rows(toy, watch, tmp_path, error, state):
    model = toy()
    with pytest.raises(error, match="mine"):
        record(watch(model), model, tokens(2, 5), end=error("mine"))
    directory = tmp_path / "run"
    assert json.loads((directory / "status.json").read_text())["state"] == state
    assert not (directory / "summary.json").exists()
    assert "mine" in (directory / "log.txt").read_text()
    assert len(rows(directory, "steps")) == 1


def test_a_collapse_is_an_event_and_the_verdict(toy, watch, cli):
    """Every embedding has a large first coordinate, and only expert 2 looks at it."""
    model = toy((4, 1))
    with torch.no_grad():
        model.embedding.weight[:, 0] = 10
        model.layers[0].gate.weight[:, 0] = torch.tensor([0.0, 0.0, 9.0, 0.0])
    directory = record(watch(model), model, *(tokens(2, 5, seed=step) for step in range(50)))
    assert load_run(directory).verdicts == {0: "collapsed"}
    lines = (directory / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [e["kind"] for e in events] == ["start", "collapse", "finish"]
    assert (events[1]["layer"], events[1]["step"], events[1]["since"]) == (0, 50, 1)
    assert cli("check", directory, "--fail-on", "collapse").exit_code == 3


@pytest.mark.parametrize("form", ["table", "md", "csv", "json"])
def test_what_was_recorded_can_be_reported(toy, watch, cli, form):
    model = toy((4, 2), None, (4, 2))
    report = cli("report", record(watch(model), model, tokens(4, 8)), "--format", form)
    assert report.exit_code == 0, report.output
    assert "max_violation" in report.stdout


def test_recorded_runs_stand_beside_others(toy, watch, cli, finished):
    model = toy()
    directory = record(watch(model), model, tokens(4, 8))
    together = cli("report", directory, finished)
    assert together.exit_code == 0, together.output
    listed = cli("ls", directory.parent)
    assert "finished" in listed.stdout
    assert "None" not in listed.stdout


def test_a_recorded_run_is_not_resumed(toy, watch, cli, tmp_path):
    model = toy()
    with pytest.raises(ValueError, match="mine"):
        record(watch(model), model, tokens(4, 8), end=ValueError("mine"))
    refused = cli("resume", tmp_path / "run")
    assert refused.exit_code == 2
    assert "recorded from another program" in refused.stderr


def test_the_weights_of_balance_losses_are_not_known(toy, watch):
    model = toy()
    (row,) = rows(record(watch(model), model, tokens(4, 8)), "aux_loss")
    assert float(row["switch_raw"]) > 0
    assert row["switch_weighted"] == ""


def test_evaluations_alone_can_be_reported(toy, watch, cli):
    model = toy()
    with watch(model) as monitor, monitor.evaluation() as evaluation:
        evaluation.loss = model.eval()(tokens(4, 8))
    report = cli("report", monitor.directory)
    assert report.exit_code == 0, report.output
    assert "max_violation" in report.stdout
