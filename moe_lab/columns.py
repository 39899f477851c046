"""Every number that a run writes: its name, unit, meaning and which way is better.

The same word is config key, Python argument, CSV header and axis label.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Column:
    """One column of a result file."""

    name: str
    unit: str
    meaning: str
    better: Literal["higher", "lower", ""] = ""


STEP = Column(
    "step",
    "steps",
    "train: measured before this step's update; eval: after it, 0 is the untrained model",
)
PLACE = (
    STEP,
    Column(
        "split",
        "",
        "train: one step's batch; eval: held-out data, no noise, nothing dropped by default",
    ),
    Column("layer", "", "index of the block in the model, from 0"),
)

STEPS = (
    STEP,
    Column("tokens", "tokens", "seen up to and including this step"),
    Column("lr", "", "learning rate of this step's update"),
    Column("loss", "nats/token", "lm_loss + aux_loss: what is optimised", "lower"),
    Column("lm_loss", "nats/token", "cross-entropy of the next token; no penalty inside", "lower"),
    Column(
        "aux_loss", "nats/token", "weighted balance losses: alpha x chosen + sum of weight x extra"
    ),
    Column("grad_norm", "", "norm of the whole gradient before clipping"),
    Column("cv_mean", "", "cv, mean over MoE layers", "lower"),
    Column("cv_worst", "", "cv of the worst MoE layer", "lower"),
    Column("n_eff_worst", "experts", "n_eff of the worst MoE layer", "higher"),
    Column(
        "dead_experts",
        "share",
        "dead experts, mean over MoE layers; blank until the window is long enough",
        "lower",
    ),
    Column("dropped", "share", "assignments over capacity, mean over MoE layers", "lower"),
)

CV = (
    *PLACE,
    Column("assignments", "", "k x tokens that were routed"),
    Column(
        "cv", "", "population std / mean of the load, before capacity; 0 to sqrt(E/k - 1)", "lower"
    ),
    Column(
        "cv_floor", "", "root mean square of cv under uniformly random routing: sqrt((E-k)/(k T))"
    ),
    Column("max_violation", "", "E x largest load - 1; 0 to E/k - 1", "lower"),
    Column(
        "n_eff",
        "experts",
        "exp(entropy of the load in nats): effective number of experts",
        "higher",
    ),
    Column("entropy", "", "entropy of the load / ln E; 0 to 1", "higher"),
    Column(
        "collapse_index",
        "",
        "(E - n_eff)/(E - k): 0 balanced, 1 one set of k experts; blank if k = E",
        "lower",
    ),
    Column(
        "dead_experts",
        "share",
        "experts below 5 % of their fair share over a window with at least 20 expected assignments each",
        "lower",
    ),
    Column("dropped", "share", "assignments over capacity", "lower"),
    Column(
        "router_entropy",
        "",
        "mean entropy of a token's router probabilities / ln E; neither end is health",
    ),
    Column(
        "margin",
        "logits",
        "mean distance between the last chosen and the first rejected router logit; blank if k = E",
    ),
    Column(
        "router_ties",
        "tokens",
        "tokens whose choice was decided by a keyed draw, because logits were exactly equal",
    ),
)

AUX_TAIL = (
    Column(
        "grad_task",
        "",
        "norm of the task loss's gradient on this layer's router weight, every log.router_grad_every steps",
    ),
    Column(
        "grad_balance",
        "",
        "norm of aux_loss's gradient on this layer's router weight, at the same steps",
    ),
)

EVAL = (
    STEP,
    Column("lm_loss", "nats/token", "cross-entropy on held-out data (bytes: nats/byte)", "lower"),
    Column(
        "gap",
        "nats/token",
        "exact mean KL divergence from the Bayes predictor to the model; blank where none is known",
        "lower",
    ),
    Column(
        "nmi",
        "",
        "mutual information of expert and domain / entropy of the domain, mean over MoE layers, less its value under shuffled domains",
    ),
)

TIMING = (
    STEP,
    Column("elapsed_s", "s", "training time up to this step, over all parts of an interrupted run"),
    Column("step_ms", "ms", "wall-clock time of this step, logging included"),
    Column("tokens_per_s", "tokens/s", "tokens of this step / its time", "higher"),
    Column("memory_mb", "MB", "peak resident memory of the process, or of the GPU's allocator"),
)


def experts(n_experts: int) -> tuple[str, ...]:
    """`expert_00` … padded to the width of the last index, at least 2, so that names sort."""
    width = max(2, len(str(n_experts - 1)))
    return tuple(f"expert_{i:0{width}d}" for i in range(n_experts))


def utilization(n_experts: int) -> tuple[Column, ...]:
    """utilization.csv for E experts: a row sums to 1."""
    meaning = "share of routed assignments, before capacity; fair share is 1/E"
    return (*PLACE, *(Column(name, "share", meaning) for name in experts(n_experts)))


def aux_loss(balancers: Sequence[str]) -> tuple[Column, ...]:
    """aux_loss.csv for the balancers that are measured, in their order."""
    pairs = (
        pair
        for name in balancers
        for pair in (
            Column(
                f"{name}_raw",
                "",
                f"the {name} loss before its weight, measured whatever is optimised",
            ),
            Column(
                f"{name}_weighted",
                "nats/token",
                f"the {name} loss times its weight (0 if not optimised)",
            ),
        )
    )
    return (*PLACE, *pairs, *AUX_TAIL)


def evaluation(domains: Sequence[str]) -> tuple[Column, ...]:
    """eval.csv: one loss per domain where there are several."""
    losses = (
        Column(f"{domain}_loss", "nats/token", f"lm_loss on tokens of {domain}", "lower")
        for domain in domains
        if len(domains) > 1
    )
    return (*EVAL, *losses)


def tables(
    *, n_experts: int, balancers: Sequence[str], domains: Sequence[str]
) -> dict[str, tuple[Column, ...]]:
    """Every table of a run, by its name without .csv."""
    return {
        "steps": STEPS,
        "utilization": utilization(n_experts),
        "cv": CV,
        "aux_loss": aux_loss(balancers),
        "eval": evaluation(domains),
        "timing": TIMING,
    }


def names(columns: Sequence[Column]) -> tuple[str, ...]:
    """The header of a table."""
    return tuple(column.name for column in columns)
