"""Any file, read as bytes: 256 tokens, and a loss in nats per byte.

The file is divided into equal stretches; the end of each is held out, so that validation comes from several places
and no training window touches it.
"""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moe_lab.data.base import Batch, Source
from moe_lab.streams import Stream

STRETCHES = 10  # places that validation blocks are taken from
HELD_OUT = 0.1  # share of each stretch
HASHED_BLOCKS, HASHED_BYTES = (
    64,
    1 << 20,
)  # a file up to 64 MiB is hashed whole, a larger one at 64 places


def split(n_bytes: int, window: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Training and validation blocks as rows (start, end); every block holds at least one window.

    Short files get fewer stretches. n_bytes must be at least two windows.
    """
    stretches = int(np.clip(n_bytes // (STRETCHES * 2 * window), 1, STRETCHES))
    edges = np.linspace(0, n_bytes, stretches + 1).astype(np.int64)
    held_out = np.maximum(window, (np.diff(edges) * HELD_OUT).astype(np.int64))
    borders = edges[1:] - held_out
    return np.stack([edges[:-1], borders], 1), np.stack([borders, edges[1:]], 1)


def fingerprint(data: NDArray[np.uint8]) -> str:
    """SHA-256 of the length and of up to 64 evenly spaced MiB."""
    digest = hashlib.sha256(str(len(data)).encode())
    starts = np.linspace(0, max(0, len(data) - HASHED_BYTES), HASHED_BLOCKS).astype(np.int64)
    if len(data) <= HASHED_BLOCKS * HASHED_BYTES:
        starts = np.arange(0, len(data), HASHED_BYTES)
    for start in starts:
        digest.update(data[start : start + HASHED_BYTES].tobytes())
    return digest.hexdigest()


class Text(Source):
    """Windows of a file, mapped into memory; training windows start anywhere in the training blocks."""

    def __init__(self, seed: int, *, path: str, seq_len: int = 64):
        self.stream = Stream(seed, ("text",))
        self.vocab_size = 256
        self.domains = (Path(path).stem,)
        self.window = seq_len + 1
        self.data = np.memmap(path, dtype=np.uint8, mode="r")
        self.fingerprint = fingerprint(self.data)
        self.training, self.validation = split(len(self.data), self.window)

    def batch(self, step: int, first: int, size: int) -> Batch:
        """Windows `first` … of a step, every start in the training blocks equally likely."""
        starts = self.training[:, 1] - self.training[:, 0] - self.window + 1  # possible, per block
        ends = np.cumsum(starts)
        uniform = self.stream.at("train", step).words("start", (first + size,))[first:]
        drawn = (uniform % np.uint64(ends[-1])).astype(np.int64)
        block = np.searchsorted(ends, drawn, side="right")
        return self._windows(self.training[block, 1] - self.window + 1 + drawn - ends[block])

    def held_out(self, tokens: int) -> Batch:
        """Windows that share no predicted byte, spread evenly over all validation blocks."""
        starts = np.concatenate(
            [
                np.arange(start, end - self.window + 1, self.window - 1)
                for start, end in self.validation
            ]
        )
        wanted = min(len(starts), max(1, tokens // (self.window - 1)))
        return self._windows(starts[np.linspace(0, len(starts) - 1, wanted).astype(np.int64)])

    def _windows(self, starts: NDArray[np.int64]) -> Batch:
        windows = self.data[starts[:, None] + np.arange(self.window)].astype(np.int64)
        return Batch.of(windows, np.zeros((len(starts), 1), dtype=np.int64))
