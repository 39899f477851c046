"""What a run of ours states about itself: run.json before its first step, and summary.json after the last."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from moe_lab import machine, references
from moe_lab.experiment import MOMENTS, Experiment
from moe_lab.report.outcomes import reached
from moe_lab.store.commit import State
from moe_lab.store.run import Run
from moe_lab.store.space import space


def room(experiment: Experiment, tables: Mapping[str, Sequence[str]], state: State) -> int:
    """Bytes that the rest of a run will take; the optimizer will have two moments of every weight."""
    config = experiment.config
    moments = {f"{m}.{name}": array for m in MOMENTS for name, array in state.model.items()}
    left = config.train.steps - state.step
    rows = (left // config.log.every + left // config.eval.every + 2) * config.model.n_layers
    return space(replace(state, optimizer=moments), tables, rows=rows, keep=config.checkpoint.keep)


def record(experiment: Experiment) -> dict[str, Any]:
    """run.json, but for what the store adds."""
    source, settings = experiment.source, experiment.config
    parameters = {name: p.numel() for name, p in experiment.model.named_parameters()}
    experts = sum(n for name, n in parameters.items() if ".experts." in name)
    active = settings.moe.top_k / settings.moe.n_experts
    return {
        **machine.describe(experiment.device),
        "determinism": machine.determinism(experiment.device, experiment.ranks.world_size),
        "role": references.role(settings),
        "seed": settings.seed,
        "threads": settings.train.threads,
        "world_size": experiment.ranks.world_size,
        "device": experiment.device.type,
        "steps": settings.train.steps,
        "config": settings.model_dump(mode="json"),
        "command": machine.command(),
        "parameters": {
            "total": sum(parameters.values()),
            "active": round(sum(parameters.values()) - experts * (1 - active)),
        },
        "data": {
            "fingerprint": source.fingerprint,
            "domains": list(source.domains),
            "vocab_size": source.vocab_size,
            "eval_tokens": int(experiment.probe.known.tokens.size),
            "ladder": [
                {"rung": rung.name, "loss": rung.loss, "error": rung.error}
                for rung in source.ladder()
            ],
        },
    }


def summary(experiment: Experiment, run: Run) -> dict[str, Any]:
    """summary.json: each layer's verdict, and what the tables say, by which runs are compared."""
    layers = {str(layer): watch.outcome() for layer, watch in experiment.watches.items()}
    return {
        "steps": experiment.config.train.steps,
        "layers": layers,
        "outcomes": reached(run.directory),
    }
