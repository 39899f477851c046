"""What the launchers are compared with, stand-ins in the place of Slurm, and a cluster of Ray."""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, results

from moe_lab.store import layout
from moe_lab.store.sweep import StoredSweep

from .ray_nodes import add_node

STAND_INS = Path(__file__).parent / "slurm_stand_ins"
FULL = os.environ.get("MOE_LAB_ENGINES") == "full"
ALPHA = ("alpha", "steps=60", *(() if FULL else ("batch_size=6", "eval.tokens=1024")))
SEEDS = "3" if FULL else "1"  # by ALPHA at so many, of five runs each, launchers are compared


def tables(sweep: Path) -> dict[str, bytes]:
    """What a sweep has come to: its tables and all result files of its runs."""
    runs = {run.name: results(sweep / run.name) for run in StoredSweep(sweep).runs()}
    found = {f"{run}/{name}": data for run, files in runs.items() for name, data in files.items()}
    both = (layout.RUNS_TABLE, layout.POINTS_TABLE)
    return found | {name: (sweep / name).read_bytes() for name in both}


@pytest.fixture(scope="session")
def alpha(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep ALPHA, all of it by the local launcher; to be read."""
    runs = tmp_path_factory.mktemp("locally")
    done = cli("sweep", *ALPHA, "--seeds", SEEDS, "--runs-dir", runs)
    assert done.exit_code == 0, done.stderr
    return runs / "sweep-alpha"


class StandIn:
    """A cluster of stand-ins, from outside."""

    def __init__(self, folder: Path):
        self.folder = folder

    def places(self, number: int) -> None:
        """So many jobs run at a time."""
        (self.folder / "places").write_text(str(number))

    def set(self, switch: str, on: bool = True) -> None:
        """Turn a fault on or off."""
        if on:
            (self.folder / switch).touch()
        else:
            (self.folder / switch).unlink()

    def jobs(self) -> dict[str, dict[str, Any]]:
        """What is in its queue, by id."""
        path = self.folder / "jobs.json"
        found = json.loads(path.read_text()) if path.exists() else []
        return {job["id"]: job for job in found}

    def log(self, verb: str) -> list[str]:
        """What was asked of it."""
        path = self.folder / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        said = [line.split(" ", 1)[1] for line in lines]
        return [line for line in said if line.split()[0] == verb]

    def settle(self) -> None:
        """Wait until nothing of it runs any more."""
        while any(job["state"] in ("RUNNING", "COMPLETING") for job in self.jobs().values()):
            time.sleep(0.05)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Slurm's commands on the PATH, with two places."""
    folder, commands = tmp_path / "cluster", tmp_path / "bin"
    folder.mkdir()
    commands.mkdir()
    for name in ("sbatch", "squeue", "scancel", "scontrol", "srun"):
        path = commands / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E {STAND_INS}/{name}.py "$@"\n')
        path.chmod(0o755)
    monkeypatch.setenv("SLURM_STAND_IN", str(folder))
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    for name in [name for name in os.environ if name.startswith(("SLURM_JOB", "SLURM_ARRAY"))]:
        monkeypatch.delenv(name)
    found = StandIn(folder)
    found.places(2)
    return found


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without a CPU, and two nodes; they see within two seconds that one is gone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # the loopback interface alone
        patch.setenv("RAY_AUTH_MODE", "disabled")
        Cluster = pytest.importorskip("ray.cluster_utils").Cluster

        health = {"health_check_period_ms": 300, "health_check_failure_threshold": 3}
        head = {
            "num_cpus": 0,
            "include_dashboard": False,
            "_system_config": {**health, "health_check_initial_delay_ms": 0},
        }
        cluster = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(2):
            add_node(cluster)
        cluster.wait_for_nodes()
        yield cluster
        cluster.shutdown()
