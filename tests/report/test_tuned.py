import pytest

from moe_lab.plan import PlannedRun, Point
from moe_lab.report.tuned import tuned
from moe_lab.tuning import ALPHA, Advice, Chain


def chain(seed: int, alphas: list[float], *advice: Advice) -> Chain:
    runs = (PlannedRun(Point(f"alpha-{alpha}", {ALPHA: alpha}), seed) for alpha in alphas)
    return Chain(tuple(runs), advice)


LOSSES = {
    "alpha-0.1-s0": 1.0,
    "alpha-0.1-s1": 2.0,
    "alpha-0.03-s0": 1.5,
    "alpha-0.01-s1": 1.9,
}


def test_regret_is_the_loss_at_the_rule_s_end_less_that_of_the_best_point_at_the_same_seed() -> (
    None
):
    chains = [chain(0, [0.01, 0.03], "raise", "keep"), chain(1, [0.01], "keep")]
    found = tuned(chains, LOSSES, "alpha-0.1")
    first, second = found.courses
    assert (first.alphas, first.advice, first.loss) == ((0.01, 0.03), ("raise", "keep"), 1.5)
    assert (first.regret, second.regret) == (0.5, pytest.approx(-0.1))
    assert found.regret is not None
    assert found.regret.mean == pytest.approx(0.2)  # (.5 - .1) / 2
    assert found.regret.n == 2
    assert found.runs == 1.5


def test_a_rule_that_still_waits_for_a_run_has_no_regret() -> None:
    found = tuned([chain(0, [0.01, 0.03], "raise")], LOSSES, "alpha-0.1")
    assert (found.courses[0].loss, found.courses[0].regret, found.regret) == (None, None, None)


def test_without_the_best_point_at_its_seed_a_course_has_a_loss_and_no_regret() -> None:
    found = tuned([chain(0, [0.03], "keep")], LOSSES, "alpha-1")
    assert (found.courses[0].loss, found.regret) == (1.5, None)
    assert tuned([chain(0, [0.03], "keep")], LOSSES, None).regret is None
