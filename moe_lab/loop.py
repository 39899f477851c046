"""The training loop, read top to bottom: data, forward, losses, backward, update, rows, evaluation, commit."""

import time
from collections.abc import Mapping
from math import ceil, isfinite
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from moe_lab.attribution import Grads, added, attribute, balance_grads
from moe_lab.data.base import Batch
from moe_lab.errors import DivergedError
from moe_lab.evaluate import router_labels
from moe_lab.experiment import Experiment, learning_rate
from moe_lab.machine import peak_memory_mb
from moe_lab.progress import Reporter
from moe_lab.routing.base import Routing
from moe_lab.rows import Step, watch_step, write_evaluation, write_step
from moe_lab.signals import StopRequest
from moe_lab.store.run import Run
from moe_lab.tally import Tally


def fit(
    experiment: Experiment,
    run: Run,
    *,
    done: int,
    elapsed_s: float,
    stop: StopRequest,
    reporter: Reporter,
) -> None:
    """Train from step `done` + 1 to the last one, or to the step in which a stop was asked for.

    Rows reach the disk at each logged step, checkpoints as the config says and at a stop.
    Raises DivergedError before a loss or gradient that is not finite reaches the weights.
    """
    config, probe = experiment.config, experiment.probe
    began = time.perf_counter() - elapsed_s
    if done == 0:
        write_evaluation(run, 0, probe.evaluate(experiment.model), experiment.weights)
    for step in range(done + 1, config.train.steps + 1):
        started = time.perf_counter()
        last = step == config.train.steps
        logged = last or step % config.log.every == 0
        result = train_step(experiment, step)
        if logged:
            write_step(run, result, experiment)
            watch_step(run, step, experiment.watches, result.layers)
        if last or step % config.eval.every == 0:
            write_evaluation(run, step, probe.evaluate(experiment.model), experiment.weights)
        if logged:
            _write_timing(experiment, run, step, began, started)
        run.flush()
        reporter.step(result)
        if last or stop.signal or step % config.checkpoint.every == 0:
            run.commit(experiment.state(step), keep=config.checkpoint.keep)
        if stop.signal:
            return


def train_step(experiment: Experiment, step: int) -> Step:
    """Do optimizer step number `step`, from 1; every draw in it is a function of seed and step."""
    accumulate, model = experiment.config.train.accumulate, experiment.model
    experiment.optimizer.zero_grad()
    _announce(experiment, step)
    tallies = {layer: Tally() for layer in model.moe_layers()}
    losses = torch.zeros(2, device=experiment.device)
    measure_grads, grads = _grads_are_due(experiment, step), Grads()
    for micro in range(accumulate):
        batch, logits, routings = _forward(experiment, step, micro)
        raw = model.balance_losses(routings)
        lm_loss = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten()) / accumulate
        terms = {k: v / accumulate for k, v in weighted(raw, experiment.weights).items()}
        aux_loss = sum(terms.values(), start=torch.zeros_like(lm_loss))
        loss = lm_loss + aux_loss
        _require_finite(loss, "loss", step)
        if measure_grads:
            grads = added(grads, balance_grads(model, terms))
        loss.backward()  # type: ignore[no-untyped-call]
        losses += torch.stack([lm_loss.detach(), aux_loss.detach()])
        for layer, tally in tallies.items():
            tally.add(routings[layer], raw[layer])
    router_grads = attribute(model, grads) if measure_grads else {}
    lr = learning_rate(experiment.config, step)
    grad_norm = _update(experiment, lr, step)
    for layer, moe in model.moe_layers().items():
        moe.after_step(tallies[layer].counts())
    readings = {layer: tally.read() for layer, tally in tallies.items()}
    return Step(
        step=step,
        lr=lr,
        lm_loss=losses[0].item(),
        aux_loss=losses[1].item(),
        grad_norm=grad_norm,
        layers=readings,
        deaths={i: experiment.windows[i].add(r.counts) for i, r in readings.items()},
        router_grads=router_grads,
    )


class _Pass(NamedTuple):
    batch: Batch
    logits: Float[Tensor, "B S V"]
    routings: dict[int, Routing]


def _forward(experiment: Experiment, step: int, micro: int) -> _Pass:
    """One micro-batch through the model: the same draws whenever it is repeated."""
    size, source = experiment.config.train.batch_size, experiment.source
    drawn = source.batch(step, micro * size, size)
    labels = router_labels(experiment.model.reads, source, drawn, experiment.device)
    batch = drawn.to(experiment.device)
    logits, routings = experiment.model(batch.inputs, experiment.stream.at(step, micro), labels)
    return _Pass(batch, logits, routings)


@torch.no_grad()
def _announce(experiment: Experiment, step: int) -> None:
    """Losses over a step of several micro-batches need its loads before the first one: one more forward pass."""
    layers, accumulate = experiment.model.moe_layers(), experiment.config.train.accumulate
    if accumulate == 1 or not any(moe.needs_step for moe in layers.values()):
        return
    passes = [_forward(experiment, step, micro).routings for micro in range(accumulate)]
    for layer, moe in layers.items():
        moe.before_step([routings[layer] for routings in passes])


def weighted(
    raw: Mapping[int, Mapping[str, Float[Tensor, ""]]], weights: Mapping[str, float]
) -> dict[str, Float[Tensor, ""]]:
    """Of every balancer that has a weight: weight * mean over layers of its loss. aux_loss is their sum."""
    layers = list(raw.values())
    names = [name for name, weight in weights.items() if weight and layers]
    return {
        name: weights[name] * torch.stack([losses[name] for losses in layers]).mean()
        for name in names
    }


def _update(experiment: Experiment, lr: float, step: int) -> float:
    """Clip and apply the gradient; its norm before clipping."""
    parameters = list(experiment.model.parameters())
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    _require_finite(norm, "gradient norm", step)
    limit = experiment.config.train.grad_clip
    if limit is not None and norm > limit:  # otherwise the gradients would all be multiplied by 1
        torch.nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    for group in experiment.optimizer.param_groups:
        group["lr"] = lr * group["lr_factor"]
    experiment.optimizer.step()
    return norm.item()


def _write_timing(
    experiment: Experiment, run: Run, step: int, began: float, started: float
) -> None:
    now = time.perf_counter()
    run.append(
        "timing",
        {
            "step": step,
            "elapsed_s": now - began,
            "step_ms": 1000 * (now - started),
            "tokens_per_s": experiment.tokens_per_step / (now - started),
            "memory_mb": peak_memory_mb(experiment.device),
        },
    )


def _require_finite(value: Tensor, what: str, step: int) -> None:
    if not isfinite(number := value.item()):
        raise DivergedError(
            f"the {what} became {number} at step {step}; the weights were not touched by it",
            help="try a smaller train.lr, a smaller train.grad_clip or a longer train.warmup",
        )


def _grads_are_due(experiment: Experiment, step: int) -> bool:
    """Every log.router_grad_every steps, rounded up to steps that are logged; never of frozen routers."""
    log = experiment.config.log
    if experiment.config.train.router_lr_factor == 0:
        return False
    return step % (ceil(log.router_grad_every / log.every) * log.every) == 0
