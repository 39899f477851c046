"""What a sweep writes beside its runs: the columns of runs.csv, one row per run, and of summary.csv, one per point."""

from collections.abc import Sequence
from dataclasses import replace

from moe_lab.columns import Column

# fmt: off
RUN = Column("run", "", "name of the run's folder in that of the sweep: its point and its seed")

STATE = (
    Column("seed", "", "of all draws of the run; the same seeds at every point"),
    Column("state", "", "pending, running, finished, failed, diverged, stopped or interrupted"),
    Column("error", "", "first line of why it failed or was killed"),
)

FLOOR = Column("cv_floor", "", "what cv reads under uniformly random routing of as many tokens")

OUTCOMES = (  # of a run, each by its last evaluation unless another time is named
    Column("verdict", "", "of the worst layer: collapsed, skewed or balanced"),
    Column("worst_layer", "", "the layer of the gravest verdict; among equals, that of the lowest n_eff"),
    Column("n_eff_start", "experts", "n_eff of the worst layer in the untrained model", "higher"),
    Column("n_eff_lowest", "experts", "its lowest n_eff of a training step", "higher"),
    Column("n_eff_lowest_step", "steps", "that step"),
    Column("n_eff", "experts", "its n_eff at the end", "higher"),
    Column("collapsed_since", "steps", "the step its last collapse began at; blank unless the verdict is collapsed"),
    Column("lm_loss", "nats/token", "cross-entropy on held-out data", "lower"),
    Column("gap", "nats/token", "exact mean KL divergence from the Bayes predictor to the model; blank where none is known", "lower"),
    Column("nmi", "", "nmi of eval.csv: what experts tell about domains"),
    Column("cv", "", "cv, mean over MoE layers", "lower"),
    Column("cv_worst", "", "the largest cv of a layer", "lower"),
    FLOOR,
    Column("max_violation", "", "the largest of a layer", "lower"),
    Column("dead_experts", "share", "the largest of a layer", "lower"),
    Column("dropped", "share", "the largest of a layer, mean over the last tenth of training", "lower"),
    Column("aux_over_lm", "", "aux_loss / lm_loss, mean over the last tenth of training"),
    Column("router_grad_share", "share", "grad_balance / (grad_balance + grad_task), last measured; the largest of a layer"),
    Column("lm_loss_fall", "nats/token", "mean lm_loss of the third quarter of training less that of the last"),
    Column("balance_fall", "share", "the same of the balance loss, as a share of its mean in the third quarter"),
    Column("tokens_per_s", "tokens/s", "speed of training; only where times are asked for: --times", "higher"),
)

COUNTS = (
    Column("n", "runs", "that have finished: all else in the row is of these"),
    Column("failed", "runs", "that failed or diverged"),
)

TESTS = (  # of what begins with difference_
    Column("n", "seeds", "that have finished at this point and at the baseline"),
    Column("lower", "seeds", "whose loss is below the baseline's"),
    Column("higher", "seeds", "whose loss is above the baseline's"),
    Column("p", "", "two-sided, by sign flips; blank below 6 seeds"),
    Column("p_holm", "", "the same after Holm, for all points of the table"),
    Column("equivalence_p", "", "of a mean within the margin of 0 (--margin, 0.01 nats), by two one-sided t tests; blank for 1 seed"),
    Column("equivalence_p_holm", "", "the same after Holm, for all points of the table"),
    Column("decision", "", "at 5 %, after Holm: equivalent; else lower, higher or undecided by p; blank where there is no p"),
)

BALANCE = (
    FLOOR,
    Column("max_violation", "", "mean over seeds of the largest of a layer", "lower"),
    Column("n_eff", "experts", "mean over seeds of the worst layer's at the end", "higher"),
    Column("dead_experts", "share", "mean over seeds of the largest of a layer", "lower"),
    Column("dropped", "share", "mean over seeds of the largest of a layer in the last tenth of training", "lower"),
    Column("collapsed", "runs", "whose verdict is collapsed", "lower"),
    Column("collapsed_low", "share", "lower end of Wilson's 95 % interval of the share that collapses"),
    Column("collapsed_high", "share", "its upper end"),
    Column("verdict", "", "upper median of the seeds' verdicts: of two, the graver"),
    Column("best", "", "True: the lowest mean loss"),
    Column("front", "", "True: no point is as low in both mean loss and mean cv, and lower in one"),
)

SPEED = Column("tokens_per_s", "tokens/s", "median over seeds; only where times are asked for: --times", "higher")
# fmt: on


def runs(keys: Sequence[str], *, with_times: bool = False) -> tuple[Column, ...]:
    """runs.csv of a sweep over these settings, by their dotted paths."""
    outcomes = OUTCOMES if with_times else OUTCOMES[:-1]  # the last is the only time
    return (RUN, *_settings(keys), *STATE, *outcomes)


def points(keys: Sequence[str], loss: str, *, with_times: bool = False) -> tuple[Column, ...]:
    """summary.csv of a sweep over these settings; `loss` is what points are compared by, gap or lm_loss."""
    name = Column("point", "", "its settings; with -s and a seed it is the name of a run")
    return (
        *(name, *_settings(keys), *COUNTS),
        *_spread(Column(loss, "nats/token", "the loss over seeds", "lower")),
        *_spread(
            Column("difference", "nats/token", "the loss less the baseline's at the same seed")
        ),
        *(Column(f"difference_{c.name}", c.unit, c.meaning) for c in TESTS),
        *_spread(Column("cv", "", "cv (itself a mean over MoE layers) over seeds", "lower")),
        *(*BALANCE, *((SPEED,) if with_times else ())),
    )


def _settings(keys: Sequence[str]) -> tuple[Column, ...]:
    """Swept settings stand for themselves."""
    return tuple(
        Column(key, "", "the swept setting; of a mapping or list, its JSON") for key in keys
    )


def _spread(of: Column) -> tuple[Column, Column]:
    """A mean over seeds and its uncertainty."""
    half = "half the width of its 95 % t interval; blank for 1 seed"
    return (
        replace(of, name=f"{of.name}_mean", meaning=f"mean of {of.meaning}"),
        Column(f"{of.name}_half_width", of.unit, half),
    )
