"""What no machine can hold: refused before anything is allocated; all else is tried."""

from collections.abc import Iterator

from moe_lab.config.findings import Finding
from moe_lab.config.schema import Config

LARGEST_MODEL = 2**40  # bytes
BYTES = 16  # of a parameter: its value, gradient and two moments in float32
MOST_TOKENS = 2**26  # of a forward pass: whole steps of the largest public runs have fewer


def size_refusals(config: Config) -> Iterator[Finding]:
    """A model or a batch beyond all reason."""
    model, moe, train = config.model, config.moe, config.train
    layers = sum(map(model.has_experts, range(model.n_layers)))
    experts = layers * (moe.n_experts + moe.n_shared_experts) * 2 * model.d_model * model.d_expert
    size = BYTES * (experts + model.n_layers * 4 * model.d_model**2)
    if size > LARGEST_MODEL:
        yield Finding(
            ("model.d_expert", "moe.n_experts", "model.d_model", "model.n_layers"),
            f"this model needs {size / 1e12:,.1f} TB for its weights, gradients and moments; "
            f"the limit is {LARGEST_MODEL / 1e12:.1f}",
            "use smaller d_model or d_expert, fewer n_experts or n_layers",
        )
    tokens = train.batch_size * config.data.seq_len
    if tokens > MOST_TOKENS:
        yield Finding(
            ("train.batch_size", "data.seq_len"),
            f"'train.batch_size' ({train.batch_size}) sequences of {config.data.seq_len} tokens are "
            f"{tokens:,} in one forward pass; the limit is {MOST_TOKENS:,}",
            f"use batch_size <= {MOST_TOKENS // config.data.seq_len}, and accumulate",
        )
