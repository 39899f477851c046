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


INTEGERS = ("step", "layer", "expert", "tokens", "assignments", "router_ties")  # all others: floats

# fmt: off
STEP = Column("step", "steps", "train: measured before this step's update; eval: after it, 0 is the untrained model")
PLACE = (
    STEP,
    Column("split", "", "train: one step's batch; eval: held-out data, no noise, nothing dropped by default"),
    Column("layer", "", "index of the block in the model, from 0"),
)

STEPS = (
    STEP,
    Column("tokens", "tokens", "seen up to and including this step"),
    Column("lr", "", "learning rate of this step's update"),
    Column("loss", "nats/token", "lm_loss + aux_loss: what is optimised", "lower"),
    Column("lm_loss", "nats/token", "cross-entropy of the next token; no penalty inside", "lower"),
    Column("aux_loss", "nats/token", "weighted balance losses: alpha x chosen + sum of weight x extra"),
    Column("grad_norm", "", "norm of the whole gradient before clipping"),
    Column("cv_mean", "", "cv, mean over MoE layers", "lower"),
    Column("cv_worst", "", "cv of the worst MoE layer", "lower"),
    Column("n_eff_worst", "experts", "n_eff of the worst MoE layer", "higher"),
    Column("dead_experts", "share", "dead experts, mean over MoE layers; blank until the window is long enough", "lower"),
    Column("dropped", "share", "assignments over capacity, mean over MoE layers", "lower"),
)

CV = (
    *PLACE,
    Column("assignments", "", "k x tokens that were routed"),
    Column("cv", "", "population std / mean of the load, before capacity; 0 to sqrt(E/k - 1)", "lower"),
    Column("cv_floor", "", "root mean square of cv under uniformly random routing: sqrt((E-k)/(k T))"),
    Column("max_violation", "", "E x largest load - 1; 0 to E/k - 1", "lower"),
    Column("n_eff", "experts", "exp(entropy of the load in nats): effective number of experts", "higher"),
    Column("entropy", "", "entropy of the load / ln E; 0 to 1", "higher"),
    Column("collapse_index", "", "(E - n_eff)/(E - k): 0 balanced, 1 one set of k experts; blank if k = E", "lower"),
    Column("dead_experts", "share", "experts below 5 % of their fair share over a window with at least 20 expected assignments each", "lower"),
    Column("dropped", "share", "assignments over capacity", "lower"),
    Column("router_entropy", "", "mean entropy of a token's router probabilities / ln E; neither end is health"),
    Column("margin", "logits", "mean distance between the last chosen and the first rejected router logit; blank if k = E"),
    Column("router_ties", "tokens", "tokens whose choice was decided by a keyed draw, because logits were exactly equal"),
    Column("cv_relative", "", "cv / sqrt(E/k - 1), its largest value; blank if k = E", "lower"),
    Column("min_over_mean", "", "E x smallest load; 1 balanced, 0: an expert got nothing", "higher"),
    Column("n_eff_simpson", "experts", "1 / sum of squared loads = E / (1 + cv^2); at most n_eff", "higher"),
    Column("gini", "", "mean absolute difference of loads / twice their mean; 0 to 1 - 1/E", "lower"),
    Column("effective_capacity", "share", "mean over experts of min(1, E x load): 1 - the share of assignments to move for balance", "higher"),
    Column("starved_experts", "share", "experts without any assignment, so without task gradient, over the window of dead_experts", "lower"),
    Column("cv_kept", "", "cv after capacity; blank if nothing was dropped", "lower"),
    Column("max_violation_kept", "", "max_violation after capacity; blank likewise", "lower"),
    Column("n_eff_kept", "experts", "n_eff after capacity; blank likewise", "higher"),
    Column("confidence", "", "mean largest router probability of a token"),
    Column("logit_norm", "logits", "mean Euclidean norm of a token's router logits"),
)

AUX_TAIL = (
    Column("grad_task", "", "norm of the task loss's gradient on this layer's router weight, every log.router_grad_every steps"),
    Column("grad_balance", "", "norm of aux_loss's gradient on this layer's router weight, at the same steps"),
    Column("grad_cosine", "", "cosine of these two gradients; below 0: the balance loss works against the task"),
)

EVAL = (
    STEP,
    Column("lm_loss", "nats/token", "cross-entropy on held-out data (bytes: nats/byte)", "lower"),
    Column("gap", "nats/token", "exact mean KL divergence from the Bayes predictor to the model; blank where none is known", "lower"),
    Column("nmi", "", "mutual information of expert and domain / entropy of the domain, mean over MoE layers, less its value under shuffled domains"),
)

ROUTER = (
    STEP,
    Column("layer", "", "index of the block in the model, from 0"),
    Column("nmi", "", "nmi of this layer"),
    Column("conditional_nmi", "", "I(expert; domain | token) / H(domain | token), less its value under domains shuffled among equal tokens: 0 if experts only tell tokens apart"),
    Column("token_specialization", "", "I(expert; token) / the smaller entropy, less its value under shuffled tokens"),
    Column("coactivation", "share", "of pairs of experts sharing a token that would be other pairs if experts were picked by their loads alone; blank for k = 1 or k = E"),
    Column("coactivation_floor", "share", "the same under such picks at this number of tokens"),
    Column("output_cosine", "", "mean over pairs of experts of the cosine of their outputs", "lower"),
    Column("output_cosine_null", "", "the same of experts at random initialisation, on the same tokens"),
    Column("cka", "", "mean over pairs of experts of the linear CKA of their outputs; 1: redundant", "lower"),
    Column("cka_null", "", "the same of experts at random initialisation, on the same tokens"),
    Column("router_cosine", "", "mean over pairs of experts of the cosine of their router weights"),
    Column("representation_collapse", "", "trace of within- times inverse between-expert covariance of what the router reads; small: inputs gather at their expert"),
    Column("batch_cv2", "", "mean over batches of cv^2 = global_cv2 + between_batches, exactly", "lower"),
    Column("global_cv2", "", "cv^2 of the load over all batches", "lower"),
    Column("between_batches", "", "E x sum over experts of the variance of load between batches: what batch balance would suppress and global balance would not"),
    Column("batch_floor", "", "mean of batch_cv2 under uniformly random routing: (E-k)/(k T of a batch)"),
    Column("ablation_smallest", "nats/token", "by how much the loss grows without the expert that is missed least, on one batch; blank without eval.ablation"),
    Column("ablation_largest", "nats/token", "the same for the expert that is missed most; near 0: all experts are redundant or dead"),
    Column("over_capacity", "share", "assignments that training's capacity_factor would drop here; blank without one", "lower"),
)

STABILITY = (
    STEP,
    Column("layer", "", "index of the block in the model, from 0"),
    Column("saturation", "", "share of a held-out token's experts that the last evaluation's router chooses, too; mean over tokens"),
    Column("saturation_chance", "", "k/E: saturation of unrelated choices at uniform load"),
    Column("fluctuation", "share", "of held-out tokens whose first choice differs from the previous evaluation's; depends on their distance"),
)

LOADS = (
    *PLACE,
    Column("expert", "", "index of the expert, from 0"),
    Column("load", "share", "of routed assignments, before capacity; fair share is 1/E"),
)

TIMING = (
    STEP,
    Column("elapsed_s", "s", "training time up to this step, over all parts of an interrupted run"),
    Column("step_ms", "ms", "wall-clock time of this step, logging included"),
    Column("tokens_per_s", "tokens/s", "tokens of this step, on all ranks / its time", "higher"),
    Column("memory_mb", "MB", "peak resident memory of the process, or of the GPU's allocator; of several ranks, the first's"),
)

ARRAYS = (  # of each .npz; `layer_N.` stands before what is of one layer
    Column("loss_by_position", "(S,)", "lm_loss at each position of a sequence"),
    Column("gap_by_position", "(S,)", "gap at each position, where it is known"),
    Column("layer_N.experts", "(T, k)", "the experts of each held-out token, the first choice first"),
    Column("layer_N.expert_by_domain", "(E, K)", "assignments of each expert by the token's domain"),
    Column("layer_N.expert_by_token", "(E, V)", "assignments of each expert by the token's id"),
    Column("layer_N.coactivation", "(E, E)", "tokens that two experts share; on the diagonal, all of one; not for k = 1"),
    Column("layer_N.output_cosine", "(E, E)", "mean cosine of the outputs of two experts for the same tokens"),
    Column("layer_N.cka", "(E, E)", "linear CKA of the outputs of two experts for the same tokens"),
    Column("layer_N.dropped_by_position", "(S,)", "over_capacity at each position; with a capacity_factor"),
    Column("layer_N.dropped_by_domain", "(K,)", "over_capacity of each domain; with a capacity_factor"),
    Column("layer_N.ablation", "(E,)", "by how much the loss of one batch grows without each expert; with eval.ablation"),
)
# fmt: on


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
    losses = (column for name in balancers for column in _losses(name))
    grads = (column for name in balancers for column in _grads(name))
    return (*PLACE, *losses, *AUX_TAIL, *grads)


def _losses(name: str) -> tuple[Column, ...]:
    raw = f"the {name} loss before its weight, measured whatever is optimised"
    weighted = f"the {name} loss times its weight (0 if not optimised)"
    return Column(f"{name}_raw", "", raw), Column(f"{name}_weighted", "nats/token", weighted)


def _grads(name: str) -> tuple[Column, ...]:
    norm = f"norm of the weighted {name} loss's gradient on this layer's router weight; blank if not optimised"
    cosine = "its cosine with the task's gradient"
    return Column(f"{name}_grad", "", norm), Column(f"{name}_cosine", "", cosine)


def evaluation(domains: Sequence[str], *, gap_known: bool) -> tuple[Column, ...]:
    """eval.csv: losses, and gaps where they are known, per domain where there are several."""
    if len(domains) < 2:
        return EVAL
    losses = (
        Column(f"{domain}_loss", "nats/token", f"lm_loss on tokens of {domain}", "lower")
        for domain in domains
    )
    gaps = (
        Column(f"{domain}_gap", "nats/token", f"gap on tokens of {domain}", "lower")
        for domain in domains
        if gap_known
    )
    return (*EVAL, *losses, *gaps)


def tables(
    *, n_experts: int, balancers: Sequence[str], domains: Sequence[str], gap_known: bool = True
) -> dict[str, tuple[Column, ...]]:
    """Every table of a run, by its name without .csv."""
    return {
        "steps": STEPS,
        "utilization": utilization(n_experts),
        "cv": CV,
        "aux_loss": aux_loss(balancers),
        "eval": evaluation(domains, gap_known=gap_known),
        "router": ROUTER,
        "timing": TIMING,
    }


def names(columns: Sequence[Column]) -> tuple[str, ...]:
    """The header of a table."""
    return tuple(column.name for column in columns)
