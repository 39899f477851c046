"""The training loop, read top to bottom: data, forward, losses, backward, update, rows, evaluation, commit."""

import time
from math import ceil, nan

import torch
from jaxtyping import Float
from torch import Tensor

from moe_lab.attribution import attribute
from moe_lab.errors import DivergedError
from moe_lab.evaluate import not_finite
from moe_lab.experiment import Experiment, learning_rate
from moe_lab.machine import peak_memory_mb
from moe_lab.passes import forward_backward, gradients
from moe_lab.progress import Reporter
from moe_lab.resuming import Done
from moe_lab.rows import Step, watch_step, write_evaluation, write_step
from moe_lab.signals import Stopped, StopRequest
from moe_lab.store.writer import Writer


def fit(
    experiment: Experiment,
    run: Writer,
    done: Done,
    *,
    stop: StopRequest,
    reporter: Reporter,
) -> bool:
    """Train from where a run is to its last step: True; or to the step in which a stop was asked for.

    A stop leaves an evaluation half done, with which the run then goes on.
    Rows reach the disk at each logged step, checkpoints as the config says and at a stop.
    Raises DivergedError before a loss or gradient that is not finite reaches the weights; its row is written.
    """
    config, keep = experiment.config, experiment.config.checkpoint.keep
    began = time.perf_counter() - done.elapsed_s
    if not done.evaluated and not _evaluate(experiment, run, done.step, stop, reporter):
        return False
    if not done.evaluated and done.step == config.train.steps:
        run.commit(experiment.state(done.step), keep=keep)
    for step in range(done.step + 1, config.train.steps + 1):
        started = time.perf_counter()
        last = step == config.train.steps
        logged = last or step % config.log.every == 0
        result = train_step(experiment, step)
        if logged or result.fault:
            _write_step(experiment, run, result)
        due = last or step % config.eval.every == 0
        evaluated = not due or _evaluate(experiment, run, step, stop, reporter)
        if logged:
            _write_timing(experiment, run, step, began, started)
        run.flush()
        reporter.step(result, time.perf_counter() - began)
        stopping = stop.agree()  # looked at once: a signal may come at any moment
        if stop.signal:
            reporter.say(f"stopping after step {step} (Ctrl-C again to stop now)")
        if last or stopping or step % config.checkpoint.every == 0:
            run.commit(experiment.state(step, evaluated), keep=keep)
        if stopping:
            return last and evaluated
    return True


def _write_step(experiment: Experiment, run: Writer, result: Step) -> None:
    """The rows of a step and what they mean to the verdicts; raises DivergedError for one with a fault."""
    write_step(run, result, experiment)
    if result.fault:
        raise _diverged(run, f"{result.fault} at step {result.step} (lr {result.lr:.3g})")
    watch_step(run, result.step, experiment.watches, result.layers)


def _evaluate(
    experiment: Experiment, run: Writer, step: int, stop: StopRequest, reporter: Reporter
) -> bool:
    """Evaluate after a step, write and tell it; False if a stop was asked for before the end."""
    try:
        found = experiment.probe.evaluate(experiment.model, stop.check)
    except Stopped:
        return False
    write_evaluation(run, step, found, experiment.weights)
    if found.fault:
        raise _diverged(run, f"{found.fault} after step {step}")
    reporter.evaluated(step, found.lm_loss)
    return True


def _diverged(run: Writer, what: str) -> DivergedError:
    """The error for numbers that are not finite; their rows reach the disk, and a resume cuts them off."""
    run.flush()
    return DivergedError(
        f"{what}; the last checkpoint, of step {run.step}, is good",
        help="try a smaller train.lr, a smaller train.grad_clip or a longer train.warmup",
    )


def train_step(experiment: Experiment, step: int) -> Step:
    """Do optimizer step number `step`, from 1; every draw in it is a function of seed and step.

    What is not finite updates nothing, and is named as the step's fault.
    """
    experiment.optimizer.zero_grad()
    due, lr = _grads_are_due(experiment, step), learning_rate(experiment.config, step)
    seen = forward_backward(experiment, step, measure_grads=due)
    norm = torch.tensor(nan) if seen.fault else _grad_norm(experiment)
    fault = seen.fault or not_finite("gradient norm", norm)
    readings = {i: tally.read(seen.step_losses[i]) for i, tally in seen.tallies.items()}
    router_grads = attribute(experiment.model, seen.grads) if due and not fault else {}
    if not fault:
        _update(experiment, lr, norm)
        for layer, moe in experiment.model.moe_layers().items():
            moe.after_step(seen.tallies[layer].counts())
    return Step(
        step=step,
        lr=lr,
        lm_loss=seen.losses[0].item(),
        aux_loss=seen.losses[1].item(),
        grad_norm=norm.item(),
        layers=readings,
        deaths={i: experiment.windows[i].add(r.counts) for i, r in readings.items()},
        router_grads=router_grads,
        fault=fault,
    )


def _grad_norm(experiment: Experiment) -> Float[Tensor, ""]:
    return torch.nn.utils.get_total_norm(gradients(experiment.model))


def _update(experiment: Experiment, lr: float, norm: Float[Tensor, ""]) -> None:
    """Clip and apply the gradient of that norm."""
    limit = experiment.config.train.grad_clip
    if limit is not None and norm > limit:  # otherwise the gradients would all be multiplied by 1
        torch.nn.utils.clip_grads_with_norm_(experiment.model.parameters(), limit, norm)
    for group in experiment.optimizer.param_groups:
        group["lr"] = lr * group["lr_factor"]
    experiment.optimizer.step()


def _write_timing(
    experiment: Experiment, run: Writer, step: int, began: float, started: float
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


def _grads_are_due(experiment: Experiment, step: int) -> bool:
    """Every log.router_grad_every steps, rounded up to steps that are logged; never of frozen routers."""
    log = experiment.config.log
    if experiment.config.train.router_lr_factor == 0:
        return False
    return step % (ceil(log.router_grad_every / log.every) * log.every) == 0
