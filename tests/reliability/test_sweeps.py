"""A sweep whose processes are killed, doubled or refused the disk ends as if nothing had happened."""

import errno
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

from moe_lab.errors import StorageError
from moe_lab.store.disk import Disk
from moe_lab.store.folders import clear_staging, preflight
from moe_lab.store.lock import is_locked

from .conftest import Tally, scale
from .faults import Counted, Faulty, refusal
from .servers import ask
from .sweeping import UNREPEATABLE, drive
from .workload import contents, differences

ROW = "kills through a sweep"
KILLS = scale(4, 50)

# At random

STEPS = scale(40, 300)
ARGUMENTS = (
    *("alpha=0,0.1", "noise=0,1", "--seeds", "2", "--retries", "1000", "--progress", "none"),
    *small(f"steps={STEPS}", "tokens=256", "eval.every=10", "checkpoint.every=7"),
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
def test_a_sweep_killed_at_random_moments_ends_as_the_undisturbed_one(
    tmp_path: Path, tally: Tally
) -> None:
    for name in ("calm", "killed"):
        (tmp_path / name).mkdir()
    expected = output(start(tmp_path / "calm"))
    printed = kill_now_and_then(tmp_path / "killed", random.Random(7))
    calm, torn = (tmp_path / name / "runs" / "sweep-alpha-noise" for name in ("calm", "killed"))
    runs = sorted(path.parent.name for path in torn.glob("*/run.json"))
    bad = [name for name in runs if results(torn / name) != results(calm / name)]
    bad += [f"{name}: {kinds(torn / name)}" for name in runs if not begun_once(torn / name)]
    tally(ROW, KILLS, len(bad))
    assert not bad
    assert len(runs) == 8
    assert (printed, tables(torn)) == (expected, tables(calm))


def begun_once(run: Path) -> bool:
    happened = kinds(run)
    return (happened.count("start"), happened[-1]) == (1, "finish")


# At the driver's own calls


def test_a_driver_killed_at_any_of_its_writes_is_followed_by_one_that_ends_the_sweep(
    tally: Tally, memory: Path
) -> None:
    found = ask("kill_server", "sweeping", memory, scale(16, -1), scale(4, -1))
    tally(ROW, found["tried"], len(found["bad"]))
    assert not found["bad"], found["bad"][:3]
    assert not found["torch"], "a driver has imported torch"


@pytest.fixture
def undisturbed(memory: Path) -> tuple[dict[str, bytes], int]:
    """What the sweep comes to, and how many calls its driver makes."""
    (golden := memory / "golden").mkdir()
    drive(golden, Disk(counted := Counted()))
    return contents(golden, UNREPEATABLE), len(counted.calls)


def test_a_driver_on_a_full_disk_says_so_and_leaves_a_sweep_that_goes_on(
    memory: Path, undisturbed: tuple[dict[str, bytes], int], tally: Tally
) -> None:
    golden, calls = undisturbed
    bad, tried = [], range(0, calls, scale(7, 1))
    for call in tried:
        (runs := memory / f"runs-{call}").mkdir()
        with pytest.raises(StorageError, match="No space left on device"):
            drive(runs, Disk(Faulty(call, refusal(errno.ENOSPC))))
        drive(runs)
        bad += [(call, name) for name in differences(contents(runs, UNREPEATABLE), golden)]
    tally("error at a write (ENOSPC, EIO, …)", len(tried), len(bad))
    assert not bad


# Beside each other


def test_a_run_that_tries_the_disk_is_not_disturbed_by_another_that_clears(tmp_path: Path) -> None:
    preflight(tmp_path, 0, Disk(counted := Counted()))
    for call in range(len(counted.calls)):
        disturbed = Faulty(call, lambda name, arguments: clear_staging(tmp_path), once=True)
        preflight(tmp_path, 0, Disk(disturbed))
        assert list(tmp_path.iterdir()) == [], counted.calls[call]
