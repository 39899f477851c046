"""A sweep whose processes are killed at random moments ends as if nothing had happened."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import results, small

from moe_lab.store.lock import is_locked

KILLS = int(os.environ.get("MOE_LAB_KILLS", "4"))  # 30 before a release
ARGUMENTS = (
    *("alpha=0,0.1", "noise=0,1", "--seeds", "2", "--retries", "1000", "--progress", "none"),
    *small("steps=40", "tokens=256", "eval.every=10", "checkpoint.every=7"),
)


def start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "moe_lab", "sweep", *ARGUMENTS]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)


def output(driver: subprocess.Popen[str]) -> str:
    out, _ = driver.communicate()
    assert driver.returncode == 0
    return out


def workers(sweep: Path) -> list[int]:
    """The processes that are writing runs."""
    alive = [path for path in sweep.glob("*/status.json") if is_locked(path.parent)]
    return [json.loads(path.read_text())["pid"] for path in alive]


def killed(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:  # it has ended, or was killed before
        return False
    return True


def kill_now_and_then(folder: Path, draw: random.Random) -> str:
    """Kill the driver or a worker, KILLS times, starting the sweep again when the driver was it; what it printed."""
    sweep, kills = folder / "runs" / "sweep-alpha-noise", 0
    driver, finished = start(folder), dict[Path, int]()
    while kills < KILLS and driver.poll() is None:
        time.sleep(draw.uniform(0.05, 0.8))
        ended = {path: path.stat().st_mtime_ns for path in sweep.glob("*/summary.json")}
        assert ended.items() >= finished.items(), "a finished run was executed again"
        finished = ended
        if draw.random() < 0.4:
            driver.kill()
            driver.communicate()
            driver, kills = start(folder), kills + 1
        elif victims := workers(sweep):
            kills += killed(draw.choice(victims))
    assert kills == KILLS, "the sweep was over too soon"
    return output(driver)


def tables(sweep: Path) -> dict[str, bytes]:
    return {name: (sweep / name).read_bytes() for name in ("runs.csv", "summary.csv")}


def kinds(run: Path) -> list[str]:
    lines = (run / "events.jsonl").read_text().splitlines()
    return [json.loads(line)["kind"] for line in lines]


@pytest.mark.slow
def test_a_sweep_killed_at_random_moments_ends_as_the_undisturbed_one(tmp_path: Path) -> None:
    for name in ("calm", "killed"):
        (tmp_path / name).mkdir()
    expected = output(start(tmp_path / "calm"))
    printed = kill_now_and_then(tmp_path / "killed", random.Random(7))
    assert printed == expected
    calm, torn = (tmp_path / name / "runs" / "sweep-alpha-noise" for name in ("calm", "killed"))
    assert tables(torn) == tables(calm)
    runs = sorted(path.parent.name for path in torn.glob("*/run.json"))
    assert len(runs) == 8
    for name in runs:
        assert results(torn / name) == results(calm / name)
        happened = kinds(torn / name)
        assert (happened.count("start"), happened[-1]) == (1, "finish")
