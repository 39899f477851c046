"""moe-lab as a contender: the loop that `moe-lab train` runs, writing every row into a real run."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from shapes import Shape
from torch import Tensor
from torch.nn import functional as F

from moe_lab import machine
from moe_lab.config import Config, load
from moe_lab.data.base import Batch, Source
from moe_lab.experiment import Experiment, build
from moe_lab.loop import fit, weighted
from moe_lab.progress import Silent
from moe_lab.resuming import Done
from moe_lab.rows import headers
from moe_lab.signals import StopRequest
from moe_lab.store.run import Run

DRAWN = 16  # batches that are drawn beforehand
NEVER = 10_000_000

Clock = Callable[[], float]
Settings = Mapping[str, object]  # by any unique last part of a key
DEFAULTS: Settings = MappingProxyType({})


def configure(shape: Shape, settings: Settings = DEFAULTS) -> Config:
    """The config of a shape; evaluation and checkpoints only at the ends of a block, which are not timed."""
    size = {
        "vocab_size": shape.vocab_size,
        "seq_len": shape.seq_len,
        "d_model": shape.d_model,
        "n_layers": shape.n_layers,
        "n_heads": shape.n_heads,
        "d_expert": shape.d_plain,
        "n_experts": shape.n_experts,
        "top_k": shape.top_k,
        "batch_size": shape.batch_size,
        "lr_schedule": "constant",
        "device": "cpu",
        "train.steps": NEVER,
        "eval.every": NEVER,
        "eval.tokens": shape.seq_len,
        "checkpoint.every": NEVER,
        "checkpoint.keep": 1,
    }
    return load(None, [f"{key}={value}" for key, value in {**size, **settings}.items()]).config


def random_tokens(shape: Shape) -> Int[Tensor, "N B S"]:
    """Uniform tokens for DRAWN batches, the same for every contender; the last of a sequence is only a target."""
    size = (DRAWN, shape.batch_size, shape.seq_len + 1)
    return torch.randint(shape.vocab_size, size, generator=torch.Generator().manual_seed(0))


class Drawn(Source):
    """Batches that were drawn beforehand."""

    def __init__(self, source: Source, tokens: Int[Tensor, "N B S"]):
        self.source, self.domains = source, source.domains
        self.vocab_size, self.fingerprint = source.vocab_size, source.fingerprint
        unknown = np.zeros((tokens.shape[1], 1), dtype=np.int64)
        self.batches = [Batch.of(drawn.numpy(), unknown) for drawn in tokens]

    def batch(self, step: int, first: int, size: int) -> Batch:
        """The same sequences every DRAWN steps."""
        return self.batches[step % DRAWN]

    def held_out(self, tokens: int) -> Batch:
        """As the source has it."""
        return self.source.held_out(tokens)


def experiment(shape: Shape, settings: Settings = DEFAULTS, *, drawn: bool = True) -> Experiment:
    """The untrained parts of a run, on random tokens or on what a config of its own would read."""
    parts = build(configure(shape, settings), torch.device("cpu"))
    if not drawn:
        return parts
    return replace(parts, source=Drawn(parts.source, random_tokens(shape)))


class Stamps(Silent):
    """Notes when each step is done."""

    def __init__(self, clock: Clock):
        self.clock, self.times = clock, list[float]()

    def step(self, *_: Any) -> None:
        """A step and its rows are done."""
        self.times.append(self.clock())


class Loop:
    """`fit`, in blocks of steps; rows, verdicts, timing and flushes as in any run."""

    def __init__(self, experiment: Experiment, folder: Path):
        self.experiment, self.done = experiment, 0
        self.run = Run.create(
            runs_dir=folder,
            name="bench",
            exact=False,
            config=b"",
            resolved="",
            record={},
            tables=headers(experiment),
            state=experiment.state(0),
        )

    def block(self, steps: int, threads: int, clock: Clock = time.process_time) -> float:
        """Seconds per step over so many; the step before and the one after, which commits, do not count."""
        machine.prepare(threads)
        last, stamps = self.done + steps + 2, Stamps(clock)
        settings = self.experiment.config
        train = settings.train.model_copy(update={"steps": last})
        config = settings.model_copy(update={"train": train})
        part = replace(self.experiment, config=config)
        done = Done(self.done, evaluated=self.done > 0)
        fit(part, self.run, done, stop=StopRequest(), reporter=stamps)
        self.done = last
        return (stamps.times[steps] - stamps.times[0]) / steps

    def close(self) -> None:
        """Close the run's files."""
        self.run.close()


class Bare:
    """The same model and losses in the shortest loop that trains it: nothing is measured, nothing written."""

    def __init__(self, experiment: Experiment):
        self.experiment, self.done = experiment, 0
        self.parameters = list(experiment.model.parameters())

    def block(self, steps: int, threads: int, clock: Clock = time.process_time) -> float:
        """Seconds per step, after one that does not count."""
        machine.prepare(threads)
        self.step()
        began = clock()
        for _ in range(steps):
            self.step()
        return (clock() - began) / steps

    def step(self) -> None:
        """One optimizer step; only the balancer that is optimised is computed."""
        parts, self.done = self.experiment, self.done + 1
        batch = parts.source.batch(self.done, 0, parts.config.train.batch_size)
        parts.optimizer.zero_grad()
        logits, routings = parts.model(batch.inputs, parts.stream.at(self.done, 0))
        chosen, layers = parts.config.moe.balance.name, parts.model.moe_layers()
        raw = {i: {chosen: layers[i].balancers[chosen].loss(routings[i])} for i in layers}
        (aux_loss,) = weighted(raw, {chosen: parts.weights[chosen]}).values()
        loss = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten()) + aux_loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        parts.optimizer.step()
