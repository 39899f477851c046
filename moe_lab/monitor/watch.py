"""Hooks that count what routers do in each forward pass of the whole model, and in nothing else."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from inspect import signature
from typing import Any, Literal

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from moe_lab.errors import ConfigError
from moe_lab.model import ALWAYS_MEASURED
from moe_lab.monitor.reading import RouterReader
from moe_lab.registry import BALANCERS
from moe_lab.tally import Reading, Tally

Split = Literal["train", "eval"]
Mask = str | Callable[..., Tensor | None]


class Watch:
    """Counts by layer, from `attach` until `detach`. Each forward pass is reduced to a few numbers at once.

    Open from the start to the end of the model's own forward pass: what is recomputed during the backward pass
    calls blocks and not the model, and is counted once. Forward passes in evaluation mode or without gradient
    count only while `evaluating`, and then all do.
    """

    def __init__(
        self,
        model: nn.Module,
        routers: Mapping[int, nn.Module],
        readers: Mapping[int, RouterReader],
        mask: Mask | None,
    ):
        self.model, self.routers, self.readers = model, routers, readers
        self.evaluating = False
        self._mask = mask
        self._balancers = {name: BALANCERS.load(name)() for name in ALWAYS_MEASURED}
        self._tallies: dict[Split, dict[int, Tally]] = {"train": {}, "eval": {}}
        self._open: dict[int, Tally] | None = None
        self._counted: Bool[Tensor, " T"] | None = None
        self._hooks = ExitStack()

    def attach(self) -> None:
        """Begin."""
        ours = (self._begin, self._end, self._count)
        begin, end, count = map(torch.compiler.disable, ours)  # a compiler breaks its graph there
        hooks = [
            self.model.register_forward_pre_hook(begin, with_kwargs=True),
            self.model.register_forward_hook(end, always_call=True),  # after an error, too
            *(m.register_forward_hook(partial(count, i)) for i, m in self.routers.items()),
        ]
        for hook in hooks:
            self._hooks.callback(hook.remove)

    def detach(self) -> None:
        """End; the model is as it was."""
        self._hooks.close()

    def take(self, split: Split) -> dict[int, Reading]:
        """What was counted since the last time, by layer; waits for the device."""
        tallies, self._tallies[split] = self._tallies[split], {}
        return {layer: tallies[layer].read() for layer in sorted(tallies)}

    def _begin(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self.evaluating or (model.training and torch.is_grad_enabled()):
            self._open = self._tallies["eval" if self.evaluating else "train"]
            self._counted = self._mask_of(args, kwargs)

    def _end(self, *_: object) -> None:
        self._open = None

    @torch.no_grad()
    def _count(self, layer: int, router: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if self._open is None:
            return
        routing = self.readers[layer].record(output, self._counted)
        if len(routing.router_probs):
            raw = {name: balancer.loss(routing) for name, balancer in self._balancers.items()}
            self._open.setdefault(layer, Tally()).add(routing, raw)

    def _mask_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Bool[Tensor, " T"] | None:
        """None if the model was given no mask."""
        if self._mask is None:
            return None
        if callable(self._mask):
            found = self._mask(*args, **kwargs)
        else:
            given = signature(self.model.forward).bind_partial(*args).arguments
            found = {**given, **kwargs}.get(self._mask)
        return None if found is None else _per_token(found)


def _per_token(mask: Tensor) -> Bool[Tensor, " T"]:
    if mask.ndim > 2:
        raise ConfigError(
            f"the mask has {mask.ndim} dimensions, and does not say which tokens are padding",
            help="give mask=, a function from the model's arguments to a tensor (B, S), or mask=None",
        )
    return mask.flatten().bool()
