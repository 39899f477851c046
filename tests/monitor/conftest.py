"""A small model that is not ours: routers return (logits, weights, indices), as in transformers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import rows
from torch import Tensor, nn

from moe_lab.monitor import RouterMonitor

D_MODEL, VOCAB = 8, 16
Output = Any


class ToyRouter(nn.Module):
    def __init__(self, n_experts: int, top_k: int):
        super().__init__()
        self.top_k = top_k
        self.weight = nn.Parameter(torch.randn(n_experts, D_MODEL))

    def forward(self, x: Tensor) -> Output:
        logits = x.flatten(0, 1) @ self.weight.T
        probs, chosen = logits.softmax(-1).topk(self.top_k)
        return logits, probs, chosen


class ToyBlock(nn.Module):
    """Dense if it has no router; experts scale their input by their number."""

    def __init__(self, router: nn.Module | None):
        super().__init__()
        self.gate = router

    def forward(self, x: Tensor) -> Tensor:
        if self.gate is None:
            return x
        _, probs, chosen = self.gate(x)
        scale = (probs * (1 + chosen)).sum(-1)
        return x + x * scale.view(*x.shape[:2], 1)


class ToyModel(nn.Module):
    def __init__(self, blocks: Sequence[ToyBlock]):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, D_MODEL)
        self.layers = nn.ModuleList(blocks)

    def forward(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x)
        return x.square().mean()


Toy = Callable[..., ToyModel]
Watch = Callable[..., RouterMonitor]


@pytest.fixture
def toy() -> Toy:
    """Layers by their (E, k); None is a dense one."""

    def build(*layers: tuple[int, int] | None) -> ToyModel:
        torch.manual_seed(0)
        routers = [ToyRouter(*layer) if layer else None for layer in layers or ((4, 2),)]
        return ToyModel([ToyBlock(router) for router in routers])

    return build


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    """A monitor of a model that writes to tmp_path / "run"."""

    def build(model: nn.Module, **options: Any) -> RouterMonitor:
        return RouterMonitor(model, tmp_path / "run", **options)

    return build


def tokens(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(VOCAB, shape, generator=torch.Generator().manual_seed(seed))


def counts(directory: Path, step: int, layer: int, split: str = "train") -> list[int]:
    """Assignments per expert, from the shares."""
    (row,) = rows(directory, "utilization", step=step, layer=layer, split=split)
    (total,) = rows(directory, "cv", step=step, layer=layer, split=split)
    shares = [float(share) for name, share in row.items() if name.startswith("expert_")]
    return [round(share * int(total["assignments"])) for share in shares]


def record(
    monitor: RouterMonitor, model, *batches: torch.Tensor, end: BaseException | None = None
) -> Path:
    """One forward pass and step per batch; the loop ends by an exception if one is given."""
    with monitor:
        for batch in batches:
            model(batch)
            monitor.step()
        if end:
            raise end
    return monitor.directory


def by_hand(model, layer: int, *batches: torch.Tensor) -> list[int]:
    """The same, from the router alone on the embeddings: right for the first layer with experts."""
    router = model.layers[layer].gate
    chosen = torch.cat([router(model.embedding(batch))[2].flatten() for batch in batches])
    return torch.bincount(chosen, minlength=len(router.weight)).tolist()
