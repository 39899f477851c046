"""Where the tuning rule for alpha ends at each seed, and what that costs beside the best of the whole grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from moe_lab.plan import run_name
from moe_lab.statistics import Interval, interval
from moe_lab.tuning import ALPHA, Advice, Chain

Losses = Mapping[str, float]  # by run


@dataclass(frozen=True)
class Course:
    """The rule at one seed."""

    seed: int
    alphas: tuple[float, ...]  # that were tried, in order
    advice: tuple[Advice, ...]  # after each; one fewer while the last run has not finished
    loss: float | None  # at the end; None until the rule asks for nothing more
    regret: float | None  # the loss less that of the best point of the grid at this seed


@dataclass(frozen=True)
class Tuned:
    """The rule over all seeds."""

    courses: tuple[Course, ...]
    best: str | None  # the point of lowest mean loss
    regret: Interval | None  # over the seeds at which the rule has ended

    @property
    def runs(self) -> float:
        """Runs that the rule took, mean over seeds."""
        return fmean(len(course.alphas) for course in self.courses)


def tuned(chains: Sequence[Chain], losses: Losses, best: str | None) -> Tuned:
    """The rule's end beside a point of the grid, run for run of one seed.

    The point is chosen on the very seeds that it is judged on, which favours the grid: on other seeds the regret would
    be smaller, in the mean.
    """
    courses = tuple(_course(chain, losses, best) for chain in chains)
    regrets = [course.regret for course in courses if course.regret is not None]
    return Tuned(courses, best, interval(regrets) if regrets else None)


def _course(chain: Chain, losses: Losses, best: str | None) -> Course:
    seed = chain.runs[0].seed
    end = losses.get(chain.chosen.name) if chain.settled else None
    beside = losses.get(run_name(best, seed)) if best else None
    return Course(
        seed=seed,
        alphas=tuple(run.point.settings[ALPHA] for run in chain.runs),
        advice=chain.advice,
        loss=end,
        regret=None if end is None or beside is None else end - beside,
    )
