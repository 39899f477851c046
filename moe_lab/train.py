"""The training loop, read top to bottom: data, forward, losses, backward, update, rows, evaluation, commit."""

import time
from collections.abc import Mapping
from math import ceil, isfinite

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from moe_lab.errors import DivergedError
from moe_lab.experiment import Experiment, learning_rate
from moe_lab.machine import peak_memory_mb
from moe_lab.progress import Reporter
from moe_lab.rows import Step, write_evaluation, write_step
from moe_lab.signals import StopRequest
from moe_lab.store.run import Run
from moe_lab.tally import Tally

Grads = dict[int, Float[Tensor, "E D"]]  # of each MoE layer's router weight


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
            _watch(experiment, run, result)
        if last or step % config.eval.every == 0:
            write_evaluation(run, step, probe.evaluate(experiment.model), experiment.weights)
        if logged:
            _write_timing(experiment, run, step, began, started)
        run.flush()
        reporter.step(step, result.lm_loss, result.n_eff_worst)
        if last or stop.signal or step % config.checkpoint.every == 0:
            run.commit(experiment.state(step), keep=config.checkpoint.keep)
        if stop.signal:
            return


def train_step(experiment: Experiment, step: int) -> Step:
    """Do optimizer step number `step`, from 1; every draw in it is a function of seed and step."""
    train, model = experiment.config.train, experiment.model
    experiment.optimizer.zero_grad()
    tallies = {layer: Tally() for layer in model.moe_layers()}
    losses = torch.zeros(2, device=experiment.device)
    balance_grads: Grads = {}
    for micro in range(train.accumulate):
        batch = experiment.source.batch(step, micro * train.batch_size, train.batch_size)
        batch = batch.to(experiment.device)
        logits, routings = model(batch.inputs, experiment.stream.at(step, micro))
        raw = model.balance_losses(routings)
        lm_loss = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten()) / train.accumulate
        aux_loss = weigh(raw, experiment.weights) / train.accumulate
        loss = lm_loss + aux_loss
        _require_finite(loss, "loss", step)
        if _grads_are_due(experiment, step):
            balance_grads = _added(balance_grads, _balance_grads(experiment, aux_loss))
        loss.backward()  # type: ignore[no-untyped-call]
        losses += torch.stack([lm_loss.detach(), aux_loss.detach()])
        for layer, tally in tallies.items():
            tally.add(routings[layer], raw[layer])
    router_grads = _router_grads(experiment, balance_grads)
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
        dead_experts={i: experiment.windows[i].add(r.counts) for i, r in readings.items()},
        router_grads=router_grads,
    )


def weigh(
    raw: Mapping[int, Mapping[str, Float[Tensor, ""]]], weights: Mapping[str, float]
) -> Float[Tensor, ""]:
    """aux_loss: the sum over balancers of weight * mean over layers of their loss."""
    layers = list(raw.values())
    means = {name: torch.stack([losses[name] for losses in layers]).mean() for name in layers[0]}
    terms = [weights[name] * mean for name, mean in means.items() if weights[name]]
    nothing = next(iter(means.values())).new_zeros(())
    return torch.stack(terms).sum() if terms else nothing


def _update(experiment: Experiment, lr: float, step: int) -> float:
    """Clip and apply the gradient; its norm before clipping."""
    parameters = list(experiment.model.parameters())
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    _require_finite(norm, "gradient norm", step)
    if (limit := experiment.config.train.grad_clip) is not None:
        torch.nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    for group in experiment.optimizer.param_groups:
        group["lr"] = lr
    experiment.optimizer.step()
    return norm.item()


def _watch(experiment: Experiment, run: Run, step: Step) -> None:
    """Feed the verdicts with a logged step's loads; an event where one has just changed."""
    for layer, watch in experiment.watches.items():
        if change := watch.update(step.step, step.layers[layer].load):
            since = (watch.onsets if change == "collapse" else watch.recoveries)[-1]
            run.event(change, layer=layer, step=step.step, since=since)


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
    """Every log.router_grad_every steps, rounded up to steps that are logged."""
    log = experiment.config.log
    return step % (ceil(log.router_grad_every / log.every) * log.every) == 0


def _balance_grads(experiment: Experiment, aux_loss: Float[Tensor, ""]) -> Grads:
    """Gradient of aux_loss on each router's weight; zero where nothing is optimised."""
    routers = {i: moe.router.weight for i, moe in experiment.model.moe_layers().items()}
    if not aux_loss.requires_grad:
        return {i: torch.zeros_like(weight) for i, weight in routers.items()}
    grads = torch.autograd.grad(
        aux_loss, list(routers.values()), retain_graph=True, materialize_grads=True
    )
    return dict(zip(routers, grads, strict=True))


def _added(sums: Grads, grads: Grads) -> Grads:
    return {layer: sums[layer] + grad if sums else grad for layer, grad in grads.items()}


def _router_grads(experiment: Experiment, balance: Grads) -> dict[int, dict[str, float]]:
    """Norms on each router's weight by source; the task's part is what remains of the whole gradient."""
    norms = {}
    for layer, grad in balance.items():
        whole = experiment.model.moe_layers()[layer].router.weight.grad
        assert whole is not None
        norms[layer] = {
            "grad_task": (whole - grad).norm().item(),
            "grad_balance": grad.norm().item(),
        }
    return norms
