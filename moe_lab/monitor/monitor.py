"""The monitor: a context manager around a training loop that is not ours."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from torch import Tensor, nn

from moe_lab.errors import ConfigError
from moe_lab.monitor.finding import find_routers
from moe_lab.monitor.reading import Read, RouterReader, Score, stated_top_k
from moe_lab.monitor.recording import Recording
from moe_lab.monitor.watch import Mask, Watch

Number = float | Tensor | None


@dataclass
class Evaluation:
    """One evaluation; whoever does it sets the loss, in nats per token, if there is one."""

    loss: Number = None


class RouterMonitor:
    """Records what a model's routers do into a run directory that `moe-lab report`, `check` and `ls` read.

        with RouterMonitor(model, "runs/mine") as monitor:
            for batch in batches:
                ...                      # forward, backward, any number of micro-batches, optimizer.step()
                monitor.step(loss)

    Counted are the forward passes of the whole model in training mode with gradients. Loss, gradients and random
    numbers are not touched, and recomputation under gradient checkpointing is not counted. The balance losses in
    aux_loss.csv are those of each forward pass, averaged over a step's passes by their tokens.

    The directory must not exist; it appears with the first step. A loop left by an exception is marked as failed.

    routers: a regular expression on module names, which chooses among the modules whose class name ends in Router,
    else Gate, else Gating, or among all modules if none of those match. A layer's index is the first number in the
    module's name, such as 3 in `layers.3.mlp.gate`.
    top_k: experts per token, for routers that return logits alone, where neither module nor config says it.
    score: "softmax" or "sigmoid" of the logits, or "none" if they are probabilities; by default the one that fits the
    weights that the router returns, and softmax where it returns none.
    mask: the argument of the model's forward pass that is 0 for padding, (B, S), or a function of all its arguments
    that returns such a tensor. Padding is not counted. None: everything is.
    read: for routers of a layout of their own, a function from their output to (logits, weights, indices).

    In a distributed run each process sees the tokens of its own batch. With torch.compile, enter before the first call:
    the graph breaks at every router, and what was compiled before skips the hooks, as a CUDA graph does. A step in
    which nothing was seen is an error.

    Raises ConfigError if the model has no router or two in one layer, or if the directory exists.
    """

    def __init__(
        self,
        model: nn.Module,
        directory: str | os.PathLike[str],
        *,
        routers: str | None = None,
        top_k: int | None = None,
        score: Score | None = None,
        mask: Mask | None = "attention_mask",
        read: Read | None = None,
    ):
        names = find_routers(model, routers)
        modules = {layer: model.get_submodule(name) for layer, name in names.items()}
        readers = {
            layer: RouterReader(top_k or _stated_top_k(model, name), score, read)
            for layer, name in names.items()
        }
        about = {
            "model": type(model).__name__,
            "routers": {str(layer): name for layer, name in names.items()},
        }
        self._watch = Watch(model, modules, readers, mask)
        self._recording = Recording(Path(directory), model, about)

    @property
    def directory(self) -> Path:
        """Where the run is, from its first step on."""
        return self._recording.directory

    def __enter__(self) -> Self:
        if os.path.lexists(self.directory):
            raise ConfigError(f"{self.directory} already exists", help="choose another directory")
        self._watch.attach()
        self._recording.restart_clock()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watch.detach()
        if error is None:
            self._recording.finish()
        else:
            self._recording.fail(error)

    def step(self, loss: Number = None, *, lr: Number = None, grad_norm: Number = None) -> None:
        """Write one optimizer step: all forward passes since the last one. Waits for the device.

        Raises ConfigError if there was none, or if layers differ in their number of experts.
        """
        readings = self._watch.take("train")
        if not readings:
            raise ConfigError(
                f"nothing to write for step {self._recording.step + 1}: no router ran in a forward pass of the"
                " whole model in training mode with gradients",
                help="call the model that was given to RouterMonitor, not a part of it; model.train() first;"
                " what torch.compile made before skips hooks",
            )
        known = {"loss": loss, "lr": lr, "grad_norm": grad_norm}
        self._recording.write_step(readings, **{name: _plain(v) for name, v in known.items()})

    @contextmanager
    def evaluation(self) -> Iterator[Evaluation]:
        """Write the forward passes inside, in whatever mode, as an evaluation after the last step.

        with monitor.evaluation() as evaluation:
            evaluation.loss = validate(model)
        """
        found = Evaluation()
        self._watch.evaluating = True
        try:
            yield found
        finally:
            self._watch.evaluating = False
            readings = self._watch.take("eval")
        if not readings:
            raise ConfigError("the evaluation had no forward pass of the whole model")
        self._recording.write_evaluation(readings, _plain(found.loss))


def _stated_top_k(model: nn.Module, name: str) -> int | None:
    router, parent = model.get_submodule(name), model.get_submodule(name.rpartition(".")[0])
    return stated_top_k(router, parent, model)


def _plain(number: Number) -> float | None:
    return number.item() if isinstance(number, Tensor) else number
