"""Steps as a reporter reads them, without a model."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest

from moe_lab import metrics
from moe_lab.progress import Facts, Story

FACTS = Facts("runs/x", steps=10, seed=0, device="cpu", threads=1, tokens_per_step=100)


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


def story(directory: str = "runs/x", step: int = 0, **facts: object) -> Story:
    """A run of which no step was told; by default of 10 steps of 100 tokens."""
    return Story(replace(FACTS, directory=directory, **facts), step)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True
