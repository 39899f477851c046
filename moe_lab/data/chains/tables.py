"""How the next-token laws of K domains are drawn: one function per generator.

Each gives the law of first tokens (V,) and the tables A_d(v, .) as (K, V, V), every row of which sums to 1.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from moe_lab.streams import Stream

BRANCHES = 4  # successors of a token in a domain
WEIGHTS = (0.55, 0.25, 0.15, 0.05)  # of the successors under `birkhoff`: 1.109739 nats
BALANCED = 1e-13  # relative error of the marginals after iterative proportional fitting

Table = NDArray[np.float64]


class Laws(NamedTuple):
    """How a sequence starts and how it goes on."""

    first: Table  # (V,)
    tables: Table  # (K, V, V)


def zipf_law(vocab_size: int, exponent: float) -> Table:
    """(V,) probabilities proportional to rank ** -exponent."""
    weights = np.arange(1, vocab_size + 1, dtype=np.float64) ** -exponent
    law: Table = weights / weights.sum()
    return law


def draw_laws(
    stream: Stream, generator: str, law: Table, *, n_domains: int, common: float, separation: float
) -> Laws:
    """(1 - separation) A_0 + separation B_d: A_0 is one more table of the generator, common to all domains.

    Common marginals and stationary laws of the generator survive the mixture.
    """
    draw = GENERATORS[generator]
    first, own = draw(stream, law, n_domains, common)
    _, shared = draw(stream.at("shared"), law, 1, common)
    return Laws(first, (1 - separation) * shared + separation * own)


def common_zipf(stream: Stream, law: Table, n_domains: int, common: float) -> Laws:
    """Successors of all domains are drawn from the one Zipf law."""
    return Laws(law, _sparse_over_floor(stream, law, law[None, None], n_domains, common))


def permuted_zipf(stream: Stream, law: Table, n_domains: int, common: float) -> Laws:
    """Each domain draws its successors from its own reordering of the Zipf law."""
    orders = [stream.at(d).permutation("order", len(law)) for d in range(n_domains)]
    rates = law[np.stack(orders)][:, None, :]
    return Laws(law, _sparse_over_floor(stream, law, rates, n_domains, common))


def birkhoff(stream: Stream, law: Table, n_domains: int, common: float) -> Laws:
    """A_d = sum_j w_j P_dj with disjoint permutations P_dj; `common` and the exponent of the law are not used.

    Doubly stochastic: the stationary law is uniform and the entropy of every row is that of w, in every domain.
    P_dj is a cyclic shift by s_dj with relabelled rows and columns; shifts of one domain differ, so no two meet.
    """
    vocab_size = len(law)
    tables = np.zeros((n_domains, vocab_size, vocab_size))
    for d in range(n_domains):
        rows, columns, shifts = (
            stream.at(d).permutation(purpose, vocab_size)
            for purpose in ("rows", "columns", "shifts")
        )
        for weight, shift in zip(WEIGHTS, shifts, strict=False):
            tables[d, np.arange(vocab_size), columns[(rows + shift) % vocab_size]] = weight
    return Laws(np.full(vocab_size, 1 / vocab_size), tables)


def ipf_zipf(stream: Stream, law: Table, n_domains: int, common: float) -> Laws:
    """The tables of `permuted_zipf`, fitted so that the law is stationary in every domain.

    The joint law diag(z) A_d is rescaled by rows and columns in turn until both marginals are z
    (iterative proportional fitting); it is positive, so this converges.
    """
    _, tables = permuted_zipf(stream, law, n_domains, common)
    return Laws(law, np.stack([_fitted(law[:, None] * table, law) for table in tables]))


def _fitted(joint: Table, law: Table) -> Table:
    """The conditional law of a joint law whose marginals are both `law`."""
    while True:
        joint = joint * (law / joint.sum(1))[:, None]
        columns = joint.sum(0)
        if abs(columns / law - 1).max() < BALANCED:
            conditional: Table = joint / joint.sum(1, keepdims=True)
            return conditional
        joint = joint * (law / columns)


def _sparse_over_floor(
    stream: Stream, law: Table, rates: Table, n_domains: int, common: float
) -> Table:
    """(1 - common) * sum_j w_dvj * delta(u_dvj) + common * law: b successors of each token's own."""
    shape = (n_domains, len(law), BRANCHES)
    successors = _successors(stream, rates, n_domains, len(law))
    cuts = np.sort(stream.uniform("weights", (*shape[:2], BRANCHES - 1)), axis=-1)
    weights = np.diff(cuts, prepend=0.0, append=1.0, axis=-1)  # spacings: Dirichlet(1, 1, 1, 1)
    tables = np.zeros((n_domains, len(law), len(law)))
    np.put_along_axis(tables, successors, weights, axis=-1)
    return (1 - common) * tables + common * law


def _successors(stream: Stream, rates: Table, n_domains: int, vocab_size: int) -> NDArray[np.int64]:
    """(K, V, b) distinct tokens, drawn without replacement: the first arrivals of V exponential clocks."""
    waits = -np.log(stream.uniform("successors", (n_domains, vocab_size, vocab_size))) / rates
    return np.argsort(waits, axis=-1)[..., :BRANCHES]


GENERATORS: Mapping[str, Callable[[Stream, Table, int, float], Laws]] = {
    "common_zipf": common_zipf,
    "permuted_zipf": permuted_zipf,
    "birkhoff": birkhoff,
    "ipf_zipf": ipf_zipf,
}
