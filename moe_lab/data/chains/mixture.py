"""What is known of a sequence that a hidden domain draws: a finite mixture of Markov chains, or a hidden Markov model.

    w_0 = pi        p(x | past) = sum_d w_t(d) A_d(x_t, x)
    w_{t+1} = (1 - rho) v + rho pi        v(d) proportional to w_t(d) A_d(x_t, x_{t+1})

With `tagged`, the first token is the number of the first domain, w_0 knows it, and the second token comes from the
law of first tokens: a tag is no context.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from moe_lab.data.chains.tables import Table


class Losses(NamedTuple):
    """Best losses in nats per token, exact over the positions of a sequence."""

    unigram: float  # knows how frequent tokens are
    bigram: float  # knows the last token
    oracle: float  # knows the last token and the domain that draws the next


@dataclass(frozen=True)
class Mixture:
    """K chains over V tokens, the law of their use, and what follows from both."""

    first: Float[np.ndarray, " V"]
    tables: Float[np.ndarray, "K V V"]
    prior: Float[np.ndarray, " K"]
    switching: float  # rho
    tagged: bool

    def beliefs(self, inputs: Int[np.ndarray, "B S"]) -> Iterator[Float[np.ndarray, "B K"]]:
        """w_t at each position: the law of the domain that draws the next token, given the tokens so far."""
        belief = np.broadcast_to(self.prior, (len(inputs), len(self.prior)))
        if self.tagged:
            belief = np.eye(len(self.prior))[inputs[:, 0]]
        yield belief
        for t in range(1, inputs.shape[1]):
            if t > 1 or not self.tagged:
                belief = belief * self.tables[:, inputs[:, t - 1], inputs[:, t]].T
                belief /= belief.sum(1, keepdims=True)
            belief = (1 - self.switching) * belief + self.switching * self.prior
            yield belief

    def predictions(self, inputs: Int[np.ndarray, "B S"]) -> Iterator[Float[np.ndarray, "B V"]]:
        """p(next | past) at each position."""
        for t, belief in enumerate(self.beliefs(inputs)):
            if t == 0 and self.tagged:
                yield np.broadcast_to(self.first, (len(inputs), len(self.first)))
            else:
                yield np.einsum("bd,dbv->bv", belief, self.tables[:, inputs[:, t]])

    def losses(self, seq_len: int) -> Losses:
        """From the law of (domain, token, next token) at a random position of a random sequence."""
        visits = self._visits(seq_len - self.tagged)
        pairs = np.einsum("dv,dvw->vw", visits, self.tables)
        known = float((visits * entropy(self.tables)).sum())
        if self.tagged:
            pairs[: len(self.prior)] += self.prior[:, None] * self.first
            known += float(entropy(self.first))
        pairs /= seq_len
        unigram = float(entropy(pairs.sum(0)))
        bigram = float(entropy(pairs.ravel()) - entropy(pairs.sum(1)))
        return Losses(unigram, bigram, known / seq_len)

    def _visits(self, positions: int) -> Float[np.ndarray, "K V"]:
        """Expected number of positions with a domain and a token, from a first token on."""
        law = self.prior[:, None] * self.first
        visits: Table = np.zeros_like(law)
        for _ in range(positions):
            visits += law
            after = (law[:, None] @ self.tables)[:, 0]
            law = (1 - self.switching) * after + self.switching * self.prior[:, None] * after.sum(0)
        return visits


def entropy(laws: Table) -> NDArray[np.float64]:
    """Nats of each law along the last axis; 0 ln 0 = 0."""
    logs = np.log(laws, out=np.zeros_like(laws), where=laws > 0)
    return np.asarray(-(laws * logs).sum(-1), dtype=np.float64)


def urn(
    uniform: Float[np.ndarray, " n"], concentration: float, cluster_size: int
) -> Int[np.ndarray, " n"]:
    """Whose domain each sequence has: its own draw, or that of an earlier sequence of its cluster.

    Sequence i of a cluster draws anew with probability c / (c + i) and else copies one of the i before it. Its cluster
    then has frequencies from Dirichlet(c * pi) and independent draws from them, exactly and for every c > 0
    (the urn of Blackwell and MacQueen 1973), without a gamma variate that could underflow.
    """
    number = np.arange(len(uniform))
    place = number % cluster_size
    reach = uniform * (concentration + place) - concentration
    origin = np.where(reach < 0, number, number - place + reach.astype(np.int64))
    while ((further := origin[origin]) != origin).any():
        origin = further
    return origin
