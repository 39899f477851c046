"""What an expert tells about a token: mutual information, less what a shuffled labelling shows.

E experts, D domains, X token ids. A plug-in estimate of information is biased upwards; the mean over permuted labels
has the same bias and no information. Permutations are arguments: nothing here draws.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from moe_lab.metrics.loads import load, load_entropy

Labels = NDArray[np.int64]


def mutual_information(joint: NDArray[np.generic]) -> float:
    """I(row; column) in nats of a table of counts."""
    p = np.asarray(joint, dtype=np.float64) / np.sum(joint)
    expected = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
    used = p > 0
    return float((p[used] * np.log(p[used] / expected[used])).sum())


def joint_counts(rows: Labels, columns: Labels, shape: tuple[int, int]) -> NDArray[np.int64]:
    """How often each pair of labels occurs, as a table of the given shape."""
    flat = rows.ravel() * shape[1] + columns.ravel()
    return np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)


def nmi(
    experts: Labels,  # (sequences, assignments)
    domains: Labels,  # (sequences, assignments)
    orders: Sequence[Labels],  # permutations of the sequences
    shape: tuple[int, int],  # experts, domains
) -> float:
    """I(expert; domain)/H(domain), less its mean when whole sequences swap their domain labels.

    The subtraction removes the bias of a plug-in estimate; whole sequences are swapped because the
    tokens of one sequence share its domain and are not independent. 0: unrelated, 1: expert tells domain.
    """
    found = mutual_information(joint_counts(experts, domains, shape))
    null = [mutual_information(joint_counts(experts, domains[order], shape)) for order in orders]
    domain_entropy = load_entropy(load(np.bincount(domains.ravel(), minlength=shape[1])))
    return (found - float(np.mean(null))) / domain_entropy


def conditional_nmi(
    experts: Labels,  # (T, k)
    domains: Labels,  # (T,)
    tokens: Labels,  # (T,)
    orders: Sequence[Labels],  # permutations of the T tokens
) -> float | None:
    """I(E;D|X)/H(D|X), less its mean when tokens of the same id swap their domains; None if H(D|X) = 0.

    What the expert tells about the domain beyond the token's id; in [-1, 1], 0 for a router that looks at the id
    alone, even where nmi is high. With n for counts of assignments,
    I(E;D|X) = (sum n_xde ln n_xde + sum n_x ln n_x - sum n_xd ln n_xd - sum n_xe ln n_xe)/n, and a swap changes the
    first sum alone. Ids that occur once say nothing. Tokens of one sequence that share an id count as independent:
    where a sequence's experts agree for another reason than the id, the null is too small.
    """
    uncertainty = _sum_n_ln_n(tokens) - _sum_n_ln_n(tokens, domains)  # T * H(D|X)
    if uncertainty == 0:
        return None
    by_id = tokens.argsort(kind="stable")
    swaps = [order[tokens[order].argsort(kind="stable")] for order in orders]
    experts, ids = experts[by_id], tokens[by_id]
    found, *null = (_pairs(experts, ids, domains[order]) for order in (by_id, *swaps))
    return float((found - np.mean(null)) / experts.shape[1] / uncertainty)


def token_specialization(
    experts: Labels,  # (T, k)
    tokens: Labels,  # (T,)
    orders: Sequence[Labels],  # permutations of the T tokens
) -> float | None:
    """I(E;X)/min(H(E), H(X)), less its mean when tokens swap their ids; None if one expert or one id has all.

    In [-1, 1]; 1 when the id decides the expert, or the expert the id. High in nearly every trained router: read
    domains off conditional_nmi before calling an expert specialized.
    """
    used = [
        load_entropy(load(np.unique(labels, return_counts=True)[1])) for labels in (experts, tokens)
    ]
    if min(used) == 0:
        return None
    found, *null = (_pairs(experts, ids) for ids in (tokens, *(tokens[order] for order in orders)))
    return float((found - np.mean(null)) / experts.size / min(used))


def _pairs(experts: Labels, *labels: Labels) -> float:
    """sum n ln n over assignments, by the expert and the labels of its token."""
    return _sum_n_ln_n(experts, *(label[:, None] for label in labels))


def _sum_n_ln_n(*labels: Labels) -> float:
    """sum n ln n over the counts n of each combination of labels, which broadcast against each other."""
    code, *others = labels
    for other in others:
        code = code * (other.max() + 1) + other
    n = np.unique(code, return_counts=True)[1]
    return float(n @ np.log(n))
