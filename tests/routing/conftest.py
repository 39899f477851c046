"""A router whose logits can be chosen, and what it is given."""

import torch
from torch import Tensor

from moe_lab.routing.top_k import TopK
from moe_lab.streams import Stream

STREAM = Stream(0, (1, 0, 0))


def identity_router(n_experts: int, top_k: int, **settings: object) -> TopK:
    """Logits are the inputs themselves."""
    router = TopK(n_experts, n_experts, top_k, **settings)
    with torch.no_grad():
        router.weight.copy_(torch.eye(n_experts))
    return router


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))
