"""The tuning rule for alpha of the practitioners' guides, from one finished run to the next.

Start at 0.01; if an expert gets far more than its share, multiply alpha by 2 to 3; if the task loss stands still
while the balance loss goes on falling, lower it. "More than half of the tokens" would fire at perfect balance of
4 experts with top-2, so the threshold here is relative: a maximal violation over 1, twice the fair share.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from moe_lab.plan import PlannedRun, Point

ALPHA = "moe.alpha"
START = 0.01
FACTOR = 3.0  # alpha is multiplied or divided by it
LIMIT = 1.0  # max_violation of the worst layer, above which alpha is raised
STANDSTILL = (
    0.01  # nats by which lm_loss falls from the third to the last quarter of training, at most
)
FALLING = 0.01  # of the balance loss, by which it falls meanwhile, at least
TRIALS = 6  # runs per seed, at most

Outcomes = Mapping[str, Any]
Advice = Literal["raise", "lower", "keep"]


@dataclass(frozen=True)
class Chain:
    """The runs that the rule asked for at one seed, with its advice after each that has finished."""

    runs: tuple[PlannedRun, ...]
    advice: tuple[Advice, ...]

    @property
    def settled(self) -> bool:
        """Whether the rule asks for nothing more: it is content, goes in a circle, or has had its trials."""
        return len(self.advice) == len(self.runs)

    @property
    def chosen(self) -> PlannedRun:
        """The last run: what somebody who follows the rule ends with."""
        return self.runs[-1]


def advise(outcomes: Outcomes) -> Advice:
    """What the rule says after a run."""
    if outcomes["max_violation"] > LIMIT:
        return "raise"
    task, balance = outcomes["lm_loss_fall"], outcomes["balance_fall"]
    if task is None or balance is None:  # a run of fewer than four steps
        return "keep"
    return "lower" if task < STANDSTILL and balance > FALLING else "keep"


def follow(seed: int, read: Callable[[PlannedRun], Outcomes | None]) -> Chain:
    """The rule from its start as far as runs have finished; `read` gives None for one that has not."""
    runs = [_run(START, seed)]
    advice: list[Advice] = []
    while (outcomes := read(runs[-1])) is not None:
        advice.append(advise(outcomes))
        alpha = runs[-1].point.settings[ALPHA]
        changed = {"raise": alpha * FACTOR, "lower": alpha / FACTOR, "keep": alpha}[advice[-1]]
        following = _run(float(f"{changed:.6g}"), seed)
        if following in runs or len(runs) == TRIALS:
            break
        runs.append(following)
    return Chain(tuple(runs), tuple(advice))


def _run(alpha: float, seed: int) -> PlannedRun:
    name = f"alpha-{alpha!r}".removesuffix(
        ".0"
    )  # as the grid would call it, which may have this point, too
    return PlannedRun(Point(name, {ALPHA: alpha}), seed)
