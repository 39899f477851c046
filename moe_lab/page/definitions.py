"""Every number of a page: its unit, what it means, and its formula."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from moe_lab import columns, sweep_columns
from moe_lab.columns import Column
from moe_lab.config import keys
from moe_lab.report.outcomes import SHOWN

LETTERS = (
    "E experts, k of them for each token (top_k), T tokens in scope; f_i: load of expert i, its share of the k T "
    "assignments before capacity; P_i: mean router probability of expert i over all tokens; I: mutual information, "
    "H: entropy, in nats."
)
FORMULAS = {
    "loss": "lm_loss + aux_loss",
    "aux_loss": "alpha · mean over layers of the balance loss + Σ weight · mean of each extra",
    "gap": "mean over tokens of Σ_v p(v) ln(p(v) / q(v)), p: Bayes predictor, q: model",
    "cv": "√(E · Σ f_i² − 1)",
    "cv_floor": "√((E − k) / (k T))",
    "max_violation": "E · max f_i − 1",
    "n_eff": "exp(−Σ f_i ln f_i)",
    "entropy": "−Σ f_i ln f_i / ln E",
    "collapse_index": "(E − n_eff) / (E − k)",
    "dead_experts": "share of i with f_i < 0.05 / E, over a window",
    "starved_experts": "share of i with f_i = 0, over a window",
    "cv_relative": "cv / √(E/k − 1)",
    "min_over_mean": "E · min f_i",
    "n_eff_simpson": "1 / Σ f_i² = E / (1 + cv²)",
    "gini": "Σ_i Σ_j |f_i − f_j| / (2 E)",
    "effective_capacity": "Σ min(1, E f_i) / E",
    "nmi": "I(expert; domain) / H(domain) − its mean under shuffled domains",
    "batch_floor": "(E − k) / (k T), T: tokens of a batch",
    "batch_cv2": "global_cv2 + between_batches",
    "saturation_chance": "k / E",
    "router_grad_share": "grad_balance / (grad_balance + grad_task)",
    "aux_over_lm": "aux_loss / lm_loss",
    "rho": "(L_single − L) / (L_single − L_domain), L: lm_loss",
    "switch_raw": "E · Σ f_i P_i",
    "importance_raw": "variance of P_i / (mean of P_i)²",
    "router_z_raw": "mean over tokens of (ln Σ_j exp z_j)², z: router logits",
    "verdict": "collapsed: collapse_index > 0.5 for 50 steps; else skewed: max_violation > 1 or dead_experts > 0",
}
# fmt: off
WORDS = (
    Column("rho", "", "routing efficiency: 0 as `single`, total collapse; 1 as `domain`, the truth", "higher"),
    Column("floor", "", "what a measure reads under uniformly random routing of as many tokens, by sampling alone"),
    Column("steps", "steps", "made so far, of those asked for"),
    Column("in bits", "bits/token", "lm_loss / ln 2 (text: bits per byte)", "lower"),
    Column("uniform", "nats/token", "loss of a predictor that knows only how many tokens there are"),
    Column("unigram", "nats/token", "loss of one that knows how frequent each token is"),
    Column("bigram", "nats/token", "loss of one that also sees the token before"),
    Column("bayes", "nats/token", "loss of the best predictor there is from the tokens so far: gap 0"),
    Column("oracle", "nats/token", "loss of one that is also told the domain"),
    Column("switch_raw", "", "the Switch balance loss: 1 when balanced, but near 1 also at full collapse"),
    Column("importance_raw", "", "the importance loss: squared variation of the mean router probabilities"),
    Column("router_z_raw", "", "the router z-loss: keeps logits small, balances nothing"),
)
# fmt: on
ANY = "<domain>", "<balancer>"  # stand for their names
SHORT = {"max_vio": "max_violation", "dead": "dead_experts", "worst layer": "worst_layer"}
SWEEP = {  # a table's words to those of its CSV
    **{name: f"difference_{name}" for name in ("lower", "decision")},
    "difference": "difference_mean",
    "p": "difference_p_holm",
}


@dataclass(frozen=True)
class Group:
    """Columns that are written, or shown, together."""

    title: str
    columns: tuple[Column, ...]


def groups(settings: Sequence[str], points: Sequence[Column] = ()) -> Iterator[Group]:
    """What a page defines: settings of its tables, numbers of a run, and of a sweep those of its points."""
    yield Group("Settings in the tables of this page", tuple(map(_setting, settings)))
    yield Group(
        "Of a run at its end",
        (sweep_columns.RUN, *sweep_columns.STATE, *sweep_columns.OUTCOMES, *WORDS),
    )
    if points:
        yield Group("Of a sweep's point, over its seeds", tuple(points))
    place = len(columns.PLACE)
    yield Group("Load and balance of a layer, at a step", (*columns.LOADS, *columns.CV[place:]))
    yield Group("Losses and gradients of a layer", columns.aux_loss(ANY[1:])[place:])
    yield Group("Of a training step", columns.STEPS[1:])
    yield Group("Of an evaluation", columns.evaluation(ANY[:1] * 2, gap_known=True)[1:6])
    yield Group("Of the router of a layer, at an evaluation", columns.ROUTER[2:])
    yield Group("Of a layer's choices, at an evaluation", columns.STABILITY[2:])
    yield Group("Of time", columns.TIMING[1:])


def meant(word: str) -> Column | None:
    """The number, or setting, that stands under a word of a table's header; None for what is neither."""
    name = word.strip().partition(" (floor")[0].removesuffix(" - first")
    name = SHORT.get(name) or SWEEP.get(name) or _shown().get(name, name)
    if name in _known():
        return _known()[name]
    places = keys.named(name)
    return _setting(places[0]) if len(places) == 1 else None


@cache
def _shown() -> dict[str, str]:
    return {words.strip(): name for name, words in SHOWN.items()}


@cache
def _known() -> dict[str, Column]:
    """The first definition of each name, the narrowest first."""
    found = (*columns.LOADS, *columns.CV, sweep_columns.RUN, *sweep_columns.OUTCOMES)
    points = sweep_columns.points((), "gap")
    rest = (*WORDS, *sweep_columns.STATE, *points, *columns.STEPS, *columns.ROUTER)
    return {column.name: column for column in reversed((*found, *rest, *columns.STABILITY))}


def _setting(key: str) -> Column:
    """A setting as its own field describes it; one of a method has no more than its name."""
    section, _, leaf = key.rpartition(".")
    models = keys.choices().get(section, {}).values() or [keys.sections()[section]]
    fields = (model.model_fields[leaf] for model in models if leaf in model.model_fields)
    return Column(key, "", next((field.description or "" for field in fields), ""))
