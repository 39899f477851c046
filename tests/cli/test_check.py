import csv
import json
import shutil
from pathlib import Path

import pytest
from conftest import Cli


def edited(run: Path, table: str, split: str, layer: int | None = None, **cells: object) -> Path:
    """Changes cells of the last evaluation, or of all training rows, in place."""
    path = run / f"{table}.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    last = max(int(row["step"]) for row in rows)
    found = [row for row in rows if row.get("split", "eval") == split]
    found = [row for row in found if split == "train" or int(row["step"]) == last]
    for row in found:
        if layer is None or row["layer"] == str(layer):
            row.update({name: "" if v is None else str(v) for name, v in cells.items()})
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return run


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A run whose layers have cv 0.5 and 0.25."""
    copy = shutil.copytree(finished, tmp_path / "run")
    edited(copy, "cv", "eval", layer=0, cv=0.5, n_eff=3.0)
    return edited(copy, "cv", "eval", layer=1, cv=0.25, n_eff=2.0)


@pytest.mark.parametrize(
    ("rule", "passes"),
    [
        ("cv > 0.5", True),
        ("cv >= 0.5", False),
        ("cv>=.5", False),
        ("cv > 0.4", False),  # the worst layer is above
        ("cv < 0.25", True),
        ("cv < 0.3", False),  # for "less than" the worst layer is the lowest
        ("cv <= 2.5e-1", False),
        ("n_eff < 2", True),
        ("n_eff < 2.5", False),
        ("cv < -1", True),
        ("lm_loss > +100", True),
        ("switch_raw > 100", True),
    ],
)
def test_a_rule_fails_if_any_layer_meets_it(cli: Cli, run: Path, rule: str, passes: bool):
    done = cli("check", run, "--fail-on", rule)
    assert done.exit_code == (0 if passes else 3)
    assert done.stdout.startswith(f"gate {'passed' if passes else 'FAILED'}: {run} (finished)\n")
    assert done.stderr == ""


def test_the_table_shows_rule_value_limit_and_result(cli: Cli, run: Path):
    done = cli("check", run, "--fail-on", "cv > 0.4", "--fail-on", "n_eff < 2")
    assert done.exit_code == 3
    _, _, header, _, first, second, *_ = done.stdout.splitlines()
    assert header.split() == ["rule:", "fails", "if", "value", "limit", "result"]
    assert first.split() == ["cv", ">", "0.4", "0.5", "(layer", "0)", "0.4", "FAILED"]
    assert second.split() == ["n_eff", "<", "2", "2", "(layer", "1)", "2", "passed"]


def test_the_same_as_json(cli: Cli, run: Path):
    done = cli("check", run, "--fail-on", "cv > 0.4", "--json")
    assert done.exit_code == 3
    assert json.loads(done.stdout) == {
        **{"schema": 1, "passed": False, "directory": str(run), "state": "finished"},
        "warnings": [],
        "results": [
            {
                **{"rule": "cv > 0.4", "value": 0.5, "layer": 0, "limit": 0.4},
                **{"result": "failed", "reason": None},
            }
        ],
    }


@pytest.mark.parametrize(
    ("rule", "limit", "passes"),
    [
        ("cv > baseline", 0.8, True),  # the baseline's worst layer
        ("cv > baseline * 0.5", 0.4, False),
        ("cv > baseline - 0.4", 0.4, False),
        ("cv < baseline + 0.1", 0.3, False),  # in the same direction: its lowest layer is at 0.2
        ("cv<baseline*1", 0.2, True),
    ],
)
def test_a_limit_can_be_that_of_a_baseline(
    cli: Cli, run: Path, finished: Path, tmp_path: Path, rule: str, limit: float, passes: bool
):
    base = shutil.copytree(finished, tmp_path / "base")
    edited(base, "cv", "eval", layer=0, cv=0.8)
    edited(base, "cv", "eval", layer=1, cv=0.2)
    done = cli("check", run, "--fail-on", rule, "--baseline", base, "--json")
    (result,) = json.loads(done.stdout)["results"]
    assert result["limit"] == pytest.approx(limit)
    assert done.exit_code == (0 if passes else 3)


# Verdicts

COLLAPSED = {"expert_00": 1.0, "expert_01": 0.0, "expert_02": 0.0, "expert_03": 0.0}
SKEWED = {"expert_00": 0.0, "expert_01": 0.3, "expert_02": 0.3, "expert_03": 0.4}
EVEN = dict.fromkeys(COLLAPSED, 0.25)


def lengthened(run: Path, steps: int) -> Path:
    """Repeats the training rows of utilization.csv up to a step."""
    path = run / "utilization.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    last = {row["layer"]: row for row in rows if row["split"] == "train"}
    done = max(int(row["step"]) for row in rows)
    more = [row | {"step": step} for step in range(done + 1, steps + 1) for row in last.values()]
    with path.open("a", newline="") as file:
        csv.DictWriter(file, rows[0].keys(), lineterminator="\n").writerows(more)
    return run


@pytest.mark.parametrize(
    ("loads", "steps", "collapse", "skew"),
    [
        (EVEN, 60, "passed", "passed"),
        (SKEWED, 60, "passed", "failed"),
        (COLLAPSED, 60, "failed", "failed"),
        (COLLAPSED, 50, "failed", "failed"),
        (COLLAPSED, 49, "no value", "failed"),  # a collapse takes 50 steps, and 49 excuse nobody
        (EVEN, 49, "no value", "passed"),
    ],
)
def test_a_verdict_word_fails_if_a_layer_is_that_or_worse(
    cli: Cli, run: Path, loads: dict[str, float], steps: int, collapse: str, skew: str
):
    edited(run, "utilization", "train", **EVEN)
    edited(run, "utilization", "train", layer=1, **loads)
    lengthened(run, steps)
    done = cli("check", run, "--fail-on", "collapse", "--fail-on", "skew", "--json")
    results = json.loads(done.stdout)["results"]
    assert [result["result"] for result in results] == [collapse, skew]
    assert done.exit_code == (0 if collapse == skew == "passed" else 3)
    if collapse == "failed":
        assert (results[0]["value"], results[0]["layer"]) == ("collapsed", 1)
    if collapse == "no value":
        assert results[0]["reason"] == "shows after 50 steps, and the run has 49"


# What cannot be decided


def undecided(cli: Cli, run: Path, rule: str, *more: object) -> str:
    done = cli("check", run, "--fail-on", rule, *more, "--json")
    assert done.exit_code == 3
    (result,) = json.loads(done.stdout)["results"]
    assert (result["result"], result["value"]) == ("no value", None)
    assert isinstance(result["reason"], str)
    return result["reason"]


def test_a_blank_value_is_no_pass(cli: Cli, run: Path, finished: Path):
    edited(run, "eval", "eval", gap=None)
    assert undecided(cli, run, "gap > 1") == "blank where none is known"
    assert "no value: blank where none is known" in cli("check", run, "--fail-on", "gap > 1").stdout
    assert undecided(cli, finished, "gap > baseline", "--baseline", run) == "the baseline has none"
    edited(run, "eval", "eval", lm_loss="nan")
    assert undecided(cli, run, "lm_loss > 1") == "blank in the last evaluation"


def test_one_blank_layer_is_no_pass_but_a_layer_that_fails_is_enough(cli: Cli, run: Path):
    edited(run, "cv", "eval", layer=0, dead_experts=None)
    edited(run, "cv", "eval", layer=1, dead_experts=0.25)
    undecided(cli, run, "dead_experts > 0.5")
    done = cli("check", run, "--fail-on", "dead_experts > 0", "--json")
    assert json.loads(done.stdout)["results"][0]["result"] == "failed"


def test_a_run_without_an_evaluation_is_no_pass(cli: Cli, run: Path):
    for path in run.glob("*.csv"):
        path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    assert undecided(cli, run, "cv > 1") == "no evaluation yet"
    assert undecided(cli, run, "collapse") == "no evaluation yet"


def test_a_model_without_experts_is_no_pass(cli: Cli, run: Path):
    for name in ("cv", "utilization"):
        path = run / f"{name}.csv"
        path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    assert undecided(cli, run, "collapse") == "the run has no MoE layer"
    assert undecided(cli, run, "cv > 1") == "the run has no MoE layer"
    assert cli("check", run, "--fail-on", "lm_loss > 1000").exit_code == 0


def test_an_unfinished_run_is_gated_on_what_it_has_with_a_warning(cli: Cli, stopped: Path):
    done = cli("check", stopped, "--fail-on", "cv > 1000")
    assert done.exit_code == 0
    assert done.stderr == (f"warning: {stopped} is stopped at step 6: it is gated on what it has\n")


# Refusals

REFUSED = [
    ("", 1, "expected the name of a column, collapse or skew; the rule ends here"),
    ("> 1", 1, "expected the name of a column, collapse or skew; got '>'"),
    ("cv", 3, "expected one of > >= < <=; the rule ends here"),
    ("cv = 1", 4, "expected one of > >= < <=; got '='"),
    ("cv => 1", 4, "expected one of > >= < <=; got '='"),
    ("cv > ", 5, "expected a number or baseline; the rule ends here"),
    ("cv > high", 6, "expected a number or baseline; got 'high'"),
    ("cv > nan", 6, "expected a number or baseline; got 'nan'"),
    ("cv > 1e999", 6, "expected a finite number; got '1e999'"),
    ("cv > 10%", 8, "expected the end of the rule; got '%'"),
    ("cv > 1 or gap > 1", 8, "expected the end of the rule; got 'or'"),
    ("cv > baseline / 2", 15, "expected * + - or the end of the rule; got '/'"),
    ("cv > baseline *", 16, "expected a number; the rule ends here"),
    ("cv > baseline * baseline", 17, "expected a number; got 'baseline'"),
    ("cv > 2 * baseline", 8, "expected the end of the rule; got '*'"),
    ("collapse > 1", 10, "expected nothing after 'collapse', which stands alone; got '>'"),
    ("__import__('os')", 11, "expected one of > >= < <=; got '('"),
    ("max_violtion > 1", 1, "there is no column 'max_violtion' in the last evaluation"),
    ("step > 1", 1, "there is no column 'step' in the last evaluation"),
    ("  lm_loss > baseline", 3, "the limit is that of a baseline, and none was given"),
]


@pytest.mark.parametrize(("rule", "column", "message"), REFUSED)
def test_a_bad_rule_is_pointed_at(cli: Cli, run: Path, rule: str, column: int, message: str):
    done = cli("check", run, "--fail-on", rule)
    assert (done.exit_code, done.stdout) == (2, "")
    first, place, _, line, carets, *_ = done.stderr.splitlines()
    assert first == f"error: {message}"
    assert place == f"  --> command line:1:{column}"
    assert line == f" 1 | {rule}"
    assert carets.index("^") - len(" 1 | ") == column - 1


@pytest.mark.parametrize(
    ("rule", "remedy"),
    [
        ("max_violtion > 1", "did you mean 'max_violation'?"),
        ("colapse", "did you mean 'collapse'?"),
        ("gap", "such as 'gap > 1'"),
        ("zzzzzz > 1", "the columns are listed in runs/README.md"),
        ("gap > baseline", "add --baseline DIR"),
    ],
)
def test_a_refusal_says_what_to_write(cli: Cli, run: Path, rule: str, remedy: str):
    assert cli("check", run, "--fail-on", rule).stderr.endswith(f"  help: {remedy}\n")


def test_all_unknown_names_are_told_at_once(cli: Cli, run: Path):
    done = cli("check", run, "--fail-on", "aa > 1", "--fail-on", "cv > 1", "--fail-on", "bb > 1")
    assert done.stderr.count("error: there is no column") == 2


def test_a_column_that_the_baseline_lacks_is_refused(cli: Cli, run: Path, tmp_path: Path):
    old = shutil.copytree(run, tmp_path / "old")
    header = (old / "eval.csv").read_text().replace("lm_loss", "loss_of_old", 1)
    (old / "eval.csv").write_text(header)
    done = cli("check", run, "--fail-on", "lm_loss > baseline", "--baseline", old)
    assert done.exit_code == 2


def test_a_gate_needs_a_rule_and_a_run(cli: Cli, run: Path, tmp_path: Path):
    assert cli("check", run).exit_code == 2
    done = cli("check", tmp_path, "--fail-on", "collapse")
    assert (done.exit_code, done.stdout) == (5, "")
    assert cli("check", run, "--fail-on", "cv > baseline", "--baseline", tmp_path).exit_code == 5
