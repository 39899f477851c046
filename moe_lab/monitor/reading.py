"""From what a router module returns to the record of what it did."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from moe_lab.errors import ConfigError
from moe_lab.monitor.layouts import Choice, read
from moe_lab.routing.base import Routing, normalized, routed

Score = Literal["softmax", "sigmoid", "none"]  # of the logits; none: they are probabilities already
Read = Callable[[Any], Any]

SYNONYMS = {"top_k": ("top_k", "num_experts_per_tok", "moe_top_k", "num_selected_experts")}
EQUAL = 1e-6  # largest deviation, in ln, of weights that tell nothing


class RouterReader:
    """Reads one router. Which score it takes of its logits, unless given, is found by the first weights that tell.

    P, and with it entropy and confidence, is the score over its sum over all experts.
    """

    def __init__(self, top_k: int | None, score: Score | None, own_layout: Read | None):
        self.top_k, self.score, self.own_layout = top_k, score, own_layout

    @torch.no_grad()
    def record(self, output: Any, counted: Bool[Tensor, " T"] | None) -> Routing:
        """The record of those tokens that count; None: all do. Ties are tokens whose k-th and next logit are equal."""
        parts = output if isinstance(output, tuple) else (output,)
        if isinstance(parts[-1], Routing):  # one of ours
            return _whole(parts[-1], counted)
        choice = read(self.own_layout(output) if self.own_layout else output, self.top_k)
        self.score = self.score or fitting_score(choice)
        if counted is not None:
            choice = choice.of(_fitting(counted, choice))
        return _routing(choice, self.score or "softmax")


def stated_top_k(router: nn.Module, parent: nn.Module, model: nn.Module) -> int | None:
    """Experts per token, as the router, the module around it or the model's config has it; None if none does."""
    for holder in (router, parent, getattr(model, "config", None)):
        for name in SYNONYMS["top_k"]:
            if isinstance(value := getattr(holder, name, None), int):
                return value
    return None


def fitting_score(choice: Choice) -> Score | None:
    """The score whose ratios between the experts of a token are those of the weights; None if they do not tell.

    Ratios survive renormalisation and scaling. With one expert per token, those between tokens are compared.
    """
    if choice.weights is None:
        return None
    logits, told = choice.logits.float(), _centred(_log(choice.weights))
    if told.abs().max() < EQUAL:
        return None
    scores: dict[Score, Tensor] = {
        "softmax": logits.log_softmax(-1),
        "sigmoid": F.logsigmoid(logits),
        "none": _log(logits),
    }

    def misfit(name: Score) -> float:
        at_chosen = scores[name].gather(1, choice.chosen)
        return (told - _centred(at_chosen)).square().sum().item()

    return min(scores, key=misfit)


def _routing(choice: Choice, score: Score) -> Routing:
    logits = _log(choice.logits) if score == "none" else choice.logits.float()
    probs = normalized(logits.sigmoid()) if score == "sigmoid" else logits.softmax(-1)
    weights = probs.gather(1, choice.chosen) if choice.weights is None else choice.weights.float()
    routing = routed(logits, probs, choice.chosen, weights, _ties(logits, choice.chosen.shape[1]))
    return routing if choice.kept is None else replace(routing, kept=choice.kept.flatten())


def _ties(logits: Float[Tensor, "T E"], top_k: int) -> Int[Tensor, ""]:
    if top_k == logits.shape[1]:
        return torch.zeros((), dtype=torch.int64, device=logits.device)
    largest = logits.topk(top_k + 1).values
    return (largest[:, -2] == largest[:, -1]).sum()


def _whole(routing: Routing, counted: Bool[Tensor, " T"] | None) -> Routing:
    if counted is not None:
        raise ConfigError("a mask was given for one of moe-lab's own models, which have no padding")
    return routing


def _fitting(counted: Bool[Tensor, " T"], choice: Choice) -> Bool[Tensor, " T"]:
    if len(counted) != len(choice.logits):
        raise ConfigError(
            f"the mask has {len(counted)} entries, and a router was given {len(choice.logits)} tokens",
            help="name the argument of the model's forward pass that fits: mask=, or mask=None to count all",
        )
    return counted.to(choice.logits.device)


def _log(value: Tensor) -> Float[Tensor, "T n"]:
    return value.float().clamp_min(torch.finfo(torch.float32).tiny).log()


def _centred(logs: Float[Tensor, "T k"]) -> Float[Tensor, "T k"]:
    return logs - logs.mean(dim=0 if logs.shape[1] == 1 else 1, keepdim=True)
