"""Where collapse ends along a setting, as spans of its axis."""

from collections.abc import Sequence
from typing import Any

from moe_lab.figures.axis import Doses
from moe_lab.report.doses import DoseResponse
from moe_lab.statistics import Bracket

WORDS = "collapse ends"
FIRST, STEP = 1.12, 0.1  # of bars above shares of at most 1


def top(bars: int) -> float:
    """Where an axis of shares ends that has room for so many bars, or for the words of one span."""
    return FIRST + STEP * (bars - 1) if bars else 1.0


def spans(doses: Doses, response: DoseResponse) -> list[dict[str, Any]]:
    """The interval, and in it the bracket of the median seed, by the places where they begin and end."""
    found = response.threshold
    if found is None:
        return []
    rising = response.doses[0] <= response.doses[-1]
    return [
        {"kind": kind, **_span(doses, bracket, rising=rising)}
        for kind, bracket in (("interval", found.interval), ("median", found.estimate))
    ]


def _span(doses: Doses, bracket: Bracket, *, rising: bool) -> dict[str, float]:
    """An end that lies off the doses is that of the picture."""
    first, last = doses.ends if rising else doses.ends[::-1]
    start = first if bracket.collapsed is None else doses.places[bracket.collapsed]
    end = last if bracket.safe is None else doses.places[bracket.safe]
    low, high = sorted((start, end))
    return {"at": low, "to": high, "middle": (low + high) / 2}


def bars(
    doses: Doses, responses: Sequence[DoseResponse], labels: Sequence[str]
) -> list[dict[str, Any]]:
    """The same for several combinations of the other settings, each at its height above the shares."""
    return [
        {**span, "kind": f"{span['kind']} bar", "series": label, "value": FIRST + STEP * place}
        for place, (response, label) in enumerate(zip(responses, labels, strict=True))
        for span in spans(doses, response)
    ]
