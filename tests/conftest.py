"""What several test files build: records of routing, and small models."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from moe_lab.config import Config, load
from moe_lab.model import LanguageModel, initialize
from moe_lab.routing.base import Routing

Record = Callable[..., Routing]
Configure = Callable[..., Config]
BuildModel = Callable[..., LanguageModel]

SMALL = {
    "vocab_size": 32,
    "n_domains": 4,
    "seq_len": 16,
    "d_model": 16,
    "n_heads": 2,
    "d_expert": 16,
    "n_experts": 4,
    "batch_size": 4,
    "tokens": 128,
    "steps": 10,
    "warmup": 2,
}


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def record() -> Record:
    """A Routing from the experts of each token; probabilities are uniform unless they matter."""

    def build(
        chosen: Sequence[Sequence[int]],
        *,
        n_experts: int = 0,
        probs: Sequence[Sequence[float]] | None = None,
        logits: Tensor | None = None,
        kept: Sequence[bool] | None = None,
        ties: int = 0,
    ) -> Routing:
        experts = torch.tensor(chosen)
        n_tokens, top_k = experts.shape
        if logits is None:
            fair = [[1 / n_experts] * n_experts] * n_tokens if n_experts else None
            logits = torch.tensor(probs or fair).log()
        router_probs = logits.softmax(-1)
        everything = [True] * experts.numel()
        return Routing(
            router_logits=logits,
            router_probs=router_probs,
            token=torch.arange(n_tokens).repeat_interleave(top_k),
            expert=experts.flatten(),
            gate=router_probs.gather(1, experts).flatten(),
            kept=torch.tensor(everything if kept is None else kept),
            ties=torch.tensor(ties),
        )

    return build


@pytest.fixture
def configure() -> Configure:
    """A config of a small model; overrides as keyword arguments."""

    def build(**overrides: Any) -> Config:
        settings = {**SMALL, **overrides}
        written = {key: "null" if value is None else value for key, value in settings.items()}
        return load(None, [f"{key}={value}" for key, value in written.items()]).config

    return build


@pytest.fixture
def build_model(configure: Configure) -> BuildModel:
    """A small initialised language model; overrides as keyword arguments."""

    def build(**overrides: Any) -> LanguageModel:
        config = configure(**overrides)
        model = LanguageModel(config, config.data.vocab_size)
        initialize(model, config)
        return model

    return build
