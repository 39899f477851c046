"""Whether training still gains anything near its end, in the task and in balance."""

from typing import TYPE_CHECKING

from moe_lab.report.layers import plain

if TYPE_CHECKING:
    import pandas as pd


def falls(
    steps: "pd.DataFrame", aux: "pd.DataFrame", balancer: str | None
) -> dict[str, float | None]:
    """By how much the mean of the last quarter of training is below that of the quarter before.

    lm_loss_fall in nats; balance_fall as a share of the balance loss, mean over layers. None where there is none.
    """
    raw = f"{balancer}_raw"
    before, after = _quarters(aux[aux["split"] == "train"], raw)
    task_before, task_after = _quarters(steps, "lm_loss")
    return {
        "lm_loss_fall": plain(task_before - task_after),
        "balance_fall": plain((before - after) / before) if before else None,
    }


def _quarters(table: "pd.DataFrame", column: str) -> tuple[float, float]:
    """Means over the third and the last quarter of the steps; not a number where there is nothing."""
    if column not in table:
        return float("nan"), float("nan")
    done = table["step"] / table["step"].max()
    third, last = table[(done > 0.5) & (done <= 0.75)], table[done > 0.75]
    return float(third[column].mean()), float(last[column].mean())
