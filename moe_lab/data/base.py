"""A source of token sequences, and what is known about them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Sequences with their domains, on the CPU. B sequences of S tokens, each with the token after it."""

    inputs: Int[Tensor, "B S"]
    targets: Int[Tensor, "B S"]
    domains: Int[Tensor, "B S"]  # index into Source.domains, of each input token

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        return Batch(self.inputs.to(device), self.targets.to(device), self.domains.to(device))

    @classmethod
    def of(cls, sequences: NDArray[np.int64], domains: NDArray[np.int64]) -> "Batch":
        """From sequences (B, S + 1) and one domain per token (B, S) or per sequence (B, 1)."""
        tokens = torch.from_numpy(sequences)
        labels = torch.from_numpy(np.broadcast_to(domains, tokens[:, 1:].shape).copy())
        return cls(tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous(), labels)


@dataclass(frozen=True)
class Rung:
    """A loss that needs no training to know: what a predictor of a given kind can reach at best."""

    name: str
    loss: float  # nats per token
    error: float = 0.0  # standard error, where the value is a mean over sampled sequences


class Source(ABC):
    """Training sequences are a pure function of (seed, step, number); evaluation data are fixed."""

    vocab_size: int
    domains: tuple[str, ...]
    fingerprint: str  # SHA-256: two sources with the same one give the same tokens
    labelled: bool = True  # whether domains tell something: false where all tokens have the same
    bytes_per_token: float | None = None  # where tokens stand for bytes

    @abstractmethod
    def batch(self, step: int, first: int, size: int) -> Batch:
        """Training sequences `first` … `first + size - 1` of a step, however the step is divided."""

    @abstractmethod
    def held_out(self, tokens: int) -> Batch:
        """At least one and otherwise at most `tokens` tokens of evaluation data, in whole sequences."""

    def bayes(self, batch: Batch) -> NDArray[np.float64] | None:
        """The best possible next-token probabilities (B, S, V) given the past; None if unknown."""
        return None

    def map_domains(self, batch: Batch) -> NDArray[np.int64] | None:
        """The most probable domain (B, S) of each input token given the tokens so far; None if unknown."""
        return None

    def ladder(self) -> tuple[Rung, ...]:
        """Known losses, worst first."""
        return (Rung("uniform", float(np.log(self.vocab_size))),)
