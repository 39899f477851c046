"""Synthetic language: each sequence comes from one of K domains, each a Markov chain over the same tokens.

    A_d(v, .) = (1 - common) * sum_j w_dvj * delta(u_dvj) + common * z        z = Zipf(zipf)

Every token v has in every domain d its own b = 4 successors u with weights w ~ Dirichlet(1). With
`common_zipf` the successors of all domains are drawn from z itself, so that tokens share a skewed unigram law;
with `permuted_zipf` each domain draws from its own reordering of z, and a token alone tells much about the domain.

The domain is never shown. The best predictor knows all tables and infers the domain from the past, so the lowest
possible loss is known exactly (`bayes`), and so are the best losses of simpler predictors (`ladder`).

Source: mixture of Markov chains as in Park et al. 2025, arXiv:2412.01003; the filter is the forward algorithm.
Deviations: the common Zipf part, so that early training moves all tokens in one direction.
"""

import hashlib
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from moe_lab.data.base import Batch, Rung, Source
from moe_lab.streams import Stream

BRANCHES = 4  # successors of a token in a domain
RUNG_SEQUENCES = 512  # sequences that the Bayes rung is averaged over

Table = NDArray[np.float64]


def zipf_law(vocab_size: int, exponent: float) -> Table:
    """(V,) probabilities proportional to rank ** -exponent."""
    weights = np.arange(1, vocab_size + 1, dtype=np.float64) ** -exponent
    law: Table = weights / weights.sum()
    return law


def transitions(stream: Stream, law: Table, n_domains: int, common: float, permute: bool) -> Table:
    """(K, V, V) next-token tables A_d(v, .); every row sums to 1 and is positive."""
    vocab_size = len(law)
    shape = (n_domains, vocab_size, BRANCHES)
    successors = _successors(stream, law, n_domains, permute)
    cuts = np.sort(stream.uniform("weights", (*shape[:2], BRANCHES - 1)), axis=-1)
    weights = np.diff(cuts, prepend=0.0, append=1.0, axis=-1)  # spacings: Dirichlet(1, 1, 1, 1)
    tables = np.zeros((n_domains, vocab_size, vocab_size))
    np.put_along_axis(tables, successors, weights, axis=-1)
    return (1 - common) * tables + common * law


def _successors(stream: Stream, law: Table, n_domains: int, permute: bool) -> NDArray[np.int64]:
    """(K, V, b) distinct tokens, drawn without replacement: the first arrivals of V exponential clocks."""
    vocab_size = len(law)
    rates = np.broadcast_to(law, (n_domains, 1, vocab_size))
    if permute:
        orders = [stream.at(d).permutation("order", vocab_size) for d in range(n_domains)]
        rates = law[np.stack(orders)][:, None, :]
    waits = -np.log(stream.uniform("successors", (n_domains, vocab_size, vocab_size))) / rates
    return np.argsort(waits, axis=-1)[..., :BRANCHES]


class Domains(Source):
    """K Markov chains over V tokens; one chain per sequence, chosen uniformly."""

    def __init__(
        self,
        seed: int,
        *,
        generator: Literal["common_zipf", "permuted_zipf"] = "common_zipf",
        n_domains: int = 8,
        vocab_size: int = 256,
        common: float = 0.5,
        zipf: float = 1.2,
        seq_len: int = 64,
    ):
        self.stream = Stream(seed, ("domains",))
        self.vocab_size, self.seq_len = vocab_size, seq_len
        width = len(str(n_domains - 1))
        self.domains = tuple(f"domain_{d:0{width}d}" for d in range(n_domains))
        self.first = zipf_law(vocab_size, zipf)
        permute = generator == "permuted_zipf"
        self.tables = transitions(self.stream, self.first, n_domains, common, permute)
        self.fingerprint = hashlib.sha256(self.first.tobytes() + self.tables.tobytes()).hexdigest()
        # One increasing array for all rows: row r's distribution function is shifted up by r, so that a
        # single binary search draws from every row at once.
        rows = np.vstack([self.first[None], self.tables.reshape(-1, vocab_size)])
        steps = np.cumsum(rows, axis=1)
        self._cumulative = (steps / steps[:, -1:] + np.arange(len(rows))[:, None]).ravel()

    def batch(self, step: int, first: int, size: int) -> Batch:
        """Training sequences `first` … `first + size - 1` of a step."""
        return self._sample(self.stream.at("train", step), first, size)

    def held_out(self, tokens: int) -> Batch:
        """Sequences that no training step draws."""
        return self._sample(self.stream.at("eval"), 0, max(1, tokens // self.seq_len))

    def _sample(self, stream: Stream, first: int, size: int) -> Batch:
        end = first + size
        domains = stream.integers("domain", (end,))[first:] * len(self.domains) >> 24
        uniform = stream.uniform("token", (end, self.seq_len + 1))[first:].T
        sequences = np.empty((self.seq_len + 1, size), dtype=np.int64)
        row = np.zeros(size, dtype=np.int64)  # row 0: the law of first tokens
        for position, u in enumerate(uniform):
            found = np.searchsorted(self._cumulative, row + u, side="right")
            sequences[position] = found - row * self.vocab_size
            row = 1 + domains * self.vocab_size + sequences[position]
        return Batch.of(np.ascontiguousarray(sequences.T), domains[:, None])

    def bayes(self, batch: Batch) -> Table:
        """p(next | past), (B, S, V): the forward filter over domains, exact up to rounding.

        w_0 = 1/K; p = sum_d w(d) A_d(x_t, .); w(d) is multiplied by A_d(x_t, x_{t+1}) and normalised.
        """
        inputs, targets = batch.inputs.numpy(), batch.targets.numpy()
        belief = np.full((len(inputs), len(self.domains)), 1 / len(self.domains))
        predicted = np.empty((*inputs.shape, self.vocab_size))
        for t in range(inputs.shape[1]):
            laws = self.tables[:, inputs[:, t]]  # (K, B, V)
            predicted[:, t] = np.einsum("bd,dbv->bv", belief, laws)
            belief = belief * self.tables[:, inputs[:, t], targets[:, t]].T
            belief /= belief.sum(1, keepdims=True)
        return predicted

    def ladder(self) -> tuple[Rung, ...]:
        """ln V > best unigram > best bigram (both exact over a sequence's positions) > Bayes (a sample mean)."""
        pairs = self._pair_law()
        unigram = _entropy(pairs.sum(0))
        bigram = _entropy(pairs) - _entropy(pairs.sum(1))
        sample = self.bayes(self._sample(self.stream.at("ladder"), 0, RUNG_SEQUENCES))
        losses = -(sample * np.log(sample)).sum(-1).mean(1)
        error = float(losses.std(ddof=1) / np.sqrt(len(losses)))
        return (
            *super().ladder(),
            Rung("unigram", unigram),
            Rung("bigram", bigram),
            Rung("bayes", float(losses.mean()), error),
        )

    def _pair_law(self) -> Table:
        """(V, V) probability of (token, next token) at a random position of a random sequence."""
        pairs = np.zeros((self.vocab_size, self.vocab_size))
        for table in self.tables:
            law, visits = self.first, np.zeros(self.vocab_size)
            for _ in range(self.seq_len):
                visits += law
                law = law @ table
            pairs += visits[:, None] * table
        law_of_pairs: Table = pairs / pairs.sum()
        return law_of_pairs


def _entropy(law: Table) -> float:
    used = law[law > 0]
    return float(-(used * np.log(used)).sum())
