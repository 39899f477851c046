"""A sweep in numbers: rows of points, marks, and what is counted where runs are missing."""

from pathlib import Path

import pytest
from conftest import Cli, small

from moe_lab.config import load
from moe_lab.plan import Plan, PlannedRun, Point
from moe_lab.report import sweep_reading, sweeps
from moe_lab.report.outcomes import glances
from moe_lab.report.sweeps import Analysis, Row
from moe_lab.statistics import Interval, interval, wilson
from moe_lab.store.sweep import RunState, StoredSweep, create_sweep

from .sweeps_by_hand import alphas, base, found, gaps, plan


def rows(analysis: Analysis) -> dict[str, Row]:
    return {row.point: row for row in analysis.points}


def test_a_row_has_the_mean_of_its_seeds_and_their_paired_difference():
    row = rows(gaps({0.0: [0.30, 0.33, 0.33], 0.01: [0.20, 0.22, 0.24]}, baseline=1))
    # mean .32, s = .01 sqrt 3, so half = t(.975, 2) s / sqrt 3 = 4.302653 * .01
    assert row["0.0"].loss == Interval(pytest.approx(0.32), pytest.approx(0.04302653), 3)
    difference = row["0.0"].difference
    assert difference is not None
    # .10, .11, .09: mean .10, s = .01, half = 4.302653 * .01 / sqrt 3
    assert difference.interval.mean == pytest.approx(0.10)
    assert difference.interval.half_width == pytest.approx(0.0248414, abs=1e-7)
    assert (difference.lower, difference.higher) == (0, 3)
    assert row["0.01"].difference is None


def test_one_seed_has_no_interval():
    loss = gaps({0.0: [0.3]}).points[0].loss
    assert loss == Interval(0.3, None, 1)


def test_unequal_seeds_are_paired_by_seed():
    # finished: seeds 1, 2 of one and 0, 2 of the other; they share seed 2
    analysis = alphas(
        {0.0: ["died", found(0.5), found(0.75)], 1.0: [found(9.0), None, found(0.25)]}
    )
    zero, one = analysis.points
    assert (zero.n, zero.failed, one.n, one.failed) == (2, 1, 2, 0)
    assert zero.loss == interval([0.5, 0.75])
    assert one.difference is not None
    assert one.difference.interval == Interval(-0.5, None, 1)


def test_a_point_of_which_nothing_finished_has_only_its_counts():
    row = rows(alphas({0.0: ["a", "b"], 1.0: [found(), found()]}))["0.0"]
    assert (row.n, row.failed) == (0, 2)
    assert (row.loss, row.cv, row.n_eff, row.collapsed, row.verdict, row.best, row.front) == (
        *(None,) * 5,
        *(False,) * 2,
    )


def test_a_run_that_has_not_finished_counts_for_nothing_though_it_has_outcomes():
    planned = plan([{"moe.alpha": 0.0}], seeds=2)
    states = dict(zip(("finished", "stopped"), planned.runs, strict=True))
    analysis = sweeps.analyse(
        "sweep-alpha",
        planned,
        base(),
        {run.name: RunState(run, state) for state, run in states.items()},
        {run.name: found(seed) for seed, run in enumerate(planned.runs)},
    )
    (row,) = analysis.points
    assert (row.n, row.failed, row.loss) == (1, 0, Interval(0.0, None, 1))
    assert [run.outcomes["gap"] for run in analysis.runs] == [0, 1]  # told of, run by run


def test_errors_are_their_first_lines():
    runs = alphas({0.0: ["ValueError: odd\n  at line 3", "", None]}).runs
    assert [run.error for run in runs] == ["ValueError: odd", None, None]
    assert [run.state for run in runs] == ["failed", "failed", "pending"]


def test_the_loss_is_the_gap_where_all_finished_runs_know_it():
    assert gaps({0.0: [0.5], 1.0: [0.25]}).loss == "gap"
    mixed = alphas({0.0: [found(0.5)], 1.0: [found(None, lm_loss=4.5)]})
    assert mixed.loss == "lm_loss"
    assert [row.loss and row.loss.mean for row in mixed.points] == [4.0, 4.5]


def test_a_measure_that_one_seed_lacks_is_unknown():
    row = alphas({0.0: [found(), found(dead_experts=None, cv=None)]}).points[0]
    assert (row.dead_experts, row.cv, row.n_eff) == (None, None, 7.5)
    assert not row.front


def test_measures_are_means_and_the_rate_is_a_median():
    seeds = [found(n_eff=n, dropped=n / 8, tokens_per_s=10.0**n) for n in (1.0, 2.0, 6.0)]
    row = alphas({0.0: seeds}).points[0]
    assert (row.n_eff, row.dropped, row.tokens_per_s) == (3.0, 0.375, 100.0)


def test_collapses_are_counted_with_their_interval():
    verdicts = ("collapsed", "balanced", "collapsed")
    row = alphas({0.0: [found(verdict=verdict) for verdict in verdicts]}).points[0]
    assert row.collapsed == wilson(2, 3)


@pytest.mark.parametrize(
    ("verdicts", "median"),
    [
        (["balanced", "collapsed", "skewed"], "skewed"),
        (["balanced", "collapsed", "balanced"], "balanced"),
        (["collapsed", "balanced"], "collapsed"),  # of an even number the graver
        (["skewed", "balanced", "balanced", "collapsed"], "skewed"),
        ([None], None),
    ],
)
def test_the_verdict_of_a_point_is_the_upper_median(verdicts: list[str], median: str):
    assert alphas({0.0: [found(verdict=v) for v in verdicts]}).points[0].verdict == median


def test_a_model_without_experts_has_no_collapses_to_count():
    assert alphas({0.0: [found(verdict=None)]}).points[0].collapsed is None


def test_the_best_has_the_lowest_mean_and_the_front_is_in_loss_and_cv():
    places = {0.0: (0.5, 0.25), 0.1: (0.25, 0.5), 1.0: (0.5, 0.125), 2.0: (0.75, 0.125)}
    points = alphas({a: [found(gap, cv=cv)] for a, (gap, cv) in places.items()}).points
    assert [row.settings["moe.alpha"] for row in points if row.best] == [0.1]
    assert [row.settings["moe.alpha"] for row in points if row.front] == [0.1, 1.0]


def test_the_margin_is_an_argument():
    results = {0.0: [0.5, 0.5, 0.5], 1.0: [0.53, 0.529, 0.531]}
    strict, lenient = gaps(results), gaps(results, margin=0.05)
    decisions = [a.points[1].difference for a in (strict, lenient)]
    assert [d and d.decision for d in decisions] == [None, "equivalent"]
    assert lenient.margin == 0.05


def test_p_values_are_adjusted_over_the_table():
    lower = [0.25 + i / 1000 for i in range(6)]
    analysis = gaps({0.0: [0.5] * 6, 1.0: lower, 2.0: lower, 3.0: lower})
    assert [r.difference and r.difference.p_holm for r in analysis.points] == [
        None,
        *[3 * 2 / 2**6] * 3,
    ]


def test_the_order_in_which_runs_are_told_of_does_not_matter():
    results = {0.0: [found(0.1), found(0.3), "x"], 1.0: [found(0.7), found(0.2), None]}
    assert alphas(results) == alphas(results, backwards=True)


def test_the_threshold_is_of_finished_runs():
    def seeds(verdict: str) -> list[sweeps.Outcomes]:
        return [found(verdict=verdict)] * 2

    (threshold,) = alphas({0.0: seeds("collapsed"), 1.0: seeds("balanced")}).thresholds
    assert threshold.sentence().startswith("collapse ends between moe.alpha 0 and 1 ")
    assert alphas({0.0: seeds("collapsed"), 1.0: ["x", "y"]}).thresholds == ()


# From a folder


@pytest.fixture(scope="module")
def stored(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> StoredSweep:
    """Two points at one seed, of which the second has not begun."""
    config = load(None, small("name=tiny", "steps=3", "eval.every=3"))
    points = tuple(Point(f"alpha-{alpha:g}", {"moe.alpha": alpha}) for alpha in (0.0, 0.5))
    planned = Plan(("moe.alpha",), points, (3,), points[0].name)
    runs: Path = tmp_path_factory.mktemp("runs")
    sweep = create_sweep(runs, "sweep-alpha", planned, base=config.dump(), config=b"")
    settings = small("steps=3", "eval.every=3", "alpha=0.0", "seed=3", "name=alpha-0-s3")
    done = cli("train", *settings, "--runs-dir", sweep.directory)
    assert done.exit_code == 0, done.stderr
    return sweep


def test_a_stored_sweep_is_read_as_far_as_it_is(stored: StoredSweep):
    analysis = sweep_reading.read(stored)
    assert (analysis.name, analysis.base, analysis.seeds) == ("sweep-alpha", "tiny", (3,))
    assert [(run.name, run.state) for run in analysis.runs] == [
        ("alpha-0-s3", "finished"),
        ("alpha-0.5-s3", "pending"),
    ]
    (glance,) = glances([stored.run_directory(PlannedRun(stored.plan.points[0], 3))])
    assert analysis.runs[0].outcomes == glance.outcomes
    assert analysis.points[0].loss == Interval(glance.outcomes["gap"], None, 1)
    assert analysis.facts["train.steps"] == 3
