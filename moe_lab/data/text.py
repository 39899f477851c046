"""Files as one stream of tokens each: bytes, what a tokenizer makes of the text, or stored token ids.

A file is divided into equal stretches; the end of each is held out, so that validation comes from several places
and no training window touches it. With several files, a window's file is drawn by weight and is its domain.
The loss is in nats per token, which for bytes is nats per byte.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from moe_lab.corpus import BYTE_ORDERED, files
from moe_lab.data.base import Batch, Source
from moe_lab.errors import ConfigError
from moe_lab.number_file import NumberFile
from moe_lab.streams import Stream

STRETCHES = 10  # places that validation blocks are taken from
HELD_OUT = 0.1  # share of each stretch
HASHED_BLOCKS, HASHED_BYTES = (
    64,
    1 << 20,
)  # a file up to 64 MiB is hashed whole, a larger one at 64 places
PIECE = 1 << 20  # characters given to a tokenizer at once, up to the end of a line


def split(n_tokens: int, window: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Training and validation blocks as rows (start, end); every block holds at least one window.

    Short files get fewer stretches. n_tokens must be at least two windows.
    """
    stretches = int(np.clip(n_tokens // (STRETCHES * 2 * window), 1, STRETCHES))
    edges = np.linspace(0, n_tokens, stretches + 1).astype(np.int64)
    held_out = np.maximum(window, (np.diff(edges) * HELD_OUT).astype(np.int64))
    borders = edges[1:] - held_out
    return np.stack([edges[:-1], borders], 1), np.stack([borders, edges[1:]], 1)


def fingerprint(data: NDArray[np.uint8] | NumberFile) -> str:
    """SHA-256 of the length and of up to 64 evenly spaced MiB."""
    digest = hashlib.sha256(str(len(data)).encode())
    starts = np.linspace(0, max(0, len(data) - HASHED_BYTES), HASHED_BLOCKS).astype(np.int64)
    if len(data) <= HASHED_BLOCKS * HASHED_BYTES:
        starts = np.arange(0, len(data), HASHED_BYTES)
    for start in starts:
        digest.update(data[start : start + HASHED_BYTES].tobytes())
    return digest.hexdigest()


def as_bytes(tokens: NDArray[Any] | NumberFile) -> NDArray[np.uint8] | NumberFile:
    """What tokens look like in a file."""
    return (
        NumberFile(tokens.path, "u1") if isinstance(tokens, NumberFile) else tokens.view(np.uint8)
    )


class File:
    """The tokens of one file and its windows: `window` tokens in a row."""

    def __init__(self, tokens: NDArray[Any] | NumberFile, window: int):
        self.tokens, self.window = tokens, window
        self.training, self.validation = split(len(tokens), window)
        lengths = self.training[:, 1] - self.training[:, 0]
        self.ends = np.cumsum(lengths - window + 1)  # training windows up to and with each block

    def drawn(self, words: NDArray[np.uint64]) -> NDArray[np.int64]:
        """One training window (n, window) per word, every start in the training blocks equally likely."""
        drawn = (words % np.uint64(self.ends[-1])).astype(np.int64)
        block = np.searchsorted(self.ends, drawn, side="right")
        return self._windows(self.training[block, 1] - self.window + 1 + drawn - self.ends[block])

    def held_out(self, wanted: int) -> NDArray[np.int64]:
        """Windows that share no predicted token, spread evenly over all validation blocks."""
        (starts, ends), stride = self.validation.T, self.window - 1
        counts = (ends - starts - 1) // stride
        last = np.cumsum(counts)  # held-out windows up to and with each block
        places = np.linspace(0, last[-1] - 1, min(int(last[-1]), wanted)).astype(np.int64)
        block = np.searchsorted(last, places, side="right")
        return self._windows(starts[block] + (places - last[block] + counts[block]) * stride)

    def _windows(self, starts: NDArray[np.int64]) -> NDArray[np.int64]:
        windows = np.empty((len(starts), self.window), dtype=np.int64)
        for window, start in zip(windows, starts.tolist(), strict=True):
            window[:] = self.tokens[start : start + self.window]
        return windows


class Text(Source):
    """Windows of files, which are read as they are needed unless they pass through a tokenizer."""

    def __init__(
        self,
        seed: int,
        *,
        path: str | dict[str, str],
        weights: dict[str, float] | None = None,
        tokenizer: str | None = None,
        dtype: Literal["bytes", "uint16", "uint32"] = "bytes",
        vocab_size: int | None = None,
        seq_len: int = 64,
    ):
        self.stream, self.seq_len = Stream(seed, ("text",)), seq_len
        paths = files(path)
        self.domains, self.labelled = tuple(paths), len(paths) > 1
        if tokenizer is None:
            self.vocab_size, stored = vocab_size or 256, BYTE_ORDERED[dtype]
            self.files = [File(NumberFile(p, stored), seq_len + 1) for p in paths.values()]
        else:
            encode = Encoder(tokenizer)
            self.vocab_size = encode.vocab_size
            self.files = [File(encode(p, seq_len), seq_len + 1) for p in paths.values()]
        by_size = {label: file.ends[-1] for label, file in zip(paths, self.files, strict=True)}
        self.weights = np.array([(weights or by_size)[label] for label in paths], dtype=np.float64)
        if dtype == "bytes":
            lengths = [
                path.stat().st_size / len(file.tokens)
                for path, file in zip(paths.values(), self.files, strict=True)
            ]
            self.bytes_per_token = float(np.average(lengths, weights=self.weights))
        self.fingerprint = self._fingerprint("tokenizer" if tokenizer else dtype)

    def _fingerprint(self, form: str) -> str:
        prints = [fingerprint(as_bytes(file.tokens)) for file in self.files]
        if form == "bytes" and len(prints) == 1:
            return prints[0]
        whole = json.dumps([form, self.domains, self.weights.tolist(), prints])
        return hashlib.sha256(whole.encode()).hexdigest()

    def batch(self, step: int, first: int, size: int) -> Batch:
        """Windows `first` … of a step: of each the file by weight, then any of its training windows."""
        stream, shape = self.stream.at("train", step), (first + size,)
        labels = stream.choices("label", shape, self.weights)[first:]
        words = stream.words("start", shape)[first:]
        windows = np.empty((size, self.seq_len + 1), dtype=np.int64)
        for index in np.unique(labels):
            chosen = labels == index
            windows[chosen] = self.files[index].drawn(words[chosen])
        return Batch.of(windows, labels[:, None])

    def held_out(self, tokens: int) -> Batch:
        """Windows of all files by weight, as far as they have them, evenly mixed."""
        wanted = max(1, tokens // self.seq_len)
        bounds = np.rint(np.cumsum(self.weights) / self.weights.sum() * wanted).astype(int)
        counts = np.diff(bounds, prepend=0)
        parts = [file.held_out(int(n)) for file, n in zip(self.files, counts, strict=True)]
        labels = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        places = np.concatenate(
            [(np.arange(len(part)) + 0.5) / max(len(part), 1) for part in parts]
        )
        order = np.argsort(places, kind="stable")
        return Batch.of(np.concatenate(parts)[order], labels[order, None])


class Encoder:
    """A stored tokenizer: text to token ids, without special tokens."""

    def __init__(self, tokenizer: str):
        from tokenizers import Tokenizer  # an extra

        self._tokenizer = Tokenizer.from_file(tokenizer)
        self._tokenizer.no_truncation()  # both may be stored in the file
        self._tokenizer.no_padding()
        self.vocab_size = max(self._tokenizer.get_vocab().values()) + 1

    def __call__(self, path: Path, seq_len: int) -> NDArray[np.uint32]:
        """The ids of a file. Raises ConfigError if they make no training and validation window."""
        pieces = _pieces(path.read_bytes().decode())
        encoded = (self._tokenizer.encode(piece, add_special_tokens=False) for piece in pieces)
        ids = np.concatenate([np.array(piece.ids, dtype=np.uint32) for piece in encoded])
        if len(ids) < (needed := 2 * (seq_len + 1)):
            raise ConfigError(
                f"{path} has {len(ids)} tokens; with seq_len {seq_len} it needs at least "
                f"2 * ({seq_len} + 1) = {needed}: a training and a validation window"
            )
        return ids


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = text.find("\n", start + PIECE) + 1 or len(text)
        yield text[start:end]
        start = end
