"""Each arm of a table less one of them, seed by seed: how large the difference is, and what it decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from moe_lab.statistics import Interval, equivalence_p, holm, interval, sign_flip_ps, signs

SIGNIFICANT = 0.05
BySeed = Mapping[int, float]


@dataclass(frozen=True)
class Difference:
    """Of a loss from the baseline's at the same seed. p_holm is adjusted for all arms of the table."""

    interval: Interval
    lower: int  # seeds whose loss is below the baseline's
    higher: int
    p: float | None  # two-sided, by sign flips; None below six seeds
    p_holm: float | None
    equivalence_p: float | None  # of a mean within the margin; None for one seed
    equivalence_p_holm: float | None
    decision: str | None  # equivalent | lower | higher | undecided; None: too few seeds to say


def differences(
    losses: Sequence[BySeed], baseline: BySeed, margin: float
) -> list[Difference | None]:
    """One per arm, of the seeds that it shares with the baseline; None without any, and for the baseline itself.

    margin: what is surely within it, in the unit of the loss, is equivalent.
    """
    found = [[] if arm is baseline else _paired(arm, baseline) for arm in losses]
    chance = sign_flip_ps(found)
    alike = [equivalence_p(values, margin) for values in found]
    tests = zip(chance, holm(chance), alike, holm(alike), strict=True)
    return [
        _difference(values, *test) if values else None
        for values, test in zip(found, tests, strict=True)
    ]


def _paired(arm: BySeed, baseline: BySeed) -> list[float]:
    return [loss - baseline[seed] for seed, loss in arm.items() if seed in baseline]


def _difference(
    values: Sequence[float],
    p: float | None,
    p_holm: float | None,
    equivalence_p: float | None,
    equivalence_p_holm: float | None,
) -> Difference:
    mean, (lower, higher) = interval(values), signs(values)
    return Difference(
        interval=mean,
        lower=lower,
        higher=higher,
        p=p,
        p_holm=p_holm,
        equivalence_p=equivalence_p,
        equivalence_p_holm=equivalence_p_holm,
        decision=_decision(mean.mean, p_holm, equivalence_p_holm),
    )


def _decision(mean: float, p: float | None, equivalence_p: float | None) -> str | None:
    """Equivalence comes first: a difference may be certain and too small to matter."""
    if equivalence_p is not None and equivalence_p < SIGNIFICANT:
        return "equivalent"
    if p is None:
        return None
    if p >= SIGNIFICANT:
        return "undecided"
    return "lower" if mean < 0 else "higher"
