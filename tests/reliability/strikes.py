"""Signals that a process sends itself at a chosen moment of a run.

The moments are reached through torch's own hooks, through the calls of `System`, and through two of our methods, all
put in place in a forked child: what ships knows nothing of this.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from conftest import small
from torch.nn.modules import module
from torch.optim import optimizer

from moe_lab.data.domains import Domains
from moe_lab.model import LanguageModel
from moe_lab.store import layout
from moe_lab.store.read import StoredRun
from moe_lab.store.system import System

STEPS = 6
SETTINGS = small(
    *("name=x", f"steps={STEPS}", "eval.every=3", "tokens=192", "checkpoint.every=2"),
    *("noise=0.2", "capacity_factor=1.5", "n_layers=1"),
)

Strike = Callable[[], None]


@dataclass(frozen=True)
class Phase:
    """A moment of a run, the first or a later time that it comes."""

    reach: Callable[[Strike], object]  # calls it at each such moment
    time: int
    last: int | None  # step after which a run stops that is asked to; None: it has no folder
    finished: bool = False  # whether it comes to its end all the same
    arguments: tuple[str, ...] = ()  # of `train`, too


def _patched(owner: type, name: str, matches: Callable[..., bool], strike: Strike) -> None:
    original = getattr(owner, name)

    def called(self: Any, *arguments: Any) -> Any:
        if matches(*arguments):
            strike()
        return original(self, *arguments)

    setattr(owner, name, called)


def _forward(training: bool, strike: Strike) -> None:
    def seen(called: torch.nn.Module, arguments: object) -> None:
        if isinstance(called, LanguageModel) and called.training == training:
            strike()

    module.register_module_forward_pre_hook(seen)


def _backward(strike: Strike) -> None:
    def seen(called: torch.nn.Module, arguments: object, output: Any) -> None:
        if isinstance(called, LanguageModel) and called.training:
            output[0].register_hook(lambda grad: strike())

    module.register_module_forward_hook(seen)


def _registered(strike: Strike) -> None:
    module.register_module_parameter_registration_hook(lambda *arguments: strike())


def _updated(strike: Strike) -> None:
    optimizer.register_optimizer_step_pre_hook(lambda *arguments: strike())


def _call(name: str, matches: Callable[..., bool]) -> Callable[[Strike], None]:
    return partial(_patched, System, name, matches)


def _begins_a_row_of_step_4(descriptor: int, data: bytes) -> bool:
    return bytes(data[:2]) == b"4,"  # steps.csv is the first table of a flush


def _to_a_checkpoint(old: Any, new: Any) -> bool:
    return layout.checkpoint_step(new) is not None


FINISH = _call("rename", lambda old, new: new.name == layout.SUMMARY)
PHASES = {
    "building": Phase(_registered, 5, None),
    "publish": Phase(_call("rename", lambda old, new: new.name == "x"), 1, 0),
    "data": Phase(partial(_patched, Domains, "batch", lambda *arguments: True), 4, 4),
    "forward": Phase(partial(_forward, True), 4, 4),
    "backward": Phase(_backward, 4, 4),
    "optimizer step": Phase(_updated, 4, 4),
    "csv write": Phase(_call("write", _begins_a_row_of_step_4), 1, 4),
    "stage": Phase(_call("make_folder", lambda path: path.parent.name == "checkpoints"), 3, 5),
    "rename": Phase(_call("rename", _to_a_checkpoint), 3, 5),
    "delete": Phase(_call("remove_folder", lambda path: path.parent.name == "checkpoints"), 1, 5),
    "evaluation": Phase(partial(_forward, False), 5, 3),
    "first evaluation": Phase(partial(_forward, False), 2, 0),
    "last evaluation": Phase(partial(_forward, False), 8, STEPS),
    "finish": Phase(FINISH, 1, STEPS, finished=True),
    "before references": Phase(FINISH, 1, STEPS, finished=True, arguments=("--references",)),
    "a reference": Phase(
        partial(_forward, True), STEPS + 2, STEPS, finished=True, arguments=("--references",)
    ),
}
REPORT = Phase(partial(_patched, StoredRun, "table", lambda name: True), 2, None)


def _alone(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def _twice(number: signal.Signals) -> None:
    for _ in range(2):
        os.kill(os.getpid(), number)


def _then_killed(number: signal.Signals) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.05)  # SIGALRM, which ends the process as SIGKILL does
    os.kill(os.getpid(), number)


@dataclass(frozen=True)
class Blow:
    """What is sent."""

    number: signal.Signals
    send: Callable[[signal.Signals], None] = _alone

    def codes(self, phase: Phase) -> set[int]:
        """How the process may end; dying of a signal is what shells report as 128 and its number."""
        stopped, died = 128 + self.number, -self.number
        if phase.last is None:
            return {stopped if self.number == signal.SIGINT else died}
        ended = 0 if phase.finished and not phase.arguments else stopped
        return {_alone: {ended}, _twice: {died}, _then_killed: {ended, -signal.SIGALRM}}[self.send]

    @property
    def is_gentle(self) -> bool:
        """Whether the process is given the time to save itself."""
        return self.send is _alone


BLOWS = {
    "SIGINT": Blow(signal.SIGINT),
    "SIGTERM": Blow(signal.SIGTERM),
    "SIGHUP": Blow(signal.SIGHUP),
    "SIGINT twice": Blow(signal.SIGINT, _twice),
    "SIGTERM, then killed": Blow(signal.SIGTERM, _then_killed),
}


def arm(phase: Phase, blow: Blow) -> None:
    """Let the blow fall when the phase comes, and never again."""
    left = iter([False] * (phase.time - 1) + [True])
    phase.reach(lambda: blow.send(blow.number) if next(left, False) else None)
