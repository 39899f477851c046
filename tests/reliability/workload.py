"""What a run asks of the store, without a model: rows, arrays, events and commits that depend on all before."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from moe_lab.store import Run, State, StoredRun, is_finished, layout
from moe_lab.store.disk import DISK, Disk
from moe_lab.store.events import read_events
from moe_lab.store.table_reading import whole_rows

NAME, STEPS, EVERY = "x", 8, 2
HEADERS = {
    "steps": ("step", "loss"),
    "cv": ("step", "split", "layer", "cv"),
    "eval": ("step", "lm_loss"),
}
FINISHED = STEPS + 1  # what is acknowledged last
FILES = {layout.CONFIG: b"seed: 3  # mine\r\n", layout.RESOLVED: b"seed: 3\n"}

UNREPEATABLE = {layout.RECORD, layout.STATUS, layout.EVENTS, layout.LOCK, "timing.csv"}
OPTIONAL = {layout.LOG}  # there where a run has failed


def state_at(step: int, weight: np.ndarray) -> State:
    """A commit's state: the weight, and a moment made of it."""
    moment = np.array(weight.sum() / 8)
    return State(step, {"weight": weight}, {"moment": moment}, {"tokens": 64 * step})


def stepped(weight: np.ndarray, step: int) -> np.ndarray:
    """The next weight: other than it from any other one, exactly the same on every machine."""
    return (weight * 3 + step + np.arange(weight.size)) % 1009


START = np.arange(5, dtype=np.float32)


def begin(runs: Path, disk: Disk, name: str = NAME) -> Run:
    """A new run."""
    return Run.create(
        runs_dir=runs,
        name=name,
        exact=True,
        config=FILES[layout.CONFIG],
        resolved=FILES[layout.RESOLVED].decode(),
        record={"seed": 3},
        tables=HEADERS,
        state=state_at(0, START),
        disk=disk,
    )


def do_step(run: Run, weight: np.ndarray, step: int) -> np.ndarray:
    """One step with its rows, and every third an evaluation; the weight after it."""
    weight = stepped(weight, step)
    run.append("steps", {"step": step, "loss": float(weight.sum()) / 7})
    for layer in (0, 1):
        cv = float(weight[layer]) / 3
        run.append("cv", {"step": step, "split": "train", "layer": layer, "cv": cv})
    if step % 3 == 0:
        run.append("eval", {"step": step, "lm_loss": float(weight.max()) / 9})
        run.save_arrays(step, {"counts": weight.astype(np.int64)})
        run.event("evaluated", step=step)
    run.flush()
    return weight


def drive(
    runs: Path,
    disk: Disk = DISK,
    *,
    acknowledged: Callable[[int], None] = lambda step: None,
    keep: int = 2,
) -> None:
    """What is left to do of a run: it is begun, or gone on with, or found finished."""
    directory = runs / NAME
    if is_finished(directory):
        return
    if directory.exists():
        run, state = Run.reopen(directory, disk)
    else:
        run, state = begin(runs, disk), state_at(0, START)
    with run, failing(run):
        acknowledged(run.step)
        weight = state.model["weight"]
        for step in range(run.step + 1, STEPS + 1):
            weight = do_step(run, weight, step)
            if step % EVERY == 0:
                run.commit(state_at(step, weight), keep=keep)
                acknowledged(step)
        run.finish({"steps": STEPS})
        acknowledged(FINISHED)


@contextmanager
def failing(run: Run) -> Iterator[None]:
    """As a session does it."""
    try:
        yield
    except Exception as error:
        run.fail(error)
        raise


def contents(runs: Path, blank: set[str] = UNREPEATABLE) -> dict[str, bytes]:
    """Everything under a folder by its name; of what no two runs have in common, the name alone.

    A process that dies after its last commit leaves a checkpoint more than is kept: older ones do not count.
    """
    old = [f"{layout.checkpoint(runs / NAME, step)}" for step in steps(runs)[:-2]]
    return {
        str(path.relative_to(runs)): path.read_bytes()
        if path.is_file() and path.name not in blank
        else b""
        for path in sorted(runs.rglob("*"))
        if path.name not in OPTIONAL and not str(path).startswith(tuple(old))
    }


def differences(found: dict[str, bytes], golden: dict[str, bytes]) -> list[str]:
    """The names that one of two folders has alone, or with other contents."""
    names = sorted(found.keys() | golden.keys())
    return [name for name in names if found.get(name) != golden.get(name)]


def unfinished(runs: Path, golden: dict[str, bytes]) -> list[str]:
    """What is wrong with a run that was cut off, before anything mends it: a reader sees it like that."""
    wrong, directory = [], runs / NAME
    if not directory.exists():
        return []
    stored = StoredRun(directory)
    if stored.state not in ("running", "interrupted", "failed", "finished"):
        wrong.append(f"state {stored.state}")
    read_events(directory)
    for table in directory.glob("*.csv"):
        rows = b"".join(whole_rows(table))
        if not golden[str(table.relative_to(runs))].startswith(rows) and table.stem != "timing":
            wrong.append(f"{table.name} is no beginning of the undisturbed one")
    return wrong


def mended(
    runs: Path,
    golden: dict[str, bytes],
    drive: Callable[[Path], None] = drive,
    blank: set[str] = UNREPEATABLE,
) -> list[str]:
    """What is wrong when a run has been gone on with to its end."""
    drive(runs)
    wrong = differences(contents(runs, blank), golden)
    stored = StoredRun(runs / NAME)
    last = steps(runs)[-1]
    if (stored.state, stored.status["step"]) != ("finished", last):
        wrong.append(f"status {stored.status}, last checkpoint {last}")
    return wrong


def steps(runs: Path) -> list[int]:
    """The steps of the run's checkpoints, ascending."""
    folders = (runs / NAME / layout.CHECKPOINTS).glob("*")
    found = [layout.checkpoint_step(folder) for folder in folders]
    return sorted(step for step in found if step is not None)
