"""Steps as a reporter reads them, without a model."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from moe_lab import metrics


@dataclass(frozen=True)
class SeenLayer:
    counts: Sequence[int]
    top_k: int = 1
    dropped: float = 0.0

    @property
    def load(self) -> metrics.Load:
        return metrics.load(self.counts)

    @property
    def cv(self) -> float:
        return metrics.cv(self.load)

    @property
    def n_eff(self) -> float:
        return metrics.n_eff(self.load)


@dataclass(frozen=True)
class SeenDeaths:
    dead_experts: float


@dataclass(frozen=True)
class SeenStep:
    step: int
    layers: dict[int, SeenLayer]
    deaths: dict[int, SeenDeaths | None]
    lm_loss: float = 2.5
    aux_loss: float = 0.01
    grad_norm: float = 0.84


See = Callable[..., SeenStep]


@pytest.fixture
def see() -> See:
    """A step from the counts of each layer's experts."""

    def build(step: int, *counts: Sequence[int], dead_experts: float | None = None) -> SeenStep:
        layers = {i: SeenLayer(layer) for i, layer in enumerate(counts)}
        deaths = None if dead_experts is None else SeenDeaths(dead_experts)
        return SeenStep(step, layers, dict.fromkeys(layers, deaths))

    return build


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True
