"""Keyed randomness: every draw is a pure function of (seed, purpose, indices).

No generator holds state, so nothing has to be saved for a resume, and switching one random thing on or off moves
no other. Words come from Philox (Salmon et al. 2011), whose raw output is the same on every machine; all maps from
words to numbers are exact integer arithmetic, but for `normal`, which ends in one double-precision quantile.
"""

import hashlib
import json
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Shape = tuple[int, ...]

COUNTED = 4  # words that Philox makes of one value of its counter


@dataclass(frozen=True)
class Stream:
    """A place in a run from which draws are made: a seed and the indices that lead there."""

    seed: int
    index: tuple[int | str, ...] = ()
    first_row: int = 0  # of every draw: the rows before it are another rank's

    def at(self, *index: int | str) -> "Stream":
        """The stream one step further in: a training step, a micro-batch, a layer, a parameter's name."""
        return replace(self, index=self.index + index)

    def after(self, rows: int) -> "Stream":
        """The same stream without the first rows of each draw, which cost nothing."""
        return replace(self, first_row=self.first_row + rows)

    def words(self, purpose: str, shape: Shape) -> NDArray[np.uint64]:
        """Raw 64-bit words, row after row along the first axis."""
        key = json.dumps(["moe-lab/1", self.seed, purpose, *self.index], separators=(",", ":"))
        digest = hashlib.sha256(key.encode()).digest()[:16]
        counter, skipped = divmod(self.first_row * int(np.prod(shape[1:])), COUNTED)
        philox = np.random.Philox(key=np.frombuffer(digest, dtype="<u8"), counter=counter)
        drawn = np.asarray(philox.random_raw(skipped + int(np.prod(shape))))
        return drawn[skipped:].reshape(shape)

    def integers(self, purpose: str, shape: Shape) -> NDArray[np.int64]:
        """Integers in [0, 2**24)."""
        return (self.words(purpose, shape) >> np.uint64(40)).astype(np.int64)

    def uniform(self, purpose: str, shape: Shape) -> NDArray[np.float64]:
        """Numbers in (0, 1), exact multiples of 2**-25."""
        return np.multiply(2 * self.integers(purpose, shape) + 1, 2.0**-25, dtype=np.float64)

    def choices(
        self, purpose: str, shape: Shape, weights: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Indices, each as likely as its share of the weights, to 2**-24."""
        thresholds = np.ceil(np.cumsum(weights)[:-1] / np.sum(weights) * 2**24)
        return np.searchsorted(thresholds, self.integers(purpose, shape), side="right")

    def normal(self, purpose: str, shape: Shape) -> Tensor:
        """Standard normal draws as float32 on the CPU: the double-precision quantile of `uniform`."""
        quantiles: Tensor = torch.special.ndtri(torch.from_numpy(self.uniform(purpose, shape)))
        return quantiles.float()

    def permutation(self, purpose: str, *shape: int) -> NDArray[np.int64]:
        """An order of 0 … n-1, every order equally likely; n numbers lie in rows of that shape."""
        return np.argsort(self.words(purpose, shape).ravel(), kind="stable")
