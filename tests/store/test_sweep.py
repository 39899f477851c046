import json
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
from conftest import FINISHED, MakeSweep, small

from moe_lab.config import load
from moe_lab.errors import ArtefactError, ConfigError
from moe_lab.plan import Plan, Point
from moe_lab.store import StoredRun
from moe_lab.store.limits import EVENTS
from moe_lab.store.lock import Lock, is_locked
from moe_lab.store.seal import sealed
from moe_lab.store.sweep import StoredSweep, create_sweep, is_sweep

from .conftest import read

BASE = load(None, small())
PLAN = Plan(("moe.alpha",), (Point("alpha-0.1", {"moe.alpha": 0.1}),), (0,), "alpha-0.1")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def change(path: Path, **changes: Any) -> None:
    before = read(path)
    body = {key: value for key, value in {**before, **changes}.items() if key != "sha256"}
    path.write_text(json.dumps(sealed(body) if "sha256" in before else body))


def create(runs: Path, plan: Plan = PLAN) -> StoredSweep:
    return create_sweep(runs, "x", plan, base=BASE.dump(), config=b"# mine\r\n")


# The folder


def test_a_new_sweep_is_whole_private_and_reads_back(runs: Path) -> None:
    sweep = create(runs)
    assert (names(runs), sweep.directory, sweep.name) == (["x"], runs / "x", "x")
    assert names(sweep.directory) == [".lock", "base.yaml", "config.yaml", "sweep.json"]
    assert not is_locked(sweep.directory)
    assert (sweep.directory / "config.yaml").read_bytes() == b"# mine\r\n"
    for path in (sweep.directory, *sweep.directory.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    stored = StoredSweep(sweep.directory)
    assert stored.plan == PLAN
    assert stored.base.config == BASE.config
    assert stored.created.endswith("+00:00")


def test_a_sweep_that_cannot_be_written_is_not_there(runs: Path) -> None:
    with pytest.raises(TypeError):
        create(runs, Plan(("a",), (Point("p", {"a": object()}),), (0,), "p"))
    assert names(runs) == []


def test_a_taken_name_is_refused_and_left_alone(runs: Path) -> None:
    (runs / "x").mkdir(parents=True)
    with pytest.raises(ConfigError, match="x already exists"):
        create(runs)
    assert (names(runs), names(runs / "x")) == (["x"], [])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "is corrupt"),
        (b"[]", "not a JSON object"),
        (b"{}", "has no schema version"),
        (b'{"schema": 99}', "reads up to 2"),
        (b'{"schema": 2}', "its SHA-256 differs"),
        (b'{"schema": 1}', "created: Field required"),
        (b'{"schema": 1, "created": "", "plan": null}', "created: .* isoformat"),
        (b'{"schema": 1, "created": "2026-01-01T00:00:00+00:00", "plan": null}', "plan: Input"),
    ],
)
def test_a_foreign_or_damaged_plan_is_refused_by_name(
    runs: Path, content: bytes, reason: str
) -> None:
    path = create(runs).directory / "sweep.json"
    path.write_bytes(content)
    with pytest.raises(ArtefactError, match=reason) as caught:
        StoredSweep(runs / "x")
    assert str(path) in str(caught.value)


def test_a_changed_plan_is_refused_and_one_of_schema_1_has_no_seal(runs: Path) -> None:
    path = create(runs).directory / "sweep.json"
    record = read(path)
    path.write_text(json.dumps(record).replace("0.1", "0.2", 1))
    with pytest.raises(ArtefactError, match=r"sweep\.json is corrupt: its SHA-256 differs"):
        StoredSweep(runs / "x")
    del record["sha256"]
    path.write_text(json.dumps({**record, "schema": 1}))
    assert StoredSweep(runs / "x").plan == PLAN
    path.write_text(json.dumps(sealed(record)))
    assert StoredSweep(runs / "x").plan == PLAN


def test_a_folder_without_a_plan_is_no_sweep(runs: Path) -> None:
    with pytest.raises(ArtefactError, match="x is not a moe-lab sweep"):
        StoredSweep(runs / "x")


def test_a_sweep_is_told_from_all_else(runs: Path, finished: Path) -> None:
    assert is_sweep(create(runs).directory)
    for other in (runs, finished, runs / "nowhere", runs / "x" / "sweep.json", runs / ("a" * 300)):
        assert not is_sweep(other)


def test_a_sweep_asked_for_a_run_names_one(make_sweep: MakeSweep, finished: Path) -> None:
    sweep = make_sweep([{"moe.alpha": 0.0}])
    with pytest.raises(ArtefactError, match="is a sweep, not a run") as caught:
        StoredRun(sweep.directory)
    assert "help: none of its runs has begun" in caught.value.render()
    for name in ("p0-s1", "p0-s0"):
        shutil.copytree(finished, sweep.directory / name)
    with pytest.raises(ArtefactError) as caught:
        StoredRun(sweep.directory)
    remedy = f"help: name one of its runs, such as {sweep.directory}/p0-s0"
    assert remedy in caught.value.render()


def test_its_tables_are_replaced(runs: Path) -> None:
    sweep = create(runs)
    for text in ("a\n", "b\n"):
        sweep.write_tables(runs=f"run,{text}", points=f"point,{text}")
    assert (sweep.directory / "runs.csv").read_text() == "run,b\n"
    assert (sweep.directory / "summary.csv").read_text() == "point,b\n"
    assert len(names(sweep.directory)) == 6


# Where its runs are


@pytest.fixture
def part(make_sweep: MakeSweep, stopped: Path) -> StoredSweep:
    """A sweep of two seeds, whose first run has stopped."""
    sweep = make_sweep([{"moe.alpha": 0.01}], *FINISHED)
    shutil.copytree(stopped, sweep.directory / "p0-s0")
    return sweep


def first(sweep: StoredSweep) -> tuple[str, str | None]:
    """State and error of the first run, read anew."""
    found = StoredSweep(sweep.directory).states()["p0-s0"]
    return found.state, found.error


def test_a_run_without_a_folder_is_pending_unless_it_failed(part: StoredSweep) -> None:
    assert {name: found.state for name, found in part.states().items()} == {
        "p0-s0": "stopped",
        "p0-s1": "pending",
    }
    (_, run) = part.plan.runs
    part.fail(run, "first")
    part.fail(run, "no memory")
    for sweep in (part, StoredSweep(part.directory)):  # in this session, and in the next
        assert (sweep.state(run).state, sweep.state(run).error) == ("failed", "no memory")


def test_a_run_with_a_summary_is_finished_whatever_happened_before(
    make_sweep: MakeSweep, finished: Path
) -> None:
    sweep = make_sweep([{"moe.alpha": 0.01}], *FINISHED)
    sweep.fail(sweep.plan.runs[0], "killed")
    shutil.copytree(finished, sweep.directory / "p0-s0")
    assert first(sweep) == ("finished", None)


def test_a_run_is_running_as_long_as_a_process_holds_its_lock(part: StoredSweep) -> None:
    change(part.directory / "p0-s0" / "status.json", state="running")
    lock = Lock(part.directory / "p0-s0")
    assert first(part) == ("running", None)
    lock.close()
    assert first(part) == ("interrupted", None)


def test_a_run_that_was_killed_too_often_says_so(part: StoredSweep) -> None:
    change(part.directory / "p0-s0" / "status.json", state="running")
    part.fail(part.plan.runs[0], "killed by SIGKILL")
    assert first(part) == ("interrupted", "killed by SIGKILL")


@pytest.mark.parametrize("state", ["failed", "diverged"])
def test_a_failed_runs_error_is_its_own(part: StoredSweep, state: str) -> None:
    part.fail(part.plan.runs[0], "of an earlier session")
    change(part.directory / "p0-s0" / "status.json", state=state, reason="loss is nan")
    assert first(part) == (state, "loss is nan")


@pytest.mark.parametrize("name", ["run.json", "status.json"])
def test_a_damaged_run_has_failed_with_the_reason(part: StoredSweep, name: str) -> None:
    (part.directory / "p0-s0" / name).write_text("{")
    state, error = first(part)
    assert state == "failed"
    assert f"p0-s0/{name} is corrupt" in str(error)


# What the tuning rule asks for


def test_a_run_made_with_other_settings_is_a_failure_and_damaged_in_no_other_way(
    part: StoredSweep, stopped: Path, finished: Path
) -> None:
    (first_run, second) = part.plan.runs
    assert part.damage(first_run) is None
    for source in (stopped, finished):
        copy = shutil.copytree(source, part.run_directory(second))
        found = StoredSweep(part.directory).state(second)
        reason = f"{copy} was made with seed 0, the plan says 1: move it away"
        assert (found.state, found.error, part.damage(second)) == ("failed", reason, reason)
        assert part.set_aside(second, reason).is_dir()
        assert not copy.exists()
    hidden = [f".aside-{second.name}-{n}" for n in (1, 2)]
    assert [name for name in names(part.directory) if name.startswith(".aside")] == hidden


def test_a_run_that_is_written_is_running_whatever_its_status_says(part: StoredSweep) -> None:
    lock = Lock(part.directory / "p0-s0")
    assert first(part) == ("running", None)
    lock.close()
    assert first(part) == ("stopped", None)


def come_to(sweep: StoredSweep, run: str, finished: Path, **outcomes: Any) -> None:
    """Put a finished run there, and say what it came to."""
    path = shutil.copytree(finished, sweep.directory / run) / "summary.json"
    change(path, outcomes={**read(path)["outcomes"], **outcomes})
    (planned,) = (each for each in sweep.runs() if each.name == run)
    settings = load(sweep.base_path, settings=planned.settings).config.model_dump(mode="json")
    change(path.with_name("run.json"), config=settings, steps=settings["train"]["steps"])


def test_the_rule_asks_for_one_run_after_another(runs: Path, finished: Path) -> None:
    sweep = create(runs, Plan(PLAN.keys, PLAN.points, (0, 1), "alpha-0.1", rule=True))
    grid = ["alpha-0.1-s0", "alpha-0.1-s1"]

    def asked() -> list[str]:
        return [run.name for run in sweep.runs()][len(grid) :]

    assert [run.name for run in sweep.runs()][: len(grid)] == grid
    assert asked() == ["alpha-0.01-s0", "alpha-0.01-s1"]
    come_to(sweep, "alpha-0.01-s0", finished, max_violation=2.0)  # above 1: 3 x 0.01
    assert asked() == ["alpha-0.01-s0", "alpha-0.03-s0", "alpha-0.01-s1"]
    assert sweep.states()["alpha-0.03-s0"].state == "pending"
    come_to(sweep, "alpha-0.03-s0", finished, max_violation=0.5, lm_loss_fall=1.0)
    assert asked() == ["alpha-0.01-s0", "alpha-0.03-s0", "alpha-0.01-s1"]
    assert [chain.settled for chain in sweep.chains()] == [True, False]


def test_what_rule_and_grid_share_is_run_once(runs: Path) -> None:
    point = Point("alpha-0.01", {"moe.alpha": 0.01})
    sweep = create(runs, Plan(PLAN.keys, (point,), (0,), point.name, rule=True))
    assert [run.name for run in sweep.runs()] == ["alpha-0.01-s0"]


def test_without_the_rule_the_grid_is_all(runs: Path) -> None:
    assert [run.name for run in create(runs).runs()] == ["alpha-0.1-s0"]


# What grows with the runs


def test_a_plan_that_would_not_be_read_back_is_refused_before_it_is_there(runs: Path) -> None:
    points = tuple(Point(f"p{i}", {"data.path": {"a": 2000 * "x"}}) for i in range(10_000))
    with pytest.raises(
        ConfigError, match=r"10,000 points takes 2.*the limit is 20,000,000"
    ) as refused:
        create(runs, Plan(("data.path",), points, (0,), "p0"))
    assert refused.value.problems[0].help.startswith("make several sweeps")
    assert names(runs) == []


def test_a_sweep_keeps_so_much_of_an_error_that_ten_thousand_are_read_back(runs: Path) -> None:
    sweep, (run,) = create(runs), PLAN.runs
    sweep.fail(run, "short")
    assert sweep.state(run).error == "short"
    sweep.fail(run, 499 * "x" + "yz")
    assert sweep.state(run).error == StoredSweep(sweep.directory).state(run).error
    assert sweep.state(run).error == 499 * "x" + "y…"
    longest = max(map(len, (sweep.directory / "events.jsonl").read_bytes().splitlines()))
    assert 10_000 * (longest + 1) < EVENTS.most


def test_the_chain_of_a_seed_is_that_of_its_runs_alone(runs: Path, finished: Path) -> None:
    sweep = create(runs, Plan(PLAN.keys, PLAN.points, (0, 1), "alpha-0.1", rule=True))
    come_to(sweep, "alpha-0.01-s1", finished, max_violation=2.0)
    assert [run.name for run in sweep.chain(0).runs] == ["alpha-0.01-s0"]
    assert [run.name for run in sweep.chain(1).runs] == ["alpha-0.01-s1", "alpha-0.03-s1"]
