"""What a step was, and the rows that it and an evaluation become in a run's tables."""

from collections.abc import Mapping
from dataclasses import dataclass

from moe_lab import columns
from moe_lab.evaluate import Evaluation
from moe_lab.experiment import Experiment
from moe_lab.metrics import mean_and_worst, window_steps
from moe_lab.store.run import Run
from moe_lab.tally import Reading


@dataclass(frozen=True)
class Step:
    """One optimizer step, measured before its update."""

    step: int
    lr: float
    lm_loss: float  # nats per token
    aux_loss: float
    grad_norm: float  # before clipping
    layers: dict[int, Reading]
    dead_experts: dict[int, float | None]
    router_grads: dict[int, dict[str, float]]  # norms by source; empty when not measured

    @property
    def n_eff_worst(self) -> float:
        """n_eff of the worst MoE layer."""
        return min(reading.n_eff for reading in self.layers.values())


def headers(experiment: Experiment) -> dict[str, tuple[str, ...]]:
    """The header of every table of this run."""
    tables = columns.tables(
        n_experts=experiment.config.moe.n_experts,
        balancers=tuple(experiment.weights),
        domains=experiment.source.domains,
    )
    return {name: columns.names(table) for name, table in tables.items()}


def write_step(run: Run, step: Step, experiment: Experiment) -> None:
    """One row of steps.csv, and per MoE layer one of utilization.csv, cv.csv and aux_loss.csv."""
    cv_mean, cv_worst = mean_and_worst([reading.cv for reading in step.layers.values()])
    dead = [share for share in step.dead_experts.values() if share is not None]
    run.append(
        "steps",
        {
            "step": step.step,
            "tokens": step.step * experiment.tokens_per_step,
            "lr": step.lr,
            "loss": step.lm_loss + step.aux_loss,
            "lm_loss": step.lm_loss,
            "aux_loss": step.aux_loss,
            "grad_norm": step.grad_norm,
            "cv_mean": cv_mean,
            "cv_worst": cv_worst,
            "n_eff_worst": step.n_eff_worst,
            "dead_experts": mean_and_worst(dead)[0] if dead else None,
            "dropped": mean_and_worst([r.dropped for r in step.layers.values()])[0],
        },
    )
    for layer, reading in step.layers.items():
        place = {"step": step.step, "split": "train", "layer": layer}
        grads = step.router_grads.get(layer, {})
        _write_layer(run, place, reading, step.dead_experts[layer], experiment.weights, grads)


def write_evaluation(run: Run, step: int, found: Evaluation, weights: Mapping[str, float]) -> None:
    """One row of eval.csv, and the layers' rows with split eval."""
    run.append("eval", {"step": step, **found.row()})
    for layer, reading in found.layers.items():
        place = {"step": step, "split": "eval", "layer": layer}
        _write_layer(run, place, reading, _dead(reading), weights, {})


def _write_layer(
    run: Run,
    place: Mapping[str, object],
    reading: Reading,
    dead_experts: float | None,
    weights: Mapping[str, float],
    grads: Mapping[str, float],
) -> None:
    run.append("utilization", {**place, **reading.utilization_row()})
    run.append("cv", {**place, **reading.cv_row(dead_experts)})
    run.append("aux_loss", {**place, **reading.aux_row(weights), **grads})


def _dead(reading: Reading) -> float | None:
    """An evaluation is a window of its own; None if it is too small to call an expert dead."""
    enough = window_steps(len(reading.counts), sum(reading.counts)) == 1
    return reading.dead_experts if enough else None
