"""Strikes runs at every phase, goes on with them, and prints what was wrong as JSON: `… FOLDER NUMBER`, -1 for all."""

import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from conftest import results, rows

from moe_lab.store.read import StoredRun

from .processes import Ended, call, call_here
from .sampling import sample
from .strikes import BLOWS, PHASES, REPORT, SETTINGS, Blow, Phase, arm
from .workload import differences


class Server:
    """Tries blows against an undisturbed run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "log"
        self.undisturbed = folder / "golden" / "x"
        assert call_here("train", *SETTINGS, "--runs-dir", folder / "golden") == 0
        assert call_here("report", self.undisturbed) == 0
        self.golden = results(self.undisturbed)

    def tried(self, phase: Phase, blow: Blow) -> str:
        """What was wrong; empty if nothing was."""
        first = partial(arm, phase, blow)
        if phase is REPORT:
            ended = call("report", self.undisturbed, log=self.log, first=first)
            return "; ".join(_ending(ended, phase, blow))
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            runs = Path(folder)
            ended = self.train(runs, *phase.arguments, first=first)
            wrong = [*_ending(ended, phase, blow), *_left(runs, phase, blow), *self._mended(runs)]
        return "; ".join(wrong)

    def train(self, runs: Path, *more: str, first: Callable[[], object] = bool) -> Ended:
        """The run from its beginning."""
        return call("train", *SETTINGS, "--runs-dir", runs, *more, log=self.log, first=first)

    def _mended(self, runs: Path) -> list[str]:
        """What is wrong when the run has been gone on with to its end."""
        run = runs / "x"
        ended = call("resume", run, log=self.log) if run.exists() else self.train(runs)
        if ended.code:
            return [f"the next process ended with {ended}"]
        left = [f"left {path}" for path in runs.rglob(".staging-*")]
        return [f"{name} differs" for name in differences(results(run), self.golden)] + left


def _left(runs: Path, phase: Phase, blow: Blow) -> list[str]:
    """What is wrong with what a process left that was given time."""
    if not blow.is_gentle:
        return []
    if phase.last is None:
        return [f"left {path}" for path in runs.iterdir()]
    status, done = StoredRun(runs / "x").status, len(rows(runs / "x", "steps"))
    state = "finished" if phase.finished else "stopped"
    if (status["state"], status["step"], done) == (state, phase.last, phase.last):
        return []
    return [f"{done} rows, {status}"]


def _ending(ended: Ended, phase: Phase, blow: Blow) -> list[str]:
    wrong = [] if ended.code in blow.codes(phase) else [f"ended with {ended}"]
    return [*wrong, ended.text] if "Traceback" in ended.text else wrong


def main(folder: str, number: str) -> None:
    """Try them, and print how many and which were bad."""
    server, phases = Server(Path(folder)), {**PHASES, "report": REPORT}
    chosen = sample([(phase, blow) for phase in phases for blow in BLOWS], int(number))
    bad = [
        (phase, blow, wrong)
        for phase, blow in chosen
        if (wrong := server.tried(phases[phase], BLOWS[blow]))
    ]
    print(json.dumps({"tried": len(chosen), "bad": bad}))


if __name__ == "__main__":
    main(*sys.argv[1:])
