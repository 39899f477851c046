"""What a user would pick instead: two models of transformers, and two layers in our own skeleton.

Every peer trains with its balance loss, fused AdamW, clipping at 1 and no logging, on random tokens drawn beforehand.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from ours import DRAWN, Clock, configure, random_tokens
from shapes import Shape
from torch import Tensor, nn
from torch.nn import functional as F

from moe_lab.model import LanguageModel, initialize
from moe_lab.streams import Stream

BALANCE = 0.01  # weight of every balance loss


class Peer:
    """A model and the plain loop around it."""

    def __init__(self, shape: Shape, model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor]):
        self.model, self.loss, self.done = model.train(), loss, 0
        self.parameters = list(model.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, lr=3e-3, weight_decay=0.1, fused=True)
        self.tokens = random_tokens(shape)

    def block(self, steps: int, threads: int, clock: Clock = time.process_time) -> float:
        """Seconds per step, after one that does not count."""
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)  # ours asks for it: its own cost is ours to bear
        self.step()
        began = clock()
        for _ in range(steps):
            self.step()
        return (clock() - began) / steps

    def step(self) -> None:
        """One optimizer step."""
        tokens, self.done = self.tokens[self.done % DRAWN], self.done + 1
        self.optimizer.zero_grad()
        loss = self.loss(tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()

    def close(self) -> None:
        """Nothing is open."""


def mixtral(shape: Shape, implementation: str = "grouped_mm") -> Peer:
    """transformers' Mixtral."""
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        **_common(shape, implementation), num_local_experts=shape.n_experts, sliding_window=None
    )
    return _hugging_face(shape, MixtralForCausalLM(config))


def olmoe(shape: Shape, implementation: str = "grouped_mm") -> Peer:
    """transformers' OLMoE."""
    from transformers import OlmoeConfig, OlmoeForCausalLM

    config = OlmoeConfig(**_common(shape, implementation), num_experts=shape.n_experts)
    return _hugging_face(shape, OlmoeForCausalLM(config))


def _common(shape: Shape, implementation: str) -> dict[str, Any]:
    return {
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.d_model,
        "intermediate_size": shape.d_gated,
        "num_hidden_layers": shape.n_layers,
        "num_attention_heads": shape.n_heads,
        "num_key_value_heads": shape.n_heads,
        "num_experts_per_tok": shape.top_k,
        "max_position_embeddings": shape.seq_len,
        "router_aux_loss_coef": BALANCE,
        "output_router_logits": True,
        "use_cache": False,
        "pad_token_id": None,
        "bos_token_id": None,
        "eos_token_id": None,
        "attn_implementation": "sdpa",
        "experts_implementation": implementation,
    }


def _hugging_face(shape: Shape, model: Any) -> Peer:
    def loss(inputs: Tensor, targets: Tensor) -> Tensor:
        found = model(input_ids=inputs)
        task = F.cross_entropy(found.logits.flatten(0, 1), targets.flatten())
        return task + BALANCE * found.aux_loss

    return Peer(shape, model, loss)


class Layer(nn.Module):
    """A foreign layer where ours would be; it keeps its loss until the step asks for it."""

    def __init__(self, moe: nn.Module):
        super().__init__()
        self.moe, self.aux_loss = moe, torch.zeros(())

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output."""
        output, self.aux_loss, *_ = self.moe(x)
        return output


def st_moe(shape: Shape) -> Peer:
    """st-moe-pytorch: capacity 1.25, GEGLU, one module per expert; drops tokens."""
    from st_moe_pytorch import MoE

    return _in_skeleton(
        shape,
        lambda: MoE(shape.d_model, num_experts=shape.n_experts, balance_loss_coef=BALANCE),
    )


def mixture_of_experts(shape: Shape) -> Peer:
    """mixture-of-experts: capacity 1.25, ReLU, one product for all experts; drops tokens."""
    from mixture_of_experts import MoE

    return _in_skeleton(
        shape, lambda: MoE(shape.d_model, num_experts=shape.n_experts, loss_coef=BALANCE)
    )


def _in_skeleton(shape: Shape, layer: Callable[[], nn.Module]) -> Peer:
    """Our attention, norms, embedding and head around a foreign layer."""
    config = configure(shape)
    model = LanguageModel(config, shape.vocab_size)
    initialize(model, config)
    layers = [Layer(layer()) for _ in model.blocks]
    for block, foreign in zip(model.blocks, layers, strict=True):
        block.feed_forward = foreign
    stream = Stream(0)

    def loss(inputs: Tensor, targets: Tensor) -> Tensor:
        logits, _ = model(inputs, stream)
        task = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        return task + sum(foreign.aux_loss for foreign in layers)

    return Peer(shape, model, loss)
