"""Some of what could be tried, always the same."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def sample(found: Sequence[T], n: int) -> list[T]:
    """So many of them; all if negative, or if there are no more."""
    return list(found) if n < 0 or n >= len(found) else random.Random(0).sample(found, n)
