"""Every setting: its name, default, range, unit and meaning."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, JsonValue
from pydantic_core import PydanticCustomError

from moe_lab.capacity import DropOrder
from moe_lab.config.data import Data, Domains
from moe_lab.config.methods import Method, OneOf, Settings, WeightedMethod
from moe_lab.registry import BALANCERS, ROUTERS


def _block_indices(value: Any) -> Any:
    distinct = isinstance(value, tuple) and value and len(set(map(repr, value))) == len(value)
    indices = distinct and all(type(item) is int and item >= 0 for item in value)
    if value not in ("all", "none") and not indices:
        raise PydanticCustomError(
            "block_indices", "not all, not none, and not a list of distinct block indices"
        )
    return value


class Model(Settings):
    """The language model around the experts."""

    n_layers: int = Field(2, ge=1, le=256, description="Transformer blocks.")
    d_model: int = Field(64, ge=8, le=65536, description="Width of the residual stream.")
    n_heads: int = Field(4, ge=1, le=1024, description="Attention heads per block.")
    d_expert: int = Field(64, ge=8, le=65536, description="Hidden width of one expert.")
    activation: Literal["gelu", "relu", "silu", "swiglu"] = Field(
        "gelu",
        description="Between the matrices of an expert; swiglu reads two for each hidden unit.",
    )
    moe_layers: Annotated[
        Literal["all", "none"] | tuple[int, ...], BeforeValidator(_block_indices)
    ] = Field(
        "all",
        description="Blocks that have experts: all, none or a list of indices from 0; the others are "
        "dense, as wide as the experts that a token uses.",
    )
    embedding_std: float = Field(
        1.0, gt=0, le=1e3, description="Standard deviation of the token embeddings at the start."
    )

    def has_experts(self, layer: int) -> bool:
        """Whether a block is an MoE layer."""
        if isinstance(self.moe_layers, str):
            return self.moe_layers == "all"
        return layer in self.moe_layers


def _grid(*values: JsonValue) -> dict[str, JsonValue]:
    """What `moe-lab sweep KEY` tries."""
    return {"grid": list(values)}


def _default(name: str) -> Any:
    return name  # the name of a method, which validation turns into its settings


class Moe(Settings):
    """The experts and the levers against their collapse."""

    n_experts: int = Field(
        8,
        ge=2,
        le=1024,
        description="Experts per MoE layer, E.",
        json_schema_extra=_grid(4, 8, 16, 32),
    )
    top_k: int = Field(
        1,
        ge=1,
        le=1024,
        description="Experts per token, k.",
        json_schema_extra=_grid(1, 2, 4),
    )
    alpha: float = Field(
        0.01,
        ge=0,
        le=1e6,
        description="Weight of the balance loss in the training loss; 0: measured, not trained on.",
        json_schema_extra=_grid(0, 0.001, 0.01, 0.1, 1),
    )
    noise: float = Field(
        0.0,
        ge=0,
        le=1e6,
        description="Scale of the noise on the selection logits: its standard deviation if Gaussian; training only.",
        json_schema_extra=_grid(0, 0.1, 0.3, 1),
    )
    capacity_factor: float | None = Field(
        None,
        gt=0,
        le=1e6,
        description="Slots per expert are ceil(factor * k * tokens / E); null: no limit.",
        json_schema_extra=_grid(None, 1, 1.25, 2),
    )
    router: Annotated[Method, OneOf(ROUTERS)] = Field(
        _default("top_k"), validate_default=True, description="How tokens choose experts."
    )
    balance: Annotated[Method, OneOf(BALANCERS)] = Field(
        _default("switch"), validate_default=True, description="The balancer that alpha weighs."
    )
    extra: tuple[Annotated[WeightedMethod, OneOf(BALANCERS, WeightedMethod)], ...] = Field(
        (), description="Further balancers, each with its own weight."
    )
    n_shared_experts: int = Field(
        0,
        ge=0,
        le=1024,
        description="Experts that every token uses, beside the k that it is routed to.",
    )
    drop_order: DropOrder = Field(
        "position",
        description="Who keeps a slot when an expert is over capacity: the earlier token, the larger "
        "gate, a random one, or first choices of the surest tokens.",
    )
    init_std: float = Field(
        0.02, ge=0, le=1e3, description="Standard deviation of the router's weights at the start."
    )
    init_tilt: float = Field(
        0.0,
        ge=-1e6,
        le=1e6,
        description="Trainable bias of expert 0 at the start, in logits: an installed imbalance.",
    )
    eval_capacity_factor: float | None = Field(
        None, gt=0, le=1e6, description="capacity_factor in evaluation; null: nothing is dropped."
    )


class Train(Settings):
    """The optimisation."""

    steps: int = Field(400, ge=1, le=10_000_000, description="Optimizer steps.")
    batch_size: int = Field(24, ge=1, le=1_000_000, description="Sequences per forward pass.")
    accumulate: int = Field(1, ge=1, le=1_000_000, description="Forward passes per step.")
    lr: float = Field(3e-3, gt=0, le=10, description="Peak learning rate of AdamW.")
    lr_schedule: Literal["cosine", "constant"] = Field(
        "cosine", description="Learning rate after the warm-up."
    )
    router_lr_factor: float = Field(
        1.0, ge=0, le=1e6, description="Routers learn with this times lr; 0: they are frozen."
    )
    warmup: int = Field(
        20, ge=0, le=10_000_000, description="Steps of linear warm-up of the learning rate."
    )
    weight_decay: float = Field(0.1, ge=0, le=1e3, description="Decoupled weight decay of AdamW.")
    grad_clip: float | None = Field(
        1.0, gt=0, le=1e9, description="Largest norm of the gradient; null: no limit."
    )
    threads: int = Field(1, ge=1, le=256, description="CPU threads; results depend on it.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where to train; auto: a CUDA GPU if there is one."
    )


class Eval(Settings):
    """Evaluation on held-out data."""

    every: int = Field(50, ge=1, le=10_000_000, description="Steps between evaluations.")
    tokens: int = Field(8192, ge=8, le=100_000_000, description="Tokens per evaluation.")
    ablation: bool = Field(
        False,
        description="Measure the loss of one batch without each expert in turn: a forward pass per expert and layer.",
    )


class Log(Settings):
    """Rows of the result files."""

    every: int = Field(1, ge=1, le=10_000_000, description="Steps between rows.")
    router_grad_every: int = Field(
        20, ge=1, le=10_000_000, description="Steps between measurements of the router's gradients."
    )


class Checkpoint(Settings):
    """What a run can be resumed from."""

    every: int = Field(100, ge=1, le=10_000_000, description="Steps between checkpoints.")
    keep: int = Field(2, ge=1, le=1000, description="Checkpoints that are kept.")


class Config(Settings):
    """All that a run is asked to be."""

    name: str = Field(
        "run",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="Name of the run's directory.",
    )
    seed: int = Field(
        0, ge=0, le=2**63 - 1, description="Seed of all draws: data, initial weights, noise, ties."
    )
    data: Data = Field(Domains(), description="What the model reads.")
    model: Model = Model()
    moe: Moe = Moe()
    train: Train = Train()
    eval: Eval = Eval()
    log: Log = Log()
    checkpoint: Checkpoint = Checkpoint()
