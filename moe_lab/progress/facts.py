"""What reporters are told: of a run once and at each step, and of the runs of a sweep."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from moe_lab import escape
from moe_lab.metrics import Load


@dataclass(frozen=True)
class Facts:
    """What does not change while a run trains."""

    directory: str
    steps: int | None  # that it is to make; None: another program knows
    seed: int | None
    device: str
    threads: int
    tokens_per_step: int | None = None
    per_byte: bool = False  # whether a token is a byte

    @classmethod
    def of(cls, directory: str, config: Mapping[str, Any], device: str) -> Self:
        """Of a run of ours, from its settings as JSON has them."""
        train, data = config["train"], config["data"]
        return cls(
            directory=directory,
            steps=train["steps"],
            seed=config["seed"],
            device=device,
            threads=train["threads"],
            tokens_per_step=train["batch_size"] * train["accumulate"] * data["seq_len"],
            per_byte=data.get("dtype") == "bytes" and data.get("tokenizer") is None,
        )

    @property
    def name(self) -> str:
        """The folder's, as a terminal may show it."""
        return escape.line(Path(self.directory).absolute().name)


class Layer(Protocol):
    """What is read of one MoE layer: `tally.Reading` has it."""

    @property
    def top_k(self) -> int: ...  # noqa: D102

    @property
    def dropped(self) -> float: ...  # noqa: D102

    @property
    def load(self) -> Load: ...  # noqa: D102

    @property
    def cv(self) -> float: ...  # noqa: D102

    @property
    def n_eff(self) -> float: ...  # noqa: D102


class Deaths(Protocol):
    """What is read of the experts that a window of steps left out."""

    @property
    def dead_experts(self) -> float: ...  # noqa: D102


class Step(Protocol):
    """What is read of one optimizer step, nan where it is not known: `rows.Step` has it."""

    @property
    def step(self) -> int: ...  # noqa: D102

    @property
    def lm_loss(self) -> float: ...  # noqa: D102

    @property
    def aux_loss(self) -> float: ...  # noqa: D102

    @property
    def grad_norm(self) -> float: ...  # noqa: D102

    @property
    def layers(self) -> Mapping[int, Layer]: ...  # noqa: D102

    @property
    def deaths(self) -> Mapping[int, Deaths | None]: ...  # noqa: D102


def worst_n_eff(result: Step) -> float | None:
    """n_eff of the worst MoE layer; None if there is none."""
    return min((layer.n_eff for layer in result.layers.values()), default=None)


FAILED = ("failed", "diverged")
OVER = ("finished", *FAILED)  # nothing is left to do


@dataclass(frozen=True)
class Row:
    """What was last told of one run of a sweep."""

    name: str
    state: str = "running"
    step: int = 0
    steps: int = 0  # 0 until a step is told
    before: int = 0  # steps done before this session
    lm_loss: float | None = None
    n_eff: float | None = None
    error: str = ""

    @property
    def done(self) -> float:
        """Share of the run done in this session."""
        if self.state == "finished":
            return 1 - self.before / max(self.steps, 1)
        return (self.step - self.before) / max(self.steps, 1)

    @property
    def over(self) -> float:
        """Share of the run that is not left to do."""
        return 1.0 if self.state in OVER else self.step / max(self.steps, 1)
