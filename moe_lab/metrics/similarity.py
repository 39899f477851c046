"""Are the experts different? Similarity of their outputs on the same tokens, and of the tokens they are given.

Read every one beside its value at random initialisation: no similarity of random functions is 0 by itself.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def output_cosine(outputs: Array) -> Array:
    """Mean over tokens of cos(f_i(x), f_j(x)), (E, E), from every expert's output on the same tokens (E, N, D).

    In [-1, 1], symmetric. A zero output has no direction: its cosine with anything, itself included, counts as 0,
    so the diagonal is the share of tokens with an output. Unlike cosines of weights, blind to permuted hidden units.
    """
    length = np.linalg.norm(outputs, axis=-1, keepdims=True)
    units = np.divide(outputs, length, out=np.zeros_like(outputs), where=length > 0)
    flat = units.reshape(len(units), -1)
    cosines: Array = flat @ flat.T / outputs.shape[1]
    return cosines


def pairwise_similarity(similarity: Array) -> float:
    """Mean over pairs i < j of a symmetric (E, E): of output_cosine it is PES, the pairwise expert similarity."""
    return float(similarity[np.triu_indices(len(similarity), 1)].mean())


def linear_cka(outputs: Array) -> Array:
    """||Y'X||_F^2 / (||X'X||_F ||Y'Y||_F) of every two experts' outputs (N, D), centred over tokens: (E, E).

    In [0, 1], symmetric; blind to rotation and scale of the outputs. An expert whose output is the same for all
    tokens reads 0 with all, itself included. Goes to 1 for unrelated experts too as D nears N: use N much larger.
    Works on Gram matrices: time E N^2 (D + E), memory E N^2.
    Source: Kornblith et al. 2019, arXiv:1905.00414.
    """
    centred = outputs - outputs.mean(1, keepdims=True)
    spread = np.linalg.norm(centred, axis=(1, 2))
    centred[spread <= 1e-12 * np.linalg.norm(outputs, axis=(1, 2))] = 0  # what is left is rounding
    grams = (centred @ centred.mT).reshape(len(outputs), -1)
    products = grams @ grams.T  # ||Y'X||_F^2 = tr(XX' YY')
    length = np.sqrt(products.diagonal())
    scale = np.outer(length, length)
    cka: Array = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
    return cka


def representation_collapse(hidden: Array, experts: NDArray[np.int64]) -> float | None:
    """Tr(S_W S_B^+) of the tokens' states (T, D), within and between the experts (T,) that took them; >= 0.

    S_W: mean over tokens of the outer square of h - mean of its expert. S_B: mean over experts of that of their mean
    - the mean of these means; its rank is below the number of experts, hence the pseudo-inverse. Small: each
    expert's tokens have gone to one point. Experts without tokens are left out; None if fewer than two remain or
    their means are one. Unchanged by scale and rotation.
    Source: Chi et al. 2022, arXiv:2204.09179, RC, after Zhu et al. 2021, arXiv:2105.02375.
    Deviation: written there for equally many tokens per expert; here each token counts once in S_W and each expert
    once in S_B, whose inverse would else explode with one small expert.
    """
    live, member = np.unique(experts, return_inverse=True)
    means = np.stack([hidden[member == i].mean(0) for i in range(len(live))])
    between = means - means.mean(0)
    _, lengths, directions = np.linalg.svd(between, full_matrices=False)
    spanned = lengths > 1e-12 * np.linalg.norm(means)  # below is rounding
    if not spanned.any():
        return None
    within = (hidden - means[member]) @ directions[spanned].T
    variances = np.square(lengths[spanned]) / len(live)  # of the means, along each direction
    return float((np.square(within).mean(0) / variances).sum())


def direction_similarity(router_weight: Array) -> float:
    """Mean over pairs of experts of the cosine of their router rows (E, D), in [-1/(E-1), 1] where no row is zero.

    Rows that point one way give all experts one logit order for every token. Random rows: 0 +- 1/sqrt(D).
    """
    return pairwise_similarity(output_cosine(router_weight[:, None, :]))
