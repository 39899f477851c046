"""What a step was, and the rows that it and an evaluation become in a run's tables."""

from collections.abc import Mapping
from dataclasses import dataclass

from moe_lab import columns
from moe_lab.evaluate import Evaluation
from moe_lab.experiment import Experiment
from moe_lab.metrics import Deaths, LoadWatch, deaths, mean_and_worst
from moe_lab.store.writer import Writer
from moe_lab.tally import Reading


@dataclass(frozen=True)
class Step:
    """One optimizer step, measured before its update; with a fault, as far as it went, and without an update."""

    step: int
    lr: float
    lm_loss: float  # nats per token
    aux_loss: float
    grad_norm: float  # before clipping; nan if the loss is not finite, which has no gradient
    layers: dict[int, Reading]
    deaths: dict[int, Deaths | None]  # None: the window is not long enough yet
    router_grads: dict[int, dict[str, float | None]]  # by source; empty when not measured
    fault: str | None = None  # what was not finite


def headers(experiment: Experiment) -> dict[str, tuple[str, ...]]:
    """The header of every table of this run."""
    tables = columns.tables(
        n_experts=experiment.config.moe.n_experts,
        balancers=tuple(experiment.weights),
        domains=experiment.source.domains,
        gap_known=experiment.probe.gap_known,
    )
    return {name: columns.names(table) for name, table in tables.items()}


def write_step(run: Writer, step: Step, experiment: Experiment) -> None:
    """One row of steps.csv, and per MoE layer one of utilization.csv, cv.csv and aux_loss.csv."""
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
            **over_layers(step.layers, step.deaths),
        },
    )
    for layer, reading in step.layers.items():
        place = {"step": step.step, "split": "train", "layer": layer}
        grads = step.router_grads.get(layer, {})
        write_layer(run, place, reading, step.deaths[layer], experiment.weights, grads)


def write_evaluation(
    run: Writer, step: int, found: Evaluation, weights: Mapping[str, float]
) -> None:
    """One row of eval.csv, per MoE layer the rows with split eval and one of router.csv, and the arrays."""
    run.append("eval", {"step": step, **found.row()})
    for layer, portrait in found.layers.items():
        reading, place = portrait.reading, {"step": step, "split": "eval", "layer": layer}
        write_layer(run, place, reading, deaths(reading.counts), weights, {})
        run.append("router", {"step": step, "layer": layer, **portrait.row})
    run.save_arrays(step, found.arrays())


def over_layers(
    layers: Mapping[int, Reading], deaths: Mapping[int, Deaths | None]
) -> dict[str, float | None]:
    """The columns of steps.csv that sum up the MoE layers."""
    cv_mean, cv_worst = mean_and_worst([reading.cv for reading in layers.values()])
    dead = [found.dead_experts for found in deaths.values() if found]
    return {
        "cv_mean": cv_mean,
        "cv_worst": cv_worst,
        "n_eff_worst": min((reading.n_eff for reading in layers.values()), default=None),
        "dead_experts": mean_and_worst(dead)[0],
        "dropped": mean_and_worst([reading.dropped for reading in layers.values()])[0],
    }


def watch_step(
    run: Writer, step: int, watches: Mapping[int, LoadWatch], layers: Mapping[int, Reading]
) -> None:
    """Feed the verdicts with a logged step's loads; an event where one has just changed."""
    for layer, reading in layers.items():
        watch = watches[layer]
        if change := watch.update(step, reading.load):
            since = (watch.onsets if change == "collapse" else watch.recoveries)[-1]
            run.event(change, layer=layer, step=step, since=since)


def write_layer(
    run: Writer,
    place: Mapping[str, object],
    reading: Reading,
    found: Deaths | None,
    weights: Mapping[str, float],
    grads: Mapping[str, float | None],
) -> None:
    """One layer's row of utilization.csv, cv.csv and aux_loss.csv; blank where weights or grads are not known."""
    run.append("utilization", {**place, **reading.utilization_row()})
    run.append("cv", {**place, **reading.cv_row(found)})
    run.append("aux_loss", {**place, **reading.aux_row(weights), **grads})
