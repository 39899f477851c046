from collections.abc import Callable, Mapping
from typing import Any

import pytest

from moe_lab.plan import PlannedRun
from moe_lab.tuning import ALPHA, FACTOR, START, TRIALS, Chain, advise, follow


def outcomes(max_violation: float = 0.2, task: float = 0.5, balance: float = 0.0) -> dict[str, Any]:
    return {"max_violation": max_violation, "lm_loss_fall": task, "balance_fall": balance}


@pytest.mark.parametrize(
    ("found", "advice"),
    [
        (outcomes(max_violation=1.01), "raise"),
        (outcomes(max_violation=1.0), "keep"),  # twice the fair share is the limit
        (outcomes(task=0.0099, balance=0.011), "lower"),
        (outcomes(task=0.01, balance=0.5), "keep"),  # the task still gains
        (outcomes(task=0.0, balance=0.01), "keep"),  # balance has stopped falling, too
        (outcomes(max_violation=3.0, task=0.0, balance=0.5), "raise"),  # collapse goes first
        ({"max_violation": 0.1, "lm_loss_fall": None, "balance_fall": None}, "keep"),
    ],
)
def test_what_the_rule_advises(found: Mapping[str, Any], advice: str) -> None:
    assert advise(found) == advice


def test_half_of_all_tokens_is_no_alarm_where_that_is_the_fair_share() -> None:
    # 4 experts, top-2, perfectly balanced: each expert gets half of the tokens, and max_violation is 0
    assert advise(outcomes(max_violation=0.0)) == "keep"


def alphas(chain: Chain) -> list[float]:
    return [run.point.settings[ALPHA] for run in chain.runs]


def chain(answer: Callable[[float], Mapping[str, Any] | None]) -> Chain:
    def read(run: PlannedRun) -> Mapping[str, Any] | None:
        assert run.seed == 7
        return answer(run.point.settings[ALPHA])

    return follow(7, read)


def test_before_its_first_run_has_finished_the_rule_asks_for_no_other() -> None:
    found = chain(lambda alpha: None)
    assert (alphas(found), found.advice, found.settled) == ([START], (), False)


def test_alpha_rises_until_no_expert_has_twice_its_share() -> None:
    found = chain(lambda alpha: outcomes(max_violation=2.0 if alpha < 0.05 else 0.1))
    assert alphas(found) == [0.01, 0.03, 0.09]
    assert found.advice == ("raise", "raise", "keep")
    assert found.settled
    assert found.chosen.name == "alpha-0.09-s7"


def test_a_raise_that_is_taken_back_ends_the_rule_and_does_not_go_in_a_circle() -> None:
    found = chain(
        lambda alpha: (
            outcomes(max_violation=2.0) if alpha < 0.02 else outcomes(task=0.0, balance=0.5)
        )
    )
    assert alphas(found) == [0.01, 0.03]
    assert found.advice == ("raise", "lower")
    assert found.settled


def test_the_rule_ends_after_so_many_trials() -> None:
    found = chain(lambda alpha: outcomes(max_violation=5.0))
    assert len(found.runs) == TRIALS
    assert alphas(found)[-1] == pytest.approx(START * FACTOR ** (TRIALS - 1))
    assert found.settled


def test_a_run_in_the_middle_that_has_not_finished_holds_the_rule_up() -> None:
    found = chain(lambda alpha: outcomes(max_violation=2.0) if alpha < 0.02 else None)
    assert (alphas(found), found.advice, found.settled) == ([0.01, 0.03], ("raise",), False)


def test_the_first_run_is_the_grid_s_own() -> None:
    (first,) = chain(lambda alpha: None).runs
    assert first.name == "alpha-0.01-s7"
