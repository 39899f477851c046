"""summary.csv, runs.csv and the JSON of a sweep."""

import csv
import io
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from moe_lab import escape
from moe_lab.report.outcomes import OUTCOMES
from moe_lab.report.sweep_tables import runs_csv, to_csv, to_json

from .sweeps_by_hand import alphas, found, gaps, sweep

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


def read(text: str) -> list[dict[str, str]]:
    assert text.endswith("\r\n")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_row_per_point_with_unambiguous_names():
    text = to_csv(gaps({0.0: [0.5, 0.5], 1.0: [0.25, 0.25]}))
    assert text.split("\r\n")[0].split(",") == [
        *("point", "moe.alpha", "n", "failed", "gap_mean", "gap_half_width"),
        *("difference_mean", "difference_half_width", "difference_n"),
        *("difference_lower", "difference_higher", "difference_p", "difference_p_holm"),
        *("difference_equivalence_p", "difference_equivalence_p_holm", "difference_decision"),
        *("cv_mean", "cv_half_width", "cv_floor", "max_violation", "n_eff", "dead_experts"),
        *("dropped", "collapsed", "collapsed_low", "collapsed_high", "verdict", "best", "front"),
    ]
    baseline, other = read(text)
    assert (baseline["point"], baseline["difference_mean"], baseline["difference_n"]) == (
        "0.0",
        "",
        "",
    )
    assert (other["gap_mean"], other["gap_half_width"]) == ("0.25", "0.0")
    assert (other["difference_mean"], other["difference_n"], other["difference_lower"]) == (
        *("-0.25", "2", "2"),
    )
    assert (other["collapsed"], other["verdict"], other["best"]) == ("0", "balanced", "True")
    assert (baseline["best"], baseline["front"]) == ("False", "False")


def test_a_row_per_planned_run_with_all_outcomes_but_the_rate():
    text = runs_csv(
        alphas({0.0: [found(0.5, n_eff=3.5)], 1.0: ["ValueError: a, b\nc"], 2.0: [None]})
    )
    header = text.split("\r\n")[0].split(",")
    assert header == ["run", "moe.alpha", "seed", "state", "error", *OUTCOMES[:-1]]
    assert OUTCOMES[-1] == "tokens_per_s"
    done, failed, pending = read(text)
    assert (done["run"], done["seed"], done["state"], done["error"]) == (
        "0.0-s0",
        "0",
        "finished",
        "",
    )
    assert (done["gap"], done["n_eff"], done["worst_layer"]) == ("0.5", "3.5", "")
    assert (failed["state"], failed["error"], failed["gap"]) == ("failed", "ValueError: a, b", "")
    assert (pending["state"], pending["error"]) == ("pending", "")


def test_the_loss_is_in_the_names_of_its_columns():
    (row,) = read(to_csv(alphas({0.0: [found(None, lm_loss=4.5)]})))
    assert row["lm_loss_mean"] == "4.5"
    assert "gap_mean" not in row


def test_times_are_left_out_unless_wanted():
    analysis = alphas({0.0: [found(tokens_per_s=123.5)]})
    for table in (to_csv, runs_csv):
        assert "tokens_per_s" not in table(analysis)
        assert read(table(analysis, with_times=True))[0]["tokens_per_s"] == "123.5"
    plain, timed = to_json(analysis), to_json(analysis, with_times=True)
    assert '"tokens_per_s"' not in json.dumps(plain)
    assert timed["points"][0]["tokens_per_s"] == 123.5
    assert timed["runs"][0]["outcomes"]["tokens_per_s"] == 123.5


def test_methods_and_lists_are_json_and_null_is_blank():
    method = {"name": "importance", "source": "probs"}
    settings = {"moe.balance": method, "model.moe_layers": [0, 1], "moe.capacity_factor": None}
    (row,) = read(to_csv(sweep([(settings, [found()])])))
    assert json.loads(row["moe.balance"]) == method
    assert json.loads(row["model.moe_layers"]) == [0, 1]
    assert row["moe.capacity_factor"] == ""


def test_an_error_is_no_formula_of_a_spreadsheet():
    assert read(runs_csv(alphas({0.0: ["=1+1"]})))[0]["error"] == "'=1+1"


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=4, unique=True))
def test_numbers_read_back_exactly(seeds: list[tuple[float, float, float]]):
    analysis = alphas(
        {a: [found(gap, cv=a * gap)] * 2 for a, gap, _ in seeds}
        | {7e6: [found(g) for _, _, g in seeds[:1]] * 2}
    )
    for row, of_point in zip(read(to_csv(analysis)), analysis.points, strict=True):
        assert float(row["moe.alpha"]) == of_point.settings["moe.alpha"]
        assert of_point.loss is not None
        assert of_point.cv is not None
        shown = [row[f"{name}_{part}"] for name in ("gap", "cv") for part in ("mean", "half_width")]
        exact = [
            getattr(i, part)
            for i in (of_point.loss, of_point.cv)
            for part in ("mean", "half_width")
        ]
        assert list(map(float, shown)) == exact
    for row, run in zip(read(runs_csv(analysis)), analysis.runs, strict=True):
        assert float(row["gap"]) == run.outcomes["gap"]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_errors_read_back_to_their_first_line(error: str):
    (row,) = read(runs_csv(alphas({0.0: [f"E{error}"]})))
    assert row["error"] == escape.lines(f"E{error}".splitlines()[0])


def test_json_has_everything_and_survives_json():
    collapsed, balanced = [found(0.5, "collapsed")] * 3, [found(0.25)] * 3
    json_: dict[str, Any] = to_json(alphas({0.0: collapsed, 1.0: balanced}))
    again = json.loads(json.dumps(json_, allow_nan=False))
    assert again["loss"] == "gap"
    assert again["facts"]["train.tokens_per_step"] == 1536
    assert [point["loss"]["mean"] for point in again["points"]] == [0.5, 0.25]
    assert again["points"][0]["collapsed"]["successes"] == 3
    assert len(again["runs"]) == 6
    (threshold,) = again["thresholds"]
    assert threshold["threshold"]["estimate"] == {"collapsed": 0.0, "safe": 1.0}
    assert threshold["sentence"].startswith("collapse ends between moe.alpha 0 and 1 ")


def test_the_order_in_which_runs_are_told_of_changes_no_byte():
    results = {0.0: [found(0.1), found(0.3), "x"], 1.0: [found(0.7), found(0.2), None]}
    ours, theirs = alphas(results), alphas(results, backwards=True)
    assert to_csv(ours) == to_csv(theirs)
    assert runs_csv(ours) == runs_csv(theirs)
    assert json.dumps(to_json(ours)) == json.dumps(to_json(theirs))
