from pathlib import Path

import numpy as np

from moe_lab.store import State
from moe_lab.store.space import CELL, RECORDS, space

from .conftest import HEADERS, new_run, state_at, train_to


def test_space_is_counted_for_checkpoints_tables_and_the_rest() -> None:
    state = State(1, {"w": np.zeros((10, 25), np.float32)}, {"m": np.zeros(125)}, {})
    # 10 × 25 × 4 + 125 × 8 = 2000 bytes; 2 kept and one being written; 2 + 3 columns, 7 rows
    assert space(state, HEADERS, rows=7, keep=2) == 3 * 2000 + CELL * 7 * 5 + RECORDS


def test_a_run_takes_less_than_was_counted_and_its_tables_not_much_less(runs: Path) -> None:
    with new_run(runs) as run:
        train_to(run, start=1, stop=1000, every=500, keep=2)
    need = space(state_at(0), HEADERS, rows=1000, keep=2)
    assert sum(path.stat().st_size for path in runs.rglob("*") if path.is_file()) < need
    tables = sum(path.stat().st_size for path in (runs / "x").glob("*.csv"))
    assert tables > CELL * 1000 * 5 / 5
