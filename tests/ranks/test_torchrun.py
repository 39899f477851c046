"""The real torchrun: what it prints around a run, and what it makes of exit codes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import rows, small

from moe_lab.store.read import StoredRun

from .processes import PATIENCE

pytestmark = pytest.mark.engines


def torchrun(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    return subprocess.Popen(
        [*command, "-m", "moe_lab", *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_saves_a_run_which_another_torchrun_ends(tmp_path: Path):
    asked = small("name=x", "steps=3000", "lr_schedule=constant")
    process = torchrun(tmp_path, "train", *asked)
    deadline = time.monotonic() + PATIENCE
    while not (tmp_path / "runs" / "x").exists() or not rows(tmp_path / "runs" / "x", "steps"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(
        signal.SIGINT
    )  # a terminal's reaches torchrun alone: its processes have their own sessions
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1  # whatever its processes end with
    assert out == "runs/x\n"
    assert "go on with: torchrun --nproc-per-node 2 -m moe_lab resume runs/x\n" in err
    stored = StoredRun(tmp_path / "runs" / "x")
    assert (stored.state, stored.status["reason"]) == ("stopped", "SIGINT")
    again = torchrun(tmp_path, "resume", "runs/x", "--max-minutes", "0")
    out, err = again.communicate(timeout=PATIENCE)
    assert (again.returncode, out) == (1, "runs/x\n")
    assert "exitcode  : 75" in err
    assert StoredRun(tmp_path / "runs" / "x").status["reason"] == "max-minutes"
