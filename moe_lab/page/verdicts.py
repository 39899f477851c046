"""Verdicts as a page shows them: a word, a colour and a shape, and how many runs have each."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from moe_lab.figures.style import VERDICTS

SHAPES = {"collapsed": "▼", "skewed": "◆", "balanced": "●"}  # of other kinds than those of figures


@dataclass(frozen=True)
class Badge:
    """A verdict, and how many have it where there are several."""

    word: str
    colour: str
    shape: str
    count: int | None = None


def badges(found: Sequence[str | None]) -> Iterator[Badge]:
    """The verdicts of runs, the gravest first."""
    counts = Counter(verdict for verdict in found if verdict)
    for word, colour in VERDICTS.items():
        if counts[word]:
            yield Badge(word, colour, SHAPES[word], counts[word] if len(found) > 1 else None)


def counted(found: Sequence[str | None]) -> str:
    """`Of 3 runs, 2 collapsed and 1 balanced.`; empty if no verdict is known."""
    parts = [f"{badge.count} {badge.word}" for badge in badges([*found, None])]
    whole = ", ".join([*parts[:-2], " and ".join(parts[-2:])])
    return f"Of {len(found)} runs: {whole}." if parts else ""
