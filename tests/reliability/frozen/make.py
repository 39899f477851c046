"""Freezes what the present version writes, for the versions to come: python tests/reliability/frozen/make.py.

Makes schema-N beside this file, N being the schema of the code: a run that finished, one that SIGTERM stopped after
step 3 of 6, and a sweep of two points at two seeds without its checkpoints. Once for each schema, when it is final;
what is frozen is never made again, because only its own version could.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from moe_lab import config, session
from moe_lab.progress import Silent
from moe_lab.rows import Step
from moe_lab.store import layout

HERE = Path(__file__).parent
SMALL = (
    *("vocab_size=32", "n_domains=4", "seq_len=16", "d_model=8", "n_heads=2", "d_expert=8"),
    *("n_experts=3", "batch_size=4", "tokens=64", "steps=6", "warmup=2"),
    *("eval.every=3", "checkpoint.every=2", "router_grad_every=2"),
)


class StopAt(Silent):
    """Sends this process SIGTERM in a step."""

    def __init__(self, step: int):
        self.at = step

    def step(self, result: Step, elapsed_s: float) -> None:
        """The loop has made a step."""
        if result.step == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


def train(name: str, reporter: Silent) -> None:
    """One small run under runs/."""
    sys.argv = ["moe-lab", "train", *SMALL, f"name={name}"]  # what run.json records
    asked = config.load(None, sys.argv[2:])
    session.train(asked, runs_dir=Path("runs"), exact=True, reporter=reporter)


def sweep() -> None:
    """Two points at two seeds, without checkpoints and arrays: they are no part of what is read."""
    asked = ("alpha=0,0.1", "--seeds", "2", "--progress", "none", *SMALL)
    command = [sys.executable, "-m", "moe_lab", "sweep", *asked]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for name in (layout.CHECKPOINTS, layout.ARRAYS):
        for folder in Path("runs", "sweep-alpha").glob(f"*/{name}"):
            shutil.rmtree(folder)


def main() -> None:
    """Writes schema-N; refuses if it is there."""
    target = HERE / f"schema-{layout.SCHEMA}"
    if target.exists():
        sys.exit(f"{target} is frozen already")
    with (
        tempfile.TemporaryDirectory() as elsewhere
    ):  # in no repository, whose commit would be named
        os.chdir(elsewhere)
        train("finished", Silent())
        train("stopped", StopAt(3))
        sweep()
        shutil.copytree("runs", target)
        os.chdir(HERE)


if __name__ == "__main__":
    main()
