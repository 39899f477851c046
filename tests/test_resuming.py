"""With what a run may go on, and with what not."""

import json
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from conftest import FINISHED, Cli, SignalAt, results, small
from reliability.faults import Death, Faulty, Killed, raised

from moe_lab import resuming, session
from moe_lab.config import load
from moe_lab.errors import ConfigError
from moe_lab.plan import on_top
from moe_lab.progress import Silent
from moe_lab.report.compare import flat
from moe_lab.store.disk import DISK, Disk
from moe_lab.store.read import StoredRun
from moe_lab.store.run import Run
from moe_lab.store.seal import sealed

STEPS = 15  # of the longer run


@pytest.fixture
def mine(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return Path(shutil.copytree(finished, tmp_path / "small"))


def constant(runs: Path, *settings: str) -> Path:
    """A run whose learning rate does not depend on its length."""
    asked = load(None, small(*FINISHED, "lr_schedule=constant", *settings))
    return session.train(asked, runs_dir=runs, exact=True, reporter=Silent()).directory


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


# What may differ


def test_no_setting_but_those_named_may_differ(mine: Path):
    began = StoredRun(mine)
    keys = [key for key, _ in flat(began.config)]
    assert len(keys) > 40
    for key in keys:
        stored = StoredRun(mine)
        stored.record["config"] = on_top(began.config, {key: "another"})
        if key in resuming.MAY_DIFFER:
            assert resuming.settings(stored) is None
            continue
        with pytest.raises(ConfigError) as refused:
            resuming.settings(stored)
        place = refused.value.problems[0].place
        assert f"'{key}' is " in str(refused.value)
        assert "but the run began with another" in str(refused.value)
        assert place.source == str(mine / "resolved.yaml")
        assert f"{key.rpartition('.')[2]}:" in place.text


def test_all_that_was_changed_in_the_file_is_named_at_its_place(cli: Cli, mine: Path):
    path = mine / "resolved.yaml"
    edit(path, "top_k: 1", "top_k: 2")
    edit(path, "  batch_size: 4", "  batch_size: 8")
    line = path.read_text().splitlines().index("  batch_size: 8  # command line") + 1
    done = cli("resume", mine)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "error: 'moe.top_k' is 2, but the run began with 1\n" in done.stderr
    message = "error: 'train.batch_size' is 8, but the run began with 4"
    assert f"{message}\n  --> {path}:{line}:3\n" in done.stderr
    assert "only train.steps can change, and only grow" in done.stderr


def test_a_setting_on_the_command_line_is_refused_there(cli: Cli, mine: Path):
    done = cli("resume", mine, "n_experts=8", "steps=5")
    assert done.exit_code == 2
    message = "'moe.n_experts' is 8, but the run began with 4"
    assert f"{message}\n  --> command line: n_experts=8\n" in done.stderr
    assert "'train.steps' is 5, but the run was to make 10: steps can only grow\n" in done.stderr


def test_a_run_of_the_first_version_without_settings_in_its_record_is_compared_with_its_file(
    mine: Path,
):
    stored = StoredRun(mine)
    del stored.record["config"]
    assert resuming.settings(stored) is None
    with pytest.raises(ConfigError, match=r"'moe\.alpha' is 1\.0, but the run began with 0\.01"):
        resuming.settings(stored, ["alpha=1"])


# More steps


def test_a_finished_run_goes_on_to_more_steps(cli: Cli, tmp_path: Path):
    longer = constant(tmp_path / "longer", f"steps={STEPS}")
    run = constant(tmp_path)
    before = (run / "resolved.yaml").read_text()
    done = cli("resume", run, f"steps={STEPS}")
    assert (done.exit_code, done.stdout) == (0, f"{run}\n")
    assert "warning" not in done.stderr
    assert results(run) == results(longer)
    stored = StoredRun(run)
    assert stored.config == StoredRun(longer).config
    assert (stored.steps, stored.summary["steps"], stored.status["step"]) == (STEPS, STEPS, STEPS)
    events = [{k: v for k, v in event.items() if k != "time"} for event in stored.events]
    assert [event["kind"] for event in events] == ["start", "finish", "resume", "extend", "finish"]
    assert events[3] == {"kind": "extend", "from": 10, "to": STEPS}
    after = before.replace("  steps: 10  # command line", f"  steps: {STEPS}  # command line")
    assert (run / "resolved.yaml").read_text() == after, "the other origins are as they were"
    assert cli("resume", run).stderr == f"{run} is finished: nothing to do\n"


def test_a_run_asked_for_more_steps_is_reported_with_their_number(cli: Cli, tmp_path: Path):
    run = constant(tmp_path)
    session.resume(run, ["steps=20"], reporter=SignalAt(12))
    stored = StoredRun(run)
    assert (stored.state, stored.steps, stored.config["train"]["steps"]) == ("stopped", 20, 20)
    assert "12/20" in cli("ls", tmp_path).stdout
    with pytest.raises(ConfigError, match="the run was to make 20"):
        resuming.settings(stored, ["steps=15"])


def test_steps_written_into_the_file_count_as_asked_for(mine: Path):
    edit(mine / "resolved.yaml", "  steps: 10", "  steps: 12")
    asked = resuming.settings(StoredRun(mine))
    assert asked is not None
    assert asked.config.train.steps == 12


def test_the_schedule_of_a_run_that_grows_was_another(mine: Path):
    reporter = SignalAt(11)
    session.resume(mine, ["steps=20"], reporter=reporter)
    assert reporter.said[0] == (
        "warning: train.lr_schedule is cosine: steps 1 to 10 had the learning rates of 10 steps"
    )


def test_checkpoints_can_be_written_more_often(mine: Path):
    (mine / "summary.json").unlink()
    session.resume(mine, ["checkpoint.every=2"], reporter=Silent())
    assert load(mine / "resolved.yaml").config.checkpoint.every == 2
    assert StoredRun(mine).is_finished


def test_a_run_killed_while_it_grows_is_finished_or_grows_when_it_is_resumed(
    finished: Path, tmp_path: Path
):
    for call in range(1000):
        run = Path(shutil.copytree(finished, tmp_path / str(call)))
        system = Faulty(call, Death(0, raised))
        with suppress(Killed):
            grow(run, Disk(system))
        stored = StoredRun(run)
        asked = resuming.settings(stored)
        if asked is None:
            assert (stored.is_finished, stored.steps) == (True, 10)
            assert resuming.settings(stored, [f"steps={STEPS}"]) is not None
        else:
            assert asked.config.train.steps in ((STEPS,) if not stored.is_finished else (10, STEPS))
        grow(run, DISK)
        assert (StoredRun(run).steps, StoredRun(run).is_finished) == (STEPS, False)
        if not system.fired:
            break
    assert call > 10


def grow(run: Path, disk: Disk) -> None:
    stored = StoredRun(run)
    asked = resuming.settings(stored, [f"steps={STEPS}"])
    opened, _ = Run.reopen(run, disk)
    try:
        resuming.keep_settings(opened, disk, stored, asked)
    finally:
        opened.close()


# Another machine


def pretend(run: Path, **record: object) -> None:
    """As if a run had begun elsewhere."""
    path = run / "run.json"
    before = {k: v for k, v in json.loads(path.read_text()).items() if k != "sha256"}
    path.write_text(json.dumps(sealed(on_top(before, record))))


def test_another_machine_is_told_of_and_no_reason_to_refuse(stopped: Path):
    pretend(stopped, **{"versions.torch": "2.9.9", "host.cpu_capability": "Z80", "git": None})
    reporter = SignalAt(0)
    assert session.resume(stopped, reporter=reporter).exit_code == 0
    here = torch.backends.cpu.get_cpu_capability()
    changed = [f"torch 2.9.9 -> {torch.__version__}", f"cpu_capability Z80 -> {here}"]
    assert (
        reporter.said[0] == f"warning: results will not be bitwise identical: {', '.join(changed)}"
    )
    (event,) = (event for event in StoredRun(stopped).events if event["kind"] == "resume")
    assert (event["step"], event["changed"]) == (6, changed)


def test_the_same_machine_is_not_mentioned(stopped: Path):
    reporter = SignalAt(0)
    session.resume(stopped, reporter=reporter)
    assert reporter.said == []
    (event,) = (event for event in StoredRun(stopped).events if event["kind"] == "resume")
    assert event["changed"] == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_run_goes_on_without_the_gpu_it_began_on_if_it_did_not_ask_for_one(mine: Path):
    stored, resolved = StoredRun(mine), load(mine / "resolved.yaml")
    stored.record["device"] = "cuda"
    assert resuming.device(stored, resolved).type == "cpu"
    assert "device cuda -> cpu" in resuming.machine_differences(stored, torch.device("cpu"))
    with pytest.raises(ConfigError, match="device cuda was asked for"):
        resuming.device(stored, load(mine / "resolved.yaml", ["device=cuda"]))


def test_rows_of_the_shorter_schedule_are_not_compared(mine: Path):
    (mine / "summary.json").unlink()
    shutil.rmtree(mine / "checkpoints" / "step-00000010")
    reporter = SignalAt(11)
    session.resume(mine, ["steps=20"], reporter=reporter)
    assert session.resume(mine, reporter=reporter).exit_code == 0
    assert "nondeterminism" not in [event["kind"] for event in StoredRun(mine).events]
