"""A small pre-norm decoder whose blocks hold an MoE layer, or a dense network of equal active width.

V tokens in the vocabulary, H heads of width D / H; other letters as in routing/base.py.
"""

from collections.abc import Mapping
from math import sqrt
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from moe_lab.balancing.base import Balancer
from moe_lab.config import Config
from moe_lab.config.schema import Moe
from moe_lab.experts import Experts
from moe_lab.feed_forward import ACTIVATIONS, FeedForward
from moe_lab.moe import NOTHING, CapacityFactors, MoELayer, Pooled
from moe_lab.registry import BALANCERS, ROUTERS
from moe_lab.routing.base import Reads, Routing
from moe_lab.streams import Stream

ROTARY_BASE = 10_000.0
W_OUT_STD = 0.02  # of experts
ALONE: Mapping[int, Pooled] = MappingProxyType({})  # a batch that is the whole scope of its losses
ALWAYS_MEASURED = ("switch", "importance", "router_z")  # whatever is optimised


class _RmsNorm(torch.autograd.Function):
    """F.rms_norm with a backward of its own: on the CPU PyTorch's takes thirteen passes, this one six."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor) -> Tensor:
        scale = (x.square().mean(-1, keepdim=True) + torch.finfo(x.dtype).eps).rsqrt()
        unit = x * scale
        ctx.save_for_backward(unit, gain, scale)
        return unit * gain

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        """dx = scale * (gain * grad - unit * mean(gain * grad * unit))."""
        unit, gain, scale = ctx.saved_tensors
        by_gain = grad * unit
        along = (by_gain @ (gain / -len(gain)))[..., None]
        dx = torch.addcmul(grad * gain, unit, along).mul_(scale)
        return dx, by_gain.view(-1, len(gain)).sum(0)


class Norm(nn.Module):
    """Root-mean-square norm with a gain (Zhang & Sennrich 2019, arXiv:1910.07467)."""

    def __init__(self, width: int):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: Float[Tensor, "*any D"]) -> Float[Tensor, "*any D"]:
        """x / rms(x) * gain over the last dimension."""
        normed: Tensor = _RmsNorm.apply(x, self.gain)  # type: ignore[no-untyped-call]
        return normed


class Attention(nn.Module):
    """Causal self-attention with rotary positions (Su et al. 2021, arXiv:2104.09864)."""

    turns: Tensor

    def __init__(self, d_model: int, n_heads: int, seq_len: int):
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Parameter(torch.empty(3 * d_model, d_model))
        self.out = nn.Parameter(torch.empty(d_model, d_model))
        half = d_model // n_heads // 2
        speed = ROTARY_BASE ** -(torch.arange(half) / half)
        angle = torch.arange(seq_len)[:, None] * speed
        self.register_buffer("turns", torch.polar(torch.ones_like(angle), angle), persistent=False)

    def forward(self, x: Float[Tensor, "B S D"]) -> Float[Tensor, "B S D"]:
        """Each position reads itself and the ones before."""
        heads = F.linear(x, self.qkv).view(*x.shape[:2], 3, self.n_heads, -1).transpose(1, 3)
        places, v = heads.split_with_sizes((2, 1), dim=2)  # (B, H, 2 and 1, S, D/H)
        q, k = self._rotate(places).unbind(2)
        mixed = F.scaled_dot_product_attention(q, k, v.squeeze(2), is_causal=True)
        return F.linear(mixed.transpose(1, 2).flatten(2), self.out)

    def _rotate(self, x: Float[Tensor, "*any S W"]) -> Float[Tensor, "*any S W"]:
        """Neighbouring features are a complex number: one product turns them all."""
        pairs = torch.view_as_complex(x.view(*x.shape[:-1], -1, 2))
        return torch.view_as_real(pairs * self.turns[: x.shape[-2]]).flatten(-2)


class Block(nn.Module):
    """Attention, then experts or a dense network, each on normed input and added to the residual stream."""

    def __init__(self, attention: Attention, feed_forward: MoELayer | FeedForward, d_model: int):
        super().__init__()
        self.attention_norm, self.attention = Norm(d_model), attention
        self.feed_forward_norm, self.feed_forward = Norm(d_model), feed_forward

    def forward(
        self, x: Float[Tensor, "B S D"], stream: Stream, labels: Int[Tensor, "B S"] | None
    ) -> tuple[Float[Tensor, "B S D"], Routing | None]:
        """The residual stream after this block, and its routing if it has experts."""
        x = x + self.attention(self.attention_norm(x))
        normed = self.feed_forward_norm(x)
        if isinstance(self.feed_forward, MoELayer):
            update, routing = self.feed_forward(normed, stream, labels)
            return x + update, routing
        return x + self.feed_forward(normed), None


class LanguageModel(nn.Module):
    """Embedding, blocks, norm, head. Parameters are empty until `initialize`."""

    def __init__(self, config: Config, vocab_size: int):
        super().__init__()
        d_model = config.model.d_model
        self.embedding = nn.Parameter(torch.empty(vocab_size, d_model))
        self.blocks = nn.ModuleList(_block(config, layer) for layer in range(config.model.n_layers))
        self.norm = Norm(d_model)
        self.head = nn.Parameter(torch.empty(vocab_size, d_model))

    def forward(
        self,
        tokens: Int[Tensor, "B S"],
        stream: Stream,
        labels: Int[Tensor, "B S"] | None = None,
    ) -> tuple[Float[Tensor, "B S V"], dict[int, Routing]]:
        """Next-token logits, and one Routing per MoE layer by the index of its block.

        `stream` is this batch's place in the run: router noise and ties are drawn from it. `labels` are what
        a router of this model `reads`.
        """
        x, routings = F.embedding(tokens, self.embedding), {}
        for layer, block in enumerate(self.blocks):
            x, routing = block(x, stream.at(layer), labels)
            if routing is not None:
                routings[layer] = routing
        return F.linear(self.norm(x), self.head), routings

    @property
    def reads(self) -> Reads | None:
        """What `forward` must be given as labels; None: nothing."""
        return next((moe.router.reads for moe in self.moe_layers().values()), None)

    def balance_losses(
        self, routings: dict[int, Routing], pooled: Mapping[int, Pooled] = ALONE
    ) -> dict[int, dict[str, Float[Tensor, ""]]]:
        """Per MoE layer, the unweighted loss of every measured balancer."""
        layers = self.moe_layers()
        return {i: layers[i].balance_losses(r, pooled.get(i, NOTHING)) for i, r in routings.items()}

    def moe_layers(self) -> dict[int, MoELayer]:
        """The MoE layers by the index of their block."""
        layers = ((i, block.feed_forward) for i, block in enumerate(self.blocks))
        return {i: layer for i, layer in layers if isinstance(layer, MoELayer)}


def _block(config: Config, layer: int) -> Block:
    model = config.model
    attention = Attention(model.d_model, model.n_heads, config.data.seq_len)
    has_experts = model.has_experts(layer)
    return Block(attention, _moe_layer(config) if has_experts else _dense(config), model.d_model)


def _dense(config: Config) -> FeedForward:
    """As wide as the experts that a token uses: the same FLOPs, but for the router's."""
    model, moe = config.model, config.moe
    width = (moe.top_k + moe.n_shared_experts) * model.d_expert
    return FeedForward(model.d_model, width, ACTIVATIONS[model.activation])


def _moe_layer(config: Config) -> MoELayer:
    model, moe = config.model, config.moe
    activation, d_model, d_expert = ACTIVATIONS[model.activation], model.d_model, model.d_expert
    router = ROUTERS.load(moe.router.name)(
        d_model, moe.n_experts, moe.top_k, moe.noise, moe.init_tilt != 0, **moe.router.options
    )
    shared = moe.n_shared_experts
    return MoELayer(
        router,
        Experts(moe.n_experts, d_model, d_expert, activation),
        _balancers(moe),
        moe.balance.name,
        CapacityFactors(moe.capacity_factor, moe.eval_capacity_factor, moe.drop_order),
        FeedForward(d_model, shared * d_expert, activation) if shared else None,
    )


def loss_weights(moe: Moe) -> dict[str, float]:
    """Weight of every measured balancer that has a loss: alpha for the chosen one, its own for each extra, else 0."""
    return {name: weight for name, weight in _weights(moe).items() if BALANCERS.load(name).has_loss}


def _weights(moe: Moe) -> dict[str, float]:
    weights = dict.fromkeys(ALWAYS_MEASURED, 0.0) | {moe.balance.name: moe.alpha}
    return weights | {extra.name: extra.weight for extra in moe.extra}


def _balancers(moe: Moe) -> dict[str, Balancer]:
    """One instance of each, in the order of their weights."""
    options = {method.name: method.options for method in (moe.balance, *moe.extra)}
    return {name: BALANCERS.load(name)(**options.get(name, {})) for name in _weights(moe)}


@torch.no_grad()
def initialize(model: LanguageModel, config: Config) -> None:
    """Fill every parameter from a stream of its own name: adding one moves no other."""
    stream = Stream(config.seed)
    for name, parameter in model.named_parameters():
        if name.endswith("gain"):
            continue  # ones
        if name.endswith("router.noise_weight"):
            parameter.zero_()  # as Shazeer et al. 2017, appendix A
            continue
        if name.endswith("router.bias"):
            parameter.zero_()[0] = config.moe.init_tilt
            continue
        std = _std(name, parameter, config)
        parameter.copy_(std * stream.at(name).normal("init", tuple(parameter.shape)))


def _std(name: str, parameter: Tensor, config: Config) -> float:
    """Initial standard deviation: given for embedding and router, else 1 / sqrt(inputs).

    What experts add to the residual stream starts small, so that attention leads at first.
    """
    if name == "embedding":
        return config.model.embedding_std
    if name.endswith("router.weight"):
        return config.moe.init_std
    if name.endswith("w_out"):
        return W_OUT_STD
    return 1 / sqrt(parameter.shape[1])  # (outputs, inputs), or (experts, inputs, outputs)
