import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moe_lab.store import Run, State

HEADERS = {"steps": ("step", "loss"), "cv": ("step", "split", "cv")}


def state_at(step: int, **extra: Any) -> State:
    return State(
        step=step,
        model={"router.weight": np.full((2, 3), step, np.float32)},
        optimizer={"step": np.array(float(step)), "exp_avg": np.full(3, step / 8)},
        extra={"tokens": 64 * step, **extra},
    )


def new_run(runs_dir: Path, name: str = "x", **changes: Any) -> Run:
    arguments: dict[str, Any] = {
        "exact": False,
        "config": b"name: x  # mine\r\n",
        "resolved": "name: x\n",
        "record": {"seed": 3},
        "tables": HEADERS,
        "state": state_at(0),
    }
    return Run.create(runs_dir=runs_dir, name=name, **(arguments | changes))


def train_to(run: Run, *, start: int, stop: int, every: int = 2, keep: int = 9) -> None:
    for step in range(start, stop + 1):
        run.append("steps", {"step": step, "loss": 1 / step})
        run.append("cv", {"step": step, "split": "train", "cv": step / 3})
        run.flush()
        if step % every == 0:
            run.commit(state_at(step), keep=keep)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"
