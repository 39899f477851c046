"""What the runs of a sweep will take, from a few steps of each size of model in it."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from statistics import median

from moe_lab import machine
from moe_lab.config import Config
from moe_lab.experiment import build, tokens_per_step
from moe_lab.loop import train_step

WARM_UP, TIMED = 2, 5  # steps


@dataclass(frozen=True)
class Cost:
    """Of one run."""

    parameters: int
    tokens: int  # that it is trained on
    seconds: float  # on this machine, if nothing else keeps it busy; without writing


def costs(configs: Iterable[Config]) -> list[Cost]:
    """One per config, in their order; those of one size are tried once."""
    tried: dict[str, Cost] = {}
    return [tried.get(_size(c)) or tried.setdefault(_size(c), _try(c)) for c in configs]


def _size(config: Config) -> str:
    """Equal for configs that cost the same: everything that decides how much is computed."""
    moe, train = config.moe, config.train
    layers = (moe.n_experts, moe.top_k, moe.n_shared_experts, moe.router, moe.balance, moe.extra)
    steps = (train.steps, train.batch_size, train.accumulate, train.threads, config.eval)
    return repr((config.data, config.model, layers, steps))


def _try(config: Config) -> Cost:
    machine.prepare(config.train.threads)
    experiment = build(config, machine.device(config.train.device))
    timings = [_seconds(partial(train_step, experiment, 1 + i)) for i in range(WARM_UP + TIMED)]
    evaluation = _seconds(partial(experiment.probe.evaluate, experiment.model))
    steps = config.train.steps
    return Cost(
        parameters=sum(parameter.numel() for parameter in experiment.model.parameters()),
        tokens=steps * tokens_per_step(config),
        seconds=steps * median(timings[WARM_UP:]) + (1 + steps // config.eval.every) * evaluation,
    )


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
