"""Does the instrument read right on this machine? Checks against closed forms, in seconds."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isclose, sqrt
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from moe_lab import capacity, config, experts, metrics, session
from moe_lab.balancing.switch import Switch
from moe_lab.data.domains import Domains
from moe_lab.progress import Silent
from moe_lab.routing.top_k import TopK
from moe_lab.store import layout
from moe_lab.streams import Stream

HALF = (0.5, 0.5, 0.0, 0.0)  # a load: two of four experts share all
TOLERANCE = 1e-3  # absolute, of numbers
SMALL = (
    *("n_domains=2", "vocab_size=32", "seq_len=16", "d_model=16", "n_heads=2", "d_expert=16"),
    *("n_experts=4", "steps=20", "warmup=2", "batch_size=4", "eval.every=10", "eval.tokens=128"),
)


@dataclass(frozen=True)
class Reading:
    """What a check measured, and what it should have."""

    measured: Any
    expected: Any

    @property
    def agrees(self) -> bool:
        """Equal; numbers up to TOLERANCE."""
        if isinstance(self.expected, float):
            return isclose(self.measured, self.expected, rel_tol=0, abs_tol=TOLERANCE)
        return bool(self.measured == self.expected)


@dataclass(frozen=True)
class Finding:
    """One check of the self-test and whether it passed."""

    check: str
    measured: Any
    expected: Any
    passed: bool


Check = Callable[[], Reading]


def cv_of_two_in_four() -> Reading:
    """cv of a load on two of four experts: sqrt(4 * (1/4 + 1/4) - 1) = 1."""
    return Reading(metrics.cv(metrics.load(HALF)), 1.0)


def n_eff_of_two_in_four() -> Reading:
    """n_eff of a load on two of four experts: exp(ln 2) = 2."""
    return Reading(metrics.n_eff(metrics.load(HALF)), 2.0)


def max_violation_of_two_in_four() -> Reading:
    """max_violation of a load on two of four experts: 4 * 1/2 - 1 = 1."""
    return Reading(metrics.max_violation(metrics.load(HALF)), 1.0)


def cv_floor_of_eight_experts() -> Reading:
    """cv_floor of E = 8, k = 1, T = 100: sqrt(7/100)."""
    return Reading(metrics.cv_floor(8, 1, 100), sqrt(0.07))


def switch_loss_of_four_experts() -> Reading:
    """switch loss with 2 of 4 experts dead and the dead as likely as the chosen: 4/(2 * 3)."""
    return Reading(_switch_loss(4, live=2), 2 / 3)


def switch_loss_of_eight_experts() -> Reading:
    """switch loss with 4 of 8 experts dead and the dead as likely as the chosen: 8/(4 * 5)."""
    return Reading(_switch_loss(8, live=4), 0.4)


def slots_are_rounded_up() -> Reading:
    """capacity: ceil(1.25 * 100 / 8) = 16, and 1.1 * 200 / 4 = 55 though binary 1.1 is more."""
    found = (capacity.capacity(1.25, 1, 100, 8), capacity.capacity(1.1, 1, 200, 4))
    return Reading(found, (16, 55))


def rungs_are_in_order() -> Reading:
    """losses that need no training, from worst to best."""
    source = Domains(0, n_domains=2, vocab_size=32, seq_len=16)
    losses = {rung.name: rung.loss for rung in source.ladder()}
    expected = ["uniform", "unigram", "bigram", "bayes"]
    return Reading(sorted(expected, key=losses.__getitem__, reverse=True), expected)


def grouped_product_is_a_loop() -> Reading:
    """grouped matrix product: largest distance from one product per expert."""
    outputs = _products()[0]
    return Reading(_distance(*outputs), 0.0)


def grouped_gradient_is_a_loop() -> Reading:
    """its gradients: largest distance from those of one product per expert."""
    _, inputs, weights = _products()
    return Reading(max(_distance(*inputs), _distance(*weights)), 0.0)


def streams_give_the_known_words() -> Reading:
    """keyed draws: the same integers as on every machine."""
    drawn = Stream(0, ("train", 1)).integers("token", (4,)).tolist()
    return Reading(drawn, [620975, 7903187, 9211554, 11094270])


def trainings_are_reproducible() -> Reading:
    """20 steps of training, twice: result files that differ."""
    with tempfile.TemporaryDirectory() as folder:
        first, second = (_trained(Path(folder) / name) for name in ("first", "second"))
    names = sorted(first.keys() | second.keys())
    differ = [name for name in names if first.get(name) != second.get(name)]
    return Reading(", ".join(differ) or "none", "none")


CHECKS: tuple[Check, ...] = (
    cv_of_two_in_four,
    n_eff_of_two_in_four,
    max_violation_of_two_in_four,
    cv_floor_of_eight_experts,
    switch_loss_of_four_experts,
    switch_loss_of_eight_experts,
    slots_are_rounded_up,
    rungs_are_in_order,
    grouped_product_is_a_loop,
    grouped_gradient_is_a_loop,
    streams_give_the_known_words,
    trainings_are_reproducible,
)


def run(checks: Sequence[Check] = CHECKS) -> list[Finding]:
    """Every check, in order; one that breaks has failed, and says by what."""
    return [_finding(check) for check in checks]


def _finding(check: Check) -> Finding:
    name = str(check.__doc__).rstrip(".")
    try:
        reading = check()
    except Exception as error:  # whatever a broken installation raises is a finding
        return Finding(name, repr(error), None, passed=False)
    return Finding(name, reading.measured, reading.expected, reading.agrees)


@torch.no_grad()
def _switch_loss(n_experts: int, *, live: int) -> float:
    """Each token chooses a live expert of its own, by a hair over all dead ones and far over the other live ones."""
    logits = torch.zeros(live, n_experts)
    logits[:, :live] = -30.0
    logits.diagonal().fill_(1e-3)
    router = TopK(live, n_experts, 1)
    router.weight.copy_(logits.T)  # token t is the t-th unit vector
    return Switch().loss(router(torch.eye(live), Stream(0))).item()


Pair = tuple[Tensor, Tensor]


def _products() -> tuple[Pair, Pair, Pair]:
    """Outputs, gradients by the input and by the weights: of the grouped product and of the loop."""
    stream = Stream(0)
    inputs, weights = stream.normal("x", (13, 16)), stream.normal("weights", (4, 16, 24))
    ends = torch.tensor([5, 5, 9, 13], dtype=torch.int32)  # the second expert gets nothing
    found = []
    for product in (experts.grouped_product, experts.looped_product):
        x, w = inputs.clone().requires_grad_(), weights.clone().requires_grad_()
        output = product(x, w, ends)
        output.square().sum().backward()  # type: ignore[no-untyped-call]
        assert x.grad is not None
        assert w.grad is not None
        found.append((output.detach(), x.grad, w.grad))
    (a, b, c), (d, e, f) = found
    return (a, d), (b, e), (c, f)


def _distance(one: Float[Tensor, "..."], other: Float[Tensor, "..."]) -> float:
    """Relative to the largest value."""
    return ((one - other).abs().max() / other.abs().max()).item()


def _trained(folder: Path) -> dict[str, bytes]:
    """What a small run leaves that must not depend on time."""
    asked = config.load(None, SMALL)
    directory = session.train(asked, runs_dir=folder, exact=True, reporter=Silent()).directory
    tables = (path for path in directory.glob("*.csv") if path.stem != "timing")
    weights = layout.checkpoint(directory, 20) / layout.MODEL
    return {path.name: path.read_bytes() for path in (*tables, weights)}
