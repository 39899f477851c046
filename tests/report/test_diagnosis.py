from dataclasses import replace
from math import exp, log

import pandas as pd
import pytest

from moe_lab.report.diagnosis import Course, courses, worst

EVEN, ONE = [0.25] * 4, [1.0, 0.0, 0.0, 0.0]
THREE = [1 / 3, 1 / 3, 1 / 3, 0.0]  # one expert is dead
FAVOURITE = [0.55, 0.15, 0.15, 0.15]  # gets 2.2 times its fair share


def frames(
    loads: list[list[float]], *, evaluated: dict[int, float], layer: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """utilization and cv of one layer: a load per training step from 1, n_eff per evaluation."""
    steps = range(1, len(loads) + 1)
    utilization = pd.DataFrame(
        [(step, "train", layer, *load) for step, load in zip(steps, loads, strict=True)],
        columns=["step", "split", "layer", *(f"expert_{i:02d}" for i in range(4))],
    )
    n_effs = [exp(-sum(q * log(q) for q in load if q)) for load in loads]
    trained = [(step, "train", layer, n_eff) for step, n_eff in zip(steps, n_effs, strict=True)]
    held_out = [(step, "eval", layer, n_eff) for step, n_eff in evaluated.items()]
    cv = pd.DataFrame(held_out + trained, columns=["step", "split", "layer", "n_eff"])
    return utilization, cv


def course(loads: list[list[float]], **evaluated: float) -> Course:
    seen = {int(step[1:]): n_eff for step, n_eff in evaluated.items()}
    (found,) = courses(*frames(loads, evaluated=seen), top_k=1)
    return found


def test_a_balanced_run():
    found = course([EVEN] * 60, s0=3.9, s60=4.0)
    assert found.sentence() == (
        "layer 0 balanced: n_eff 3.9 of 4 at step 0, lowest 4.0 at step 1 "
        "and 4.0 at the last evaluation"
    )


def test_a_collapse_from_the_start():
    found = course([ONE] * 60, s0=1.0, s60=1.0)
    assert found.sentence() == (
        "layer 0 collapsed: n_eff 1.0 of 4 at step 0, lowest 1.0 at step 1 "
        "and 1.0 at the last evaluation; the collapse was there from the start"
    )


def test_a_collapse_in_training():
    # n steps after the turn the moving average is (1 - 3x/4, x/4, x/4, x/4), x = 2 ** (-n / 20).
    # n = 27: x = 0.392, (0.706, 3 * 0.098), H = 0.929, n_eff = 2.53, index (4 - 2.53) / 3 = 0.489
    # n = 28: x = 0.379, (0.716, 3 * 0.095), H = 0.909, n_eff = 2.48, index (4 - 2.48) / 3 = 0.506
    found = course([EVEN] * 10 + [ONE] * 90, s0=3.9, s100=1.0)
    assert found.onsets == (38,)
    assert found.sentence() == (
        "layer 0 collapsed: n_eff 3.9 of 4 at step 0, lowest 1.0 at step 11 "
        "and 1.0 at the last evaluation; the collapse came in training, at step 38"
    )


def test_a_collapse_that_is_over():
    found = course([ONE] * 60 + [EVEN] * 100, s0=3.9, s160=4.0)
    assert (found.onsets, len(found.recoveries), found.verdict) == ((1,), 1, "balanced")
    assert found.sentence() == (
        "layer 0 balanced: n_eff 3.9 of 4 at step 0, lowest 1.0 at step 1 and 4.0 at the last "
        f"evaluation; the collapse was there from the start and was over at step "
        f"{found.recoveries[0]}"
    )


def test_the_last_of_several_collapses_is_told():
    found = course([ONE] * 60 + [EVEN] * 100 + [ONE] * 100, s0=3.9, s260=1.0)
    assert len(found.onsets) == 2
    assert found.sentence().endswith(f"; the collapse came in training, at step {found.onsets[1]}")


def test_fifty_steps_make_a_collapse_and_forty_nine_do_not():
    assert course([ONE] * 50).onsets == (1,)
    assert course([ONE] * 49).onsets == ()


@pytest.mark.parametrize("load", [FAVOURITE, THREE])
def test_a_favourite_or_a_dead_expert_is_a_skew(load: list[float]):
    assert course([load] * 60).sentence().startswith("layer 0 skewed: ")


def test_a_run_without_a_step_has_no_verdict():
    found = course([], s0=3.9)
    assert (found.verdict, found.lowest, found.lowest_step, found.end) == (None, None, None, 3.9)
    assert found.sentence() == "layer 0: no training step yet"


def test_a_run_without_an_evaluation():
    found = course([EVEN] * 3)
    assert (found.start, found.end) == (None, None)
    assert found.sentence() == "layer 0 balanced: n_eff lowest 4.0 at step 1"


def test_a_run_without_any_row_has_no_course():
    assert courses(*frames([], evaluated={}), top_k=1) == []


def test_layers_are_told_apart():
    parts = [
        frames([EVEN] * 60, evaluated={60: 4.0}, layer=3),
        frames([ONE] * 60, evaluated={60: 1.0}, layer=1),
    ]
    tables = [pd.concat(tables) for tables in zip(*parts, strict=True)]
    found = courses(*tables, top_k=1)
    assert [(each.layer, each.verdict) for each in found] == [(1, "collapsed"), (3, "balanced")]


def test_a_collapse_is_judged_by_how_many_experts_a_token_has():
    # n_eff = 3 of 4: index (4 - 3) / (4 - 1) = 1/3 with one expert per token, 1 with three
    verdicts = [courses(*frames([THREE] * 60, evaluated={}), top_k)[0].verdict for top_k in (1, 3)]
    assert verdicts == ["skewed", "collapsed"]


def at(layer: int, lowest: float | None, end: float | None) -> Course:
    return Course(layer, None, 4, None, lowest, None, end)


def test_the_worst_layer_is_the_one_that_ends_lowest():
    found = [at(0, 1.0, 3.0), at(1, 2.0, 2.5), at(2, 3.0, 3.5)]
    assert worst(found).layer == 1


def test_a_graver_verdict_is_worse_than_a_lower_end():
    found = [at(0, 2.0, 2.5), replace(at(1, 3.0, 3.5), verdict="skewed")]
    assert worst(found).layer == 1
    assert worst([*found, replace(at(2, 4.0, 6.0), verdict="collapsed")]).layer == 2


def test_a_layer_without_an_evaluation_counts_by_its_lowest_step():
    assert worst([at(0, 3.0, None), at(1, 2.0, None)]).layer == 1


def test_nothing_seen_has_no_worst_layer():
    assert worst([]) is None
    assert worst([at(0, None, None)]) is None
