from pathlib import Path

import numpy as np

from moe_lab.store.commit import State
from moe_lab.store.run import Run
from moe_lab.store.writer import Unwritten, Writer


def test_a_run_and_one_that_another_rank_writes_take_the_same_words(tmp_path: Path):
    assert isinstance(Unwritten(tmp_path, 0), Writer)
    words = {name for name in vars(Writer) if not name.startswith("_")}
    assert words - vars(Run).keys() == set()


def test_what_another_rank_writes_leaves_nothing_here_but_the_step_of_the_last_commit(
    tmp_path: Path,
):
    run = Unwritten(tmp_path / "x", 3)
    run.append("steps", {"step": 4})
    run.flush()
    run.save_arrays(4, {"a": np.zeros(2)})
    run.event("start")
    run.status("running")
    run.log("text")
    run.fail(ValueError())
    assert run.step == 3
    run.commit(State(7, {}, {}, {}), keep=1)
    assert (run.directory, run.step, run.differences) == (tmp_path / "x", 7, [])
    assert list(tmp_path.iterdir()) == []
