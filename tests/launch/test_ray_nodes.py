"""Sweeps on a cluster of Ray of which a node is killed."""

from pathlib import Path
from typing import Any

import pytest

from moe_lab.launch.base import Demand
from moe_lab.launch.ray import Ray
from moe_lab.report import sweep_reading, sweep_tables
from moe_lab.store.attempts import Attempts
from moe_lab.store.sweep import StoredSweep
from moe_lab.sweep.begin import begin
from moe_lab.sweep.drive import Policy, drive
from moe_lab.sweep.grid import plan

from .conftest import ALPHA, SEEDS, tables
from .ray_nodes import When, add_node


@pytest.mark.engines
@pytest.mark.parametrize("after", range(5))
def test_a_node_that_dies_changes_no_byte_of_a_sweep(
    cluster: Any, alpha: Path, tmp_path: Path, after: int
) -> None:
    def kill_node(run: str) -> None:
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        add_node(cluster)

    sweep, told = begin(plan(ALPHA, seeds=SEEDS), tmp_path), When(kill_node, after * int(SEEDS))
    assert drive(sweep, Ray(Demand(), address=cluster.address), told, Policy()) == 0
    assert told.done
    found = sweep_reading.read(StoredSweep(sweep.directory))
    sweep.write_tables(runs=sweep_tables.runs_csv(found), points=sweep_tables.to_csv(found))
    assert tables(sweep.directory) == tables(alpha)
    names = [run.name for run in sweep.plan.runs]
    assert len(names) == 5 * int(SEEDS)
    attempts = {name: Attempts(sweep.directory).number(name) for name in names}
    lost = told.of("interrupted")
    assert attempts == {name: 2 if name in lost else 1 for name in names}
    assert len(lost) <= 1
