import pandas as pd
import pytest

from moe_lab.report.trends import falls

STEPS = pd.DataFrame({"step": range(1, 9), "lm_loss": [9.0, 9, 9, 9, 4, 3, 2, 1]})


def aux(raw: list[float], split: str = "train") -> pd.DataFrame:
    """Two layers of one loss each step: they are averaged."""
    rows = [(1 + i // 2, split, i % 2, value) for i, value in enumerate(raw)]
    return pd.DataFrame(rows, columns=["step", "split", "layer", "switch_raw"])


def test_the_last_quarter_is_compared_with_the_quarter_before() -> None:
    # task: (4 + 3)/2 - (2 + 1)/2 = 2; balance: (1.9 + 2.1)/2 = 2 in steps 5-6, 1.5 in 7-8: a fall by a quarter
    balance = [7.0, 9] * 4 + [1.9, 2.1] * 2 + [1.0, 2.0] * 2
    assert falls(STEPS, aux(balance), "switch") == {
        "lm_loss_fall": 2.0,
        "balance_fall": pytest.approx(0.25),
    }


def test_evaluations_do_not_count() -> None:
    mixed = pd.concat([aux([2.0] * 12 + [1.0] * 4), aux([50.0] * 16, "eval")])
    assert falls(STEPS, mixed, "switch")["balance_fall"] == pytest.approx(0.5)


@pytest.mark.parametrize("balancer", ["loss_free", None])
def test_a_balancer_without_a_loss_has_no_fall(balancer: str | None) -> None:
    assert falls(STEPS, aux([1.0] * 16), balancer)["balance_fall"] is None


def test_too_few_steps_have_no_fall() -> None:
    assert falls(STEPS[:0], aux([]), "switch") == {"lm_loss_fall": None, "balance_fall": None}
    assert falls(STEPS[:1], aux([1.0, 1.0]), "switch")["lm_loss_fall"] is None
