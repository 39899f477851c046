"""The cluster mixture: blocks of four tokens in which a cluster token tells whose sign is the label.

    (a, b, c_k, y)    {a, b} = {s_{k,y}, s_{k',e}} in random order,  k' != k,  y = +-1,  e = +-1

The signal s_{k,y} carries the label y, the signal of another cluster k' only distracts, and c_k says which of the two
counts. At c_k a router can read k from the token alone, and the expert that takes cluster k need only know that
cluster's signals. The domain of a token is the cluster k of its block: `nmi` reads it. Before c_k it can only be
guessed, so even a perfect router does not reach 1 over all positions; `gap` is the mean over all four kinds of token,
of which only the label needs experts.

Tokens are 2K signals (2k and 2k + 1 are those of cluster k), K cluster tokens and 2 labels, 3K + 2 in all. The best
possible losses of a, b, c_k and y are ln 2K, ln 2(K - 1), ln 2 and 0 nats.

Source: Chen et al. 2022, arXiv:2208.02813, whose patches are y alpha v_k, beta c_k, e gamma v_k' and noise.
Deviations: tokens in place of patches, so vectors are learned embeddings, neither orthogonal nor scaled; no noise
patches; c_k comes third and the label is the token after it, as a causal language model needs it.
"""

import hashlib
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from moe_lab.data.base import Batch, Rung, Source
from moe_lab.data.chains.mixture import entropy
from moe_lab.streams import Stream

BLOCK = 4  # tokens: two signals, cluster, label


class Clusters(Source):
    """Blocks from K clusters, drawn independently and equally often; sequences begin with a block."""

    def __init__(self, seed: int, *, n_domains: int = 8, seq_len: int = 64):
        self.stream = Stream(seed, ("clusters",))
        self.seq_len = seq_len
        self.vocab_size = 3 * n_domains + 2
        width = len(str(n_domains - 1))
        self.domains = tuple(f"cluster_{k:0{width}d}" for k in range(n_domains))
        self.fingerprint = hashlib.sha256(f"clusters {seed} {n_domains}".encode()).hexdigest()

    def batch(self, step: int, first: int, size: int) -> Batch:
        """Training sequences `first` … `first + size - 1` of a step."""
        return self._sample(self.stream.at("train", step), first, size)

    def held_out(self, tokens: int) -> Batch:
        """Sequences that no training step draws."""
        return self._sample(self.stream.at("eval"), 0, max(1, tokens // self.seq_len))

    def _sample(self, stream: Stream, first: int, size: int) -> Batch:
        n_domains = len(self.domains)
        shape = (first + size, self.seq_len // BLOCK + 1)

        def draw(purpose: str, n_choices: int) -> Int[np.ndarray, "size blocks"]:
            return stream.choices(purpose, shape, np.ones(n_choices))[first:]

        cluster, label = draw("cluster", n_domains), draw("label", 2)
        other = (cluster + 1 + draw("other", n_domains - 1)) % n_domains
        pair = (2 * cluster + label, 2 * other + draw("sign", 2))
        swapped = draw("order", 2)
        a, b = np.choose(swapped, pair), np.choose(1 - swapped, pair)
        blocks = np.stack([a, b, 2 * n_domains + cluster, 3 * n_domains + label], axis=-1)
        tokens = blocks.reshape(size, -1)[:, : self.seq_len + 1]
        return Batch.of(tokens, np.repeat(cluster, BLOCK, axis=1)[:, : self.seq_len])

    def bayes(self, batch: Batch) -> Float[np.ndarray, "B S V"]:
        """p(next | past): what is left of a block, exactly."""
        blocks = self._blocks(batch)
        k, (one, two) = len(self.domains), self._clusters_of_signals(blocks)
        a, b, c, _ = np.moveaxis(blocks, -1, 0)
        label = np.where(a // 2 == c % k, a, b) % 2
        laws = np.zeros((*blocks.shape, self.vocab_size))
        laws[:, :, 0, : 2 * k] = np.repeat((1 - one) / (2 * (k - 1)), 2, axis=-1)
        laws[:, :, 1, 2 * k : 3 * k] = (one + two) / 2
        laws[:, :, 2, 3 * k :] = np.eye(2)[label]
        laws[:, :, 3, : 2 * k] = 1 / (2 * k)
        return _positions(laws, batch)

    def map_domains(self, batch: Batch) -> Int[np.ndarray, "B S"]:
        """The most probable cluster at each position given the tokens so far; the lowest of equals."""
        blocks = self._blocks(batch)
        k, (one, two) = len(self.domains), self._clusters_of_signals(blocks)
        told = np.eye(k)[blocks[:, :, 2] % k]
        first = one / 2 + (1 - one) / (
            2 * (k - 1)
        )  # a is of the cluster that counts, or of another
        beliefs = np.stack([first, (one + two) / 2, told, told], axis=2)
        likeliest: NDArray[np.int64] = _positions(beliefs, batch).argmax(-1)
        return likeliest

    def _blocks(self, batch: Batch) -> Int[np.ndarray, "B blocks 4"]:
        """The inputs in whole blocks, the last one filled up with token 0."""
        inputs = batch.inputs.numpy()
        filled = np.pad(inputs, ((0, 0), (0, -inputs.shape[1] % BLOCK)))
        return filled.reshape(len(inputs), -1, BLOCK)

    def _clusters_of_signals(
        self, blocks: Int[np.ndarray, "B blocks 4"]
    ) -> Float[np.ndarray, "2 B blocks K"]:
        """1 at the cluster of a, and at that of b."""
        clusters = np.moveaxis(blocks[:, :, :2] // 2, -1, 0)
        known: NDArray[np.float64] = np.eye(len(self.domains))[clusters]
        return known

    def ladder(self) -> tuple[Rung, ...]:
        """All exact: ln V, best unigram, best bigram, Bayes, and Bayes that is told the cluster of each block."""
        k = len(self.domains)
        pairs = self._pair_law()
        bayes = (np.log(2 * (k - 1)), np.log(2), 0.0, np.log(2 * k))
        oracle = (np.log(2 * (k - 1)) / 2 + np.log(2) / 2, 0.0, 0.0, np.log(2 * k))
        return (
            *super().ladder(),
            Rung("unigram", float(entropy(pairs.sum(0)))),
            Rung("bigram", float(entropy(pairs.ravel()) - entropy(pairs.sum(1)))),
            Rung("bayes", float(self._shares() @ bayes)),
            Rung("oracle", float(self._shares() @ oracle)),
        )

    def _shares(self) -> Float[np.ndarray, " 4"]:
        """Of the places in a block among the positions of a sequence."""
        return np.bincount(np.arange(self.seq_len) % BLOCK, minlength=BLOCK) / self.seq_len

    def _pair_law(self) -> Float[np.ndarray, "V V"]:
        """Probability of (token, next token) at a random position of a random sequence."""
        k, pairs = len(self.domains), np.zeros((self.vocab_size, self.vocab_size))
        signals, clusters, labels = slice(2 * k), slice(2 * k, 3 * k), slice(3 * k, None)
        at_a, at_b, at_c, at_y = self._shares()
        same = np.repeat(np.eye(k), 2, axis=0)  # of a signal and a cluster
        pairs[signals, signals] = at_a * (1 - same @ same.T) / (2 * k * 2 * (k - 1))
        pairs[signals, clusters] = at_b * (same + (1 - same) / (k - 1)) / (2 * 2 * k)
        pairs[clusters, labels] = at_c / (2 * k)
        pairs[labels, signals] = at_y / (2 * 2 * k)
        return pairs


def _positions(blocks: NDArray[Any], batch: Batch) -> NDArray[Any]:
    """(B, blocks, 4, …) as (B, S, …), without what filled the last block."""
    n_sequences, seq_len = batch.inputs.shape
    return blocks.reshape(n_sequences, -1, *blocks.shape[3:])[:, :seq_len]
