"""What balance losses know of the other micro-batches and ranks of a step: the means of their statistics.

Of a step of several micro-batches they are taken ahead, in a forward pass without gradient, if the loss is trained on.
All others are taken along: of the micro-batches so far, which is the step when the last one has come.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from moe_lab.balancing.base import Balancer
from moe_lab.experiment import Experiment
from moe_lab.routing.base import Routing

Key = tuple[int, str]  # layer and balancer
Members = Mapping[Key, Balancer]
Means = dict[Key, Float[Tensor, "_ E"]]


class Pool:
    """Means of some balancers' statistics, over all ranks and the micro-batches that were added."""

    def __init__(self, experiment: Experiment, members: Members):
        self.members = members
        self._ranks, self._share = experiment.ranks, experiment.share
        self._sums: Means = {}
        self._added = 0

    @torch.no_grad()
    def add(self, routings: Mapping[int, Routing]) -> None:
        """Count this rank's part of a micro-batch in."""
        self._added += 1
        for key, balancer in self.members.items():
            found = self._share * balancer.statistic(routings[key[0]]).double()
            self._sums[key] = self._sums[key] + found if key in self._sums else found

    def means(self) -> Means:
        """So far, in one communication of all ranks."""
        found = {key: total / self._added for key, total in self._sums.items()}
        self._ranks.sum(*found.values())
        return found


def pools(experiment: Experiment) -> tuple[Pool, Pool]:
    """What is taken ahead and what along; neither has members where one process has the step in one micro-batch."""
    accumulate, weights = experiment.config.train.accumulate, experiment.weights
    alone = experiment.ranks.world_size == accumulate == 1
    members = {
        (layer, name): balancer
        for layer, moe in experiment.model.moe_layers().items()
        for name, balancer in moe.pooling.items()
        if not alone
    }
    ahead = {
        key: balancer
        for key, balancer in members.items()
        if accumulate > 1 and balancer.pools == "step" and weights[key[1]]
    }
    along = {key: balancer for key, balancer in members.items() if key not in ahead}
    return Pool(experiment, ahead), Pool(experiment, along)


def by_layer(means: Means) -> dict[int, dict[str, Tensor]]:
    """As `LanguageModel.balance_losses` takes them."""
    found: dict[int, dict[str, Tensor]] = {}
    for (layer, name), mean in means.items():
        found.setdefault(layer, {})[name] = mean
    return found


def step_losses(experiment: Experiment, means: Means) -> dict[int, dict[str, float]]:
    """By layer, the losses that pool a step, when all of it was added: also of those that were not taken ahead."""
    layers = experiment.model.moe_layers()
    found: dict[int, dict[str, float]] = {layer: {} for layer in layers}
    for (layer, name), mean in means.items():
        balancer = layers[layer].pooling[name]
        if balancer.pools == "step":
            found[layer][name] = balancer.step_loss(mean).item()
    return found
