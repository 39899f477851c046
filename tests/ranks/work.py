"""What ranks do, in processes that have torch: nothing is imported here that these would have to load first."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from moe_lab import experiment, session
from moe_lab.cli import app
from moe_lab.config import load
from moe_lab.errors import ArtefactError, MoeLabError
from moe_lab.loop import train_step
from moe_lab.progress import Messages, Silent
from moe_lab.ranks import joined
from moe_lab.rows import Step
from moe_lab.signals import ASKED


def begin(
    variables: dict[str, object],
    log: Path,
    work: Callable[..., None],
    arguments: tuple[object, ...],
) -> None:
    """Be a rank, and do its work; stdout and stderr go to a file."""
    os.environ.update({name: str(value) for name, value in variables.items()})
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    sys.stdout.reconfigure(line_buffering=True)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ASKED)
    work(*arguments)


def moe_lab(*arguments: object) -> None:
    """The command line."""
    app([str(argument) for argument in arguments])


def train_all(runs_dir: Path, runs: dict[str, list[str]]) -> None:
    """Runs by name, one after the other."""
    with joined() as ranks:
        for settings in runs.values():
            asked = load(None, settings)
            session.train(asked, runs_dir=runs_dir, exact=True, reporter=Silent(), ranks=ranks)


class StruckTwice(Messages):
    """Sends this process SIGTERM twice during step 6: torchrun passes on what a scheduler sent to all processes."""

    def step(self, result: Step, elapsed_s: float) -> None:
        if result.step == 6:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)


def interrupted(folder: Path, settings: list[str], struck: list[int]) -> None:
    """A run, with a signal to some ranks."""
    with joined() as ranks:
        says = Messages() if ranks.first else Silent()
        reporter = StruckTwice(says.say) if ranks.rank in struck else says
        asked = load(None, settings)
        outcome = session.train(asked, runs_dir=folder, exact=True, reporter=reporter, ranks=ranks)
    raise SystemExit(outcome.exit_code)


def refuse_on_the_second() -> None:
    """An error that one rank alone meets."""
    with joined() as ranks:
        try:
            with ranks.together():
                if not ranks.first:
                    raise ArtefactError("no such data")
        except MoeLabError as error:
            print(error.render())
            raise SystemExit(error.exit_code) from error


def step_with_an_infinite_token(settings: list[str]) -> None:
    """One step of two sequences, where a token that the second rank alone reads has an infinite embedding."""
    with joined() as ranks:
        built = experiment.build(load(None, settings).config, torch.device("cpu"), ranks)
        mine, other = (set(built.source.batch(1, i, 1).inputs.flatten().tolist()) for i in (0, 1))
        with torch.no_grad():
            built.model.embedding[min(other - mine)] = torch.inf
        before = [parameter.clone() for parameter in built.model.parameters()]
        print(train_step(built, 1).fault)
        assert all(map(torch.equal, before, built.model.parameters()))
