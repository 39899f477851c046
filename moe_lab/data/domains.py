"""Synthetic language: each sequence comes from one of K domains, each a Markov chain over the same tokens.

    A_d(v, .) = (1 - common) * sum_j w_dvj * delta(u_dvj) + common * z        z = Zipf(zipf)

Every token v has in every domain d its own b = 4 successors u with weights w ~ Dirichlet(1). With
`common_zipf` the successors of all domains are drawn from z itself, so that tokens share a skewed unigram law;
with `permuted_zipf` each domain draws from its own reordering of z, and a token alone tells much about the domain.
With `ipf_zipf` and `birkhoff` it tells nothing: in every domain tokens are as frequent as z says, or equally frequent;
`birkhoff` has permutations with fixed weights in place of successors, and no common part (see chains/tables.py).

`separation` mixes every table with one that all domains share; `switching` draws the domain anew before a token;
`hidden_tag` makes the first token name the domain; `domain_zipf` or `domain_weights` make some domains rarer;
`concentration` gives the training sequences of a cluster domain frequencies of their own. Each single sequence has
the same law with clusters as without, but for which domains are neighbours; held-out sequences are independent.

The domain is never shown. The best predictor knows all tables and infers the domain from the past, so the lowest
possible loss is known exactly (`bayes`), and so are the best losses of simpler predictors (`ladder`).

Source: mixture of Markov chains as in Park et al. 2025, arXiv:2412.01003; the filter is the forward algorithm.
Deviations: the common Zipf part, so that early training moves all tokens in one direction.
"""

import hashlib
import json
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from moe_lab.data.base import Batch, Rung, Source
from moe_lab.data.chains.mixture import Mixture, entropy, urn
from moe_lab.data.chains.tables import draw_laws, zipf_law
from moe_lab.streams import Stream

RUNG_SEQUENCES = 512  # sequences that the Bayes rung is averaged over


class Domains(Source):
    """K Markov chains over V tokens; a label is the domain that the token after it is drawn by."""

    def __init__(
        self,
        seed: int,
        *,
        generator: Literal["common_zipf", "permuted_zipf", "birkhoff", "ipf_zipf"] = "common_zipf",
        n_domains: int = 8,
        vocab_size: int = 256,
        common: float = 0.5,
        zipf: float = 1.2,
        separation: float = 1.0,
        switching: float = 0.0,
        hidden_tag: bool = False,
        domain_zipf: float = 0.0,
        domain_weights: tuple[float, ...] | None = None,
        concentration: float | None = None,
        cluster_size: int = 24,
        seq_len: int = 64,
    ):
        self.stream = Stream(seed, ("domains",))
        self.vocab_size, self.seq_len = vocab_size, seq_len
        self.concentration, self.cluster_size = concentration, cluster_size
        width = len(str(n_domains - 1))
        self.domains = tuple(f"domain_{d:0{width}d}" for d in range(n_domains))
        law = zipf_law(vocab_size, zipf)
        first, tables = draw_laws(
            self.stream, generator, law, n_domains=n_domains, common=common, separation=separation
        )
        shares = np.arange(1, n_domains + 1, dtype=np.float64) ** -domain_zipf
        self.weights = shares if domain_weights is None else np.array(domain_weights, dtype=float)
        prior = self.weights / self.weights.sum()
        self.mixture = Mixture(first, tables, prior, switching, hidden_tag)
        # One increasing array for all rows: row r's distribution function is shifted up by r, so that a
        # single binary search draws from every row at once.
        rows = np.vstack([first[None], tables.reshape(-1, vocab_size)])
        steps = np.cumsum(rows, axis=1)
        self._cumulative = (steps / steps[:, -1:] + np.arange(len(rows))[:, None]).ravel()
        self.fingerprint = self._fingerprint()

    def _fingerprint(self) -> str:
        mixture = self.mixture
        digest = hashlib.sha256(mixture.first.tobytes() + mixture.tables.tobytes())
        further = {
            "switching": mixture.switching,
            "hidden_tag": mixture.tagged,
            "domain_weights": mixture.prior.tolist() if np.ptp(mixture.prior) else None,
            "clusters": self.concentration and [self.concentration, self.cluster_size],
        }
        if used := {key: value for key, value in further.items() if value}:
            digest.update(json.dumps(used).encode())
        return digest.hexdigest()

    def batch(self, step: int, first: int, size: int) -> Batch:
        """Training sequences `first` … `first + size - 1` of a step; number // cluster_size is the cluster."""
        stream, end = self.stream.at("train", step), first + size
        start = stream.choices("domain", (end,), self.weights)
        if self.concentration is not None:
            uniform = stream.uniform("urn", (end,))
            start = start[urn(uniform, self.concentration, self.cluster_size)]
        return self._sample(stream, start, first)

    def held_out(self, tokens: int) -> Batch:
        """Sequences that no training step draws, independent of each other."""
        return self._independent("eval", max(1, tokens // self.seq_len))

    def _independent(self, purpose: str, size: int) -> Batch:
        stream = self.stream.at(purpose)
        return self._sample(stream, stream.choices("domain", (size,), self.weights), 0)

    def _sample(self, stream: Stream, start: Int[np.ndarray, " n"], first: int) -> Batch:
        """Sequences `first` … of the stream, whose first domains are given from number 0 on."""
        domains = self._switched(stream, start)[first:].T
        uniform = stream.uniform("token", (len(start), self.seq_len + 1))[first:].T
        sequences = np.empty(uniform.shape, dtype=np.int64)
        row = np.zeros(uniform.shape[1], dtype=np.int64)  # row 0: the law of first tokens
        for position, u in enumerate(uniform):
            if position > self.mixture.tagged:  # a tag is no context
                row = 1 + domains[position - 1] * self.vocab_size + sequences[position - 1]
            found = np.searchsorted(self._cumulative, row + u, side="right")
            sequences[position] = found - row * self.vocab_size
        if self.mixture.tagged:
            sequences[0] = domains[0]
        return Batch.of(np.ascontiguousarray(sequences.T), domains.T)

    def _switched(self, stream: Stream, start: Int[np.ndarray, " n"]) -> Int[np.ndarray, "n S"]:
        """The domain at every position: as before, or with probability rho drawn anew."""
        shape = (len(start), self.seq_len)
        if not self.mixture.switching:
            return np.broadcast_to(start[:, None], shape)
        drawn = stream.choices("switched_to", shape, self.weights)
        drawn[:, 0] = start
        anew = stream.uniform("switch", shape) < self.mixture.switching
        latest = np.maximum.accumulate(np.where(anew, np.arange(self.seq_len), 0), axis=1)
        return np.take_along_axis(drawn, latest, axis=1)

    def bayes(self, batch: Batch) -> Float[np.ndarray, "B S V"]:
        """p(next | past): the forward filter over domains, exact up to rounding (chains/mixture.py)."""
        return np.stack(list(self.mixture.predictions(batch.inputs.numpy())), axis=1)

    def map_domains(self, batch: Batch) -> Int[np.ndarray, "B S"]:
        """The most probable domain at each position given the tokens so far; the lowest of equals."""
        beliefs = self.mixture.beliefs(batch.inputs.numpy())
        return np.stack([belief.argmax(1) for belief in beliefs], axis=1)

    def ladder(self) -> tuple[Rung, ...]:
        """ln V > best unigram > best bigram > Bayes > Bayes that is told the domain; Bayes alone is a sample mean."""
        exact = self.mixture.losses(self.seq_len)
        inputs = self._independent("ladder", RUNG_SEQUENCES).inputs.numpy()
        laws = self.mixture.predictions(inputs)
        losses = np.stack([entropy(law) for law in laws], axis=1).mean(1)
        error = float(losses.std(ddof=1) / np.sqrt(len(losses)))
        return (
            *super().ladder(),
            Rung("unigram", exact.unigram),
            Rung("bigram", exact.bigram),
            Rung("bayes", float(losses.mean()), error),
            Rung("oracle", exact.oracle),
        )
