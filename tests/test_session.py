import json
import os
import shlex
import signal
import sys
from pathlib import Path

import pytest
from conftest import FINISHED, SignalAt, TrainRun, results, rows, small

from moe_lab import session
from moe_lab.config import Resolved, load
from moe_lab.progress import Silent
from moe_lab.rows import Step
from moe_lab.session import Outcome
from moe_lab.signals import StopRequest
from moe_lab.store.read import StoredRun


def resolved() -> Resolved:
    """The run of the fixture `finished`."""
    return load(None, small(*FINISHED))


# What a run leaves behind


def test_a_finished_run_has_every_file(finished: Path):
    assert {path.name for path in finished.iterdir()} == {
        *("config.yaml", "resolved.yaml", "run.json", "status.json", "summary.json", ".lock"),
        *("steps.csv", "utilization.csv", "cv.csv", "aux_loss.csv", "eval.csv", "timing.csv"),
        *("router.csv", "router", "events.jsonl", "checkpoints"),
    }
    run = StoredRun(finished)
    assert (run.status["state"], run.status["step"]) == ("finished", 10)
    assert [event["kind"] for event in run.events] == ["start", "finish"]
    assert [path.name for path in sorted((finished / "checkpoints").iterdir())] == [
        "step-00000008",
        "step-00000010",
    ]


def test_run_json_says_what_ran_where(finished: Path):
    record = StoredRun(finished).record
    assert record.items() >= {"seed": 0, "threads": 1, "device": "cpu", "steps": 10}.items()
    assert record["versions"].keys() == {"moe_lab", "python", "torch", "numpy"}
    assert record["data"]["domains"] == ["domain_0", "domain_1", "domain_2", "domain_3"]
    assert (record["data"]["vocab_size"], record["data"]["eval_tokens"]) == (32, 128)
    rungs = {rung["rung"]: rung["loss"] for rung in record["data"]["ladder"]}
    assert list(rungs) == ["uniform", "unigram", "bigram", "bayes", "oracle"]
    assert sorted(rungs.values(), reverse=True) == list(rungs.values())


def test_parameters_are_counted_in_all_and_per_token(finished: Path):
    # embedding and head 2 * 32 * 16, norm 16; a block: attention 4 * 16 * 16, two norms 2 * 16,
    # router 4 * 16, and four experts of 2 * 16 * 16, of which a token uses one
    total = 1024 + 16 + 2 * (1024 + 32 + 64 + 4 * 512)
    assert StoredRun(finished).record["parameters"] == {
        "total": total,
        "active": total - 2 * 3 * 512,
    }


def test_summary_json_holds_each_layers_verdict(finished: Path):
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["steps"] == 10
    assert summary["layers"].keys() == {"0", "1"}
    for layer in summary["layers"].values():
        assert layer["verdict"] in ("balanced", "skewed")
        assert (layer["onsets"], layer["recoveries"]) == ([], [])


def test_a_resumed_run_stores_what_an_undisturbed_one_does(finished: Path, stopped: Path):
    session.resume(stopped, reporter=Silent())
    resumed, undisturbed = (StoredRun(run).summary for run in (stopped, finished))
    for summary in (resumed, undisturbed):
        del summary["outcomes"]["tokens_per_s"]
    assert resumed == undisturbed


def test_a_collapse_is_an_event(train_run: TrainRun):
    run = StoredRun(train_run("steps=60", "init_tilt=50", "moe_layers=[1]"))
    collapse = {key: value for key, value in run.events[1].items() if key != "time"}
    assert collapse == {"kind": "collapse", "layer": 1, "step": 50, "since": 1}
    assert run.summary["layers"]["1"]["verdict"] == "collapsed"
    assert run.summary["layers"]["1"]["onsets"] == [1]


BASE = """
data: {vocab_size: 32, n_domains: 2, seq_len: 16}
model: {d_model: 16, n_heads: 2, d_expert: 16}
train: {steps: 3, batch_size: 2}
eval: {tokens: 64}
"""


def test_the_users_file_is_kept_and_every_value_has_its_origin(tmp_path: Path):
    mine = b"# mine\r\nname: kept\r\nextends: base.yaml\r\n"
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "a.yaml").write_bytes(mine)
    asked = load(tmp_path / "a.yaml", ["train.steps=1"])
    run = session.train(asked, runs_dir=tmp_path, exact=True, reporter=Silent()).directory
    assert (run / "config.yaml").read_bytes() == mine
    assert load(run / "resolved.yaml").config == asked.config
    lines = (run / "resolved.yaml").read_text().splitlines()
    assert f"name: kept  # {tmp_path}/a.yaml:2" in lines
    assert f"  vocab_size: 32  # {tmp_path}/base.yaml:2" in lines
    assert "  steps: 1  # command line" in lines
    assert "  top_k: 1  # default" in lines


# Stopped by a signal


@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_stops_after_the_step_and_the_run_goes_on_to_the_same_bytes(
    finished: Path, tmp_path: Path, number: signal.Signals, exit_code: int
):
    reporter = SignalAt(6, number)
    outcome = session.train(resolved(), runs_dir=tmp_path, exact=True, reporter=reporter)
    assert outcome == Outcome(tmp_path / "small", exit_code)
    run = StoredRun(outcome.directory)
    assert run.status.items() >= {"state": "stopped", "step": 6, "reason": number.name}.items()
    assert [row["step"] for row in rows(run.directory, "steps")] == list("123456")
    last = {key: value for key, value in run.events[-1].items() if key != "time"}
    assert last == {"kind": "stop", "reason": number.name, "step": 6}
    assert session.resume(run.directory, reporter=Silent()) == Outcome(run.directory)
    assert results(run.directory) == results(finished)
    kinds = [event["kind"] for event in run.events]
    assert kinds == ["start", "stop", "resume", "finish"]


def test_what_is_said_at_a_stop_is_the_command_that_goes_on(tmp_path: Path):
    reporter, runs = SignalAt(2), tmp_path / "my runs"
    outcome = session.train(resolved(), runs_dir=runs, exact=True, reporter=reporter)
    said, command = reporter.said[-1].split("; go on with: ")
    assert said == "stopped after step 2"
    assert shlex.split(command) == ["moe-lab", "resume", str(outcome.directory)]


def test_a_stop_is_told_before_the_run_is_saved(tmp_path: Path):
    reporter = SignalAt(2)
    session.train(resolved(), runs_dir=tmp_path, exact=True, reporter=reporter)
    assert reporter.said[0] == "stopping after step 2 (Ctrl-C again to stop now)"


def test_a_limit_of_time_stops_a_run_with_exit_code_75(finished: Path, tmp_path: Path):
    reporter, stop = SignalAt(0), StopRequest(max_minutes=0)
    outcome = session.train(resolved(), runs_dir=tmp_path, exact=True, reporter=reporter, stop=stop)
    assert outcome == Outcome(tmp_path / "small", 75)
    assert reporter.said[-1].startswith("stopped after step 0 at --max-minutes; go on with: ")
    run = StoredRun(outcome.directory)
    assert (run.status["state"], run.status["reason"]) == ("stopped", "max-minutes")
    assert rows(run.directory, "eval") == []
    session.resume(run.directory, reporter=Silent())
    assert results(run.directory) == results(finished)


class StopBefore(StopRequest):
    """Is asked to stop when it is looked at for the nth time within an evaluation."""

    def __init__(self, looks: int):
        super().__init__()
        self.looks = looks

    def check(self) -> None:
        self.looks -= 1
        if self.looks == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        super().check()


@pytest.mark.parametrize(("looks", "step"), [(1, 0), (2, 0), (4, 5), (6, 10)])
def test_an_evaluation_that_was_left_comes_first_when_the_run_goes_on(
    looks: int, step: int, finished: Path, tmp_path: Path
):
    # an evaluation has two forward passes; there is one after steps 0, 5 and 10
    asked = {"runs_dir": tmp_path, "exact": True, "reporter": Silent()}
    outcome = session.train(resolved(), **asked, stop=StopBefore(looks))
    run = StoredRun(outcome.directory)
    assert (outcome.exit_code, run.status["step"]) == (143, step)
    assert [int(row["step"]) for row in rows(run.directory, "eval")] == list(range(0, step, 5))
    assert not run.is_finished
    again = session.resume(run.directory, reporter=Silent(), stop=StopBefore(1))
    assert (again.exit_code, run.status["step"]) == (143, step)
    assert session.resume(run.directory, reporter=Silent()).exit_code == 0
    assert results(run.directory) == results(finished)


def test_a_signal_in_the_last_step_changes_nothing(tmp_path: Path):
    reporter = SignalAt(10)
    outcome = session.train(resolved(), runs_dir=tmp_path, exact=True, reporter=reporter)
    assert outcome.exit_code == 0
    assert StoredRun(outcome.directory).is_finished


def test_a_run_can_be_stopped_and_resumed_many_times(finished: Path, tmp_path: Path):
    session.train(resolved(), runs_dir=tmp_path, exact=True, reporter=SignalAt(1))
    for step in (2, 4, 5, 9):
        session.resume(tmp_path / "small", reporter=SignalAt(step))
    session.resume(tmp_path / "small", reporter=Silent())
    assert results(tmp_path / "small") == results(finished)
    elapsed = [float(row["elapsed_s"]) for row in rows(tmp_path / "small", "timing")]
    assert elapsed == sorted(elapsed)
    assert len(elapsed) == 10


# Failed


class Broken(Silent):
    def step(self, result: Step, elapsed_s: float) -> None:
        if result.step == 6:
            raise ZeroDivisionError("by a reporter")


def test_an_unforeseen_error_is_written_down_and_the_run_can_go_on(finished: Path, tmp_path: Path):
    with pytest.raises(ZeroDivisionError):
        session.train(resolved(), runs_dir=tmp_path, exact=True, reporter=Broken())
    run = StoredRun(tmp_path / "small")
    assert (run.status["state"], run.status["step"]) == ("failed", 4)
    assert run.events[-1]["kind"] == "failed"
    assert "Traceback" in (run.directory / "log.txt").read_text()
    session.resume(run.directory, reporter=Silent())
    assert results(run.directory) == results(finished)


def test_the_command_line_is_recorded_without_the_programs_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "argv", ["/opt/venv/bin/moe-lab", "train", "a=1"])
    outcome = session.train(resolved(), runs_dir=tmp_path, exact=True, reporter=SignalAt(1))
    assert StoredRun(outcome.directory).record["command"] == ["moe-lab", "train", "a=1"]
