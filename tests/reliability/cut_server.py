"""Cuts a run at chosen steps, goes on with it in the next process, and prints what was wrong as JSON.

`… FOLDER SINGLES CHAINS`: how many runs that are cut once, and how many that are cut five times; -1 for all of them.
"""

import json
import os
import random
import signal
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from conftest import SignalAt, results, small

from moe_lab import session
from moe_lab.config import load
from moe_lab.progress import Silent, Story
from moe_lab.store.read import StoredRun

from .processes import fork
from .sampling import sample
from .workload import differences

STEPS, CHAINS, LENGTH = 30, 20, 5
SETTINGS = small(
    *(
        "name=x",
        f"steps={STEPS}",
        "eval.every=7",
        "checkpoint.every=5",
        "accumulate=2",
        "n_layers=1",
    ),
    *("noise=0.2", "capacity_factor=1.5", "router_grad_every=3", "n_experts=12", "init_tilt=2"),
)


class Cut(NamedTuple):
    """A signal after a step; at 0 before the first."""

    step: int
    number: signal.Signals

    @property
    def code(self) -> int:
        """How the process ends: stopped, or killed; in the last step there is nothing left to stop."""
        if self.number == signal.SIGKILL:
            return -self.number
        return 0 if self.step == STEPS else 128 + self.number


class Cutting(SignalAt):
    """Sends the signal, at 0 when the run starts."""

    def start(self, story: Story) -> None:
        if self.at == story.steps_done == 0:
            os.kill(os.getpid(), self.number)


NUMBERS = (signal.SIGTERM, signal.SIGKILL)
SINGLES = [[Cut(step, number)] for step in range(STEPS + 1) for number in NUMBERS]


def chains() -> list[list[Cut]]:
    """Ascending cuts, drawn."""
    drawn = random.Random(0)
    return [
        [Cut(step, drawn.choice(NUMBERS)) for step in sorted(drawn.sample(range(STEPS), LENGTH))]
        for _ in range(CHAINS)
    ]


def go(runs: Path, reporter: Silent) -> int:
    """Begin the run, or go on with it; the exit code."""
    if (runs / "x").exists():
        return session.resume(runs / "x", reporter=reporter).exit_code
    asked = load(None, SETTINGS)
    return session.train(asked, runs_dir=runs, exact=True, reporter=reporter).exit_code


def tried(folder: Path, cuts: Sequence[Cut], golden: dict[str, bytes]) -> list[str]:
    """What was wrong with a run that was cut so, when it had come to its end."""
    wrong = []
    with tempfile.TemporaryDirectory(dir=folder) as runs:
        for cut in cuts:
            code = fork(partial(go, Path(runs), Cutting(*cut)))
            if code != cut.code:
                wrong.append(f"{cut} ended with {code}")
        if code := fork(partial(go, Path(runs), Silent())):
            wrong.append(f"the last ended with {code}")
        run = StoredRun(Path(runs) / "x")
        wrong += [f"{name} differs" for name in differences(results(run.directory), golden)]
        wrong += [f"{event}" for event in run.events if event["kind"] == "nondeterminism"]
        return wrong if run.is_finished else [*wrong, f"{run.status}"]


def main(folder: str, singles: str, several: str) -> None:
    """Try them, and print how many and which were bad."""
    place = Path(folder)
    go(place, Silent())
    golden = results(place / "x")
    alone, chained = sample(SINGLES, int(singles)), sample(chains(), int(several))
    bad = [[cuts, wrong] for cuts in alone + chained if (wrong := tried(place, cuts, golden))]
    print(json.dumps({"singles": len(alone), "chains": len(chained), "bad": bad}))


if __name__ == "__main__":
    main(*sys.argv[1:])
