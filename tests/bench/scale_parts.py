"""Parts of the life of a sweep, each for a process of its own: `python tests/bench/scale_parts.py PART ...`."""

import json
import sys
from pathlib import Path
from typing import Any

from counting import Counted, calls


def train(runs_dir: str, steps: str) -> dict[str, Any]:
    """A real run of the packaged config: what it does to the disk."""
    from moe_lab import config, session
    from moe_lab.progress.base import Silent
    from moe_lab.store.disk import Disk

    system = Counted()
    asked = config.load(None, ["name=trained", f"train.steps={steps}"])
    session.train(asked, runs_dir=Path(runs_dir), exact=True, reporter=Silent(), disk=Disk(system))
    return dict(system.calls)


def plan(runs_dir: str, points: str, seeds: str, steps: str) -> dict[str, Any]:
    """A sweep of so many points and seeds, planned and begun; a run of it has so many steps."""
    from moe_lab.sweep import grid
    from moe_lab.sweep.begin import begin

    asked = [f"alpha=log:1e-6:1:{points}", f"train.steps={steps}"]
    found = grid.plan(asked, seeds=seeds, name="scale", max_runs=int(points) * int(seeds))
    begin(found, Path(runs_dir))
    return {}


def stock(sweep: str) -> dict[str, Any]:
    """Where each of its runs is."""
    from moe_lab.store.sweep import StoredSweep

    StoredSweep(Path(sweep)).states()
    return {}


def drive(sweep: str, trained: str, fenced: str) -> dict[str, Any]:
    """All of its runs, made by a launcher whose runs are over as soon as they begin; what CPU time that took."""
    from stub_runs import Stubs

    from moe_lab.progress.sweeps import SweepLines
    from moe_lab.store.sweep import StoredSweep
    from moe_lab.sweep.drive import Policy
    from moe_lab.sweep.drive import drive as drive_sweep

    launcher = Stubs(Path(trained), fenced=bool(fenced))
    code = drive_sweep(StoredSweep(Path(sweep)), launcher, SweepLines(lambda _: None), Policy())
    assert code == 0
    return {"stubs_s": launcher.seconds}


def count(*arguments: str) -> dict[str, Any]:
    """The calls about files of a command, or of another part."""
    from moe_lab.cli import app

    with calls() as found:
        if arguments[0] in PARTS:
            PARTS[arguments[0]](*arguments[1:])
        else:
            app(arguments, standalone_mode=False)
    return dict(found)


PARTS = {"train": train, "plan": plan, "stock": stock, "drive": drive, "count": count}

if __name__ == "__main__":
    name, *rest = sys.argv[1:]
    result = PARTS[name](*rest)
    print("\n" + json.dumps(result))
