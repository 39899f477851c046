"""The largest scores of each token, of experts or of groups of experts; exact ties are broken by a keyed draw.

Letters as in routing/base.py; G groups of E / G experts.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from moe_lab.streams import Stream

SMALL_K = 4  # up to which so many passes beat a sort, measured for 8 to 256 experts
BEST_OF_A_GROUP = 2  # experts whose scores add up to their group's


def choose(
    scores: Float[Tensor, "T E"], top_k: int, stream: Stream
) -> tuple[Int[Tensor, "T k"], Bool[Tensor, " T"]]:
    """The k experts of largest score for each token, and which tokens had a tie at the border.

    Exact ties are broken by a draw per token and expert: by index order they would all fall on the same experts
    and look like collapse.
    """
    n_tokens, n_experts = scores.shape
    if top_k == n_experts:
        everything = torch.arange(n_experts, device=scores.device).expand(n_tokens, -1)
        return everything, torch.zeros_like(scores[:, 0], dtype=torch.bool)
    chosen, lead = largest(scores, top_k)
    tied = lead == 0
    if tied.any():
        order = torch.from_numpy(stream.words("router_tie", (n_tokens, n_experts)).argsort(-1))
        order = order.to(scores.device)[tied]
        ranked = scores[tied].gather(1, order).sort(dim=-1, descending=True, stable=True).indices
        chosen = chosen.index_put((tied,), order.gather(1, ranked[:, :top_k]))
    return chosen, tied


def largest(
    scores: Float[Tensor, "T E"], top_k: int
) -> tuple[Int[Tensor, "T k"], Float[Tensor, " T"]]:
    """The k < E largest of each row, in order, and the lead of the last of them over the next.

    For a small k by k passes over the row: `topk` sorts it, which for 128 experts takes more than twice as long.
    """
    if top_k > SMALL_K:
        values, chosen = scores.topk(top_k + 1, dim=-1)
        return chosen[:, :-1], values[:, -2] - values[:, -1]
    rest, columns = scores, []
    for _ in range(top_k):
        value, column = rest.max(-1, keepdim=True)
        columns.append(column)
        rest = rest.scatter(1, column, -torch.inf)
    return torch.cat(columns, 1), value[:, 0] - rest.amax(-1)


def choose_in_groups(
    scores: Float[Tensor, "T E"], top_k: int, n_groups: int, top_groups: int, stream: Stream
) -> tuple[Int[Tensor, "T k"], Bool[Tensor, " T"]]:
    """As `choose`, among the experts of each token's best `top_groups` of n_groups groups of neighbours.

    A group's score is the sum of its two largest; a tie between groups is a tie of the token.
    """
    if top_groups == n_groups:
        return choose(scores, top_k, stream)
    grouped = scores.reshape(len(scores), n_groups, -1)
    best = grouped.topk(min(BEST_OF_A_GROUP, grouped.shape[-1]), dim=-1).values
    groups, groups_tied = choose(best.sum(-1), top_groups, stream.at("group"))
    closed = torch.ones_like(grouped[..., 0], dtype=torch.bool).scatter(1, groups, False)
    eligible = grouped.masked_fill(closed[..., None], -torch.inf).flatten(1)
    chosen, tied = choose(eligible, top_k, stream)
    return chosen, tied | groups_tied
