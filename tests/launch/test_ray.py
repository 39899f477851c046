"""Ray at work, on a cluster of two nodes of one CPU each; and what is refused before there is any."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli, MakeSweep
from sweep.conftest import Told, states

from moe_lab.cores import cores
from moe_lab.errors import ConfigError, EngineError
from moe_lab.launch.base import Demand
from moe_lab.launch.local import Local
from moe_lab.launch.ray import Ray, _refuse_malformed
from moe_lab.signals import ASKED
from moe_lab.store.lock import is_locked
from moe_lab.store.read import StoredRun
from moe_lab.store.sweep import StoredSweep
from moe_lab.sweep.drive import Policy, drive

from .ray_nodes import When

GRID = [{"moe.alpha": 0.0}, {"moe.alpha": 0.1}]
LONG = "steps=5000"  # a run of many seconds, which is never to reach its end
installed = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs ray")

# Before there is a cluster


def test_an_address_is_auto_or_a_host_with_a_port() -> None:
    for right in ("auto", "10.0.0.1:6379", "head.lan:1", "[::1]:65535"):
        _refuse_malformed(right)
    for wrong in ("head", ":6379", "head:", "head:port", "head:0", "head:65536", "AUTO"):
        with pytest.raises(ConfigError, match="expected auto or HOST:PORT"):
            _refuse_malformed(wrong)
    with pytest.raises(ConfigError, match="Ray Client"):
        _refuse_malformed("ray://head:10001")


@installed
def test_here_there_are_no_more_runs_at_a_time_than_cores() -> None:
    assert Ray(Demand(threads=1)).places == cores()
    assert Ray(Demand(threads=1, jobs=1)).places == 1
    with pytest.raises(ConfigError, match="takes"):
        Ray(Demand(threads=1, jobs=cores() + 1))
    assert Ray(Demand(threads=1, jobs=cores() + 1), address="auto").places == cores() + 1
    assert Ray(Demand(threads=1), address="auto").places is None  # the cluster alone knows


def test_without_the_package_nothing_is_begun(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = cli("sweep", "alpha", "--launcher", "ray", "--runs-dir", tmp_path / "runs")
    assert (done.exit_code, done.stderr) == (
        2,
        "error: --launcher ray needs the package ray\n  help: pip install 'moe-lab[ray]'\n",
    )
    assert not (tmp_path / "runs").exists()


@installed
def test_where_nothing_answers_the_plan_is_kept_and_can_be_made_elsewhere(
    cli: Cli, make_sweep: MakeSweep
) -> None:
    sweep = make_sweep(GRID[:1], seeds=(0,))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        done = cli("resume", sweep.directory, "--launcher", "ray", "--address", address)
    assert done.exit_code == 4
    assert done.stderr.startswith(f"error: Ray: nothing answers at {address}\n")
    assert f"go on with: moe-lab resume {sweep.directory}" in done.stderr
    assert states(sweep) == {"p0-s0": "pending"}
    assert drive(StoredSweep(sweep.directory), Local(Demand(jobs=1)), Told(), Policy()) == 0


# At work


@pytest.mark.engines
def test_a_run_that_no_node_has_room_for_is_refused(cluster: Any, make_sweep: MakeSweep) -> None:
    sweep = make_sweep(GRID)
    launcher = Ray(Demand(threads=2), address=cluster.address)
    with pytest.raises(EngineError, match="asks for 2 CPU: the largest of 3 has 1 CPU"):
        drive(sweep, launcher, Told(), Policy())
    assert set(states(sweep).values()) == {"pending"}


@contextmanager
def driven(sweep: StoredSweep, address: str) -> "Iterator[subprocess.Popen[str]]":
    """`moe-lab resume` of a sweep on the cluster, in its own process, when two runs are on their way."""
    command = ["resume", str(sweep.directory), "--launcher", "ray", "--address", address]
    with subprocess.Popen(
        [sys.executable, "-m", "moe_lab", *command, "--progress", "plain"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # whatever ours is
    ) as process:
        running = [sweep.directory / run.name for run in sweep.plan.runs[:2]]
        try:
            until(lambda: all(map(is_locked, running)))
            yield process
        finally:
            process.kill()


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "this has taken too long"
        time.sleep(0.1)


@pytest.mark.engines
def test_a_driver_that_is_stopped_or_killed_leaves_runs_that_are_saved(
    cluster: Any, make_sweep: MakeSweep
) -> None:
    sweep = make_sweep(GRID, LONG, "checkpoint.every=1000", seeds=(0, 1))
    with driven(sweep, cluster.address) as process:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        shown = process.communicate(timeout=60)
    assert process.returncode == 130, shown
    assert shown[1].endswith(f"stopped; go on with: moe-lab resume {sweep.directory}\n")
    assert "ray" not in "".join(shown).lower().replace("--launcher ray", "")
    begun, waiting = ["p0-s0", "p1-s0"], ["p0-s1", "p1-s1"]
    expected = {**dict.fromkeys(begun, "stopped"), **dict.fromkeys(waiting, "pending")}
    assert states(sweep) == expected
    with driven(sweep, cluster.address):
        pass  # and killed
    until(lambda: states(sweep) == expected)
    told = When(lambda run: os.kill(os.getpid(), signal.SIGTERM))
    again = Ray(Demand(jobs=1), address=cluster.address)
    assert drive(StoredSweep(sweep.directory), again, told, Policy()) == 143
    assert told.of("begun") == told.of("stopped") == ["p0-s0"]
    assert states(sweep) == expected


@pytest.mark.engines
def test_a_cluster_of_this_machine_is_private_and_loses_no_run_with_a_worker(
    make_sweep: MakeSweep,
) -> None:
    pytest.importorskip("ray")
    folders = Path("/tmp").glob
    before, environment = set(folders("ray-*")), dict(os.environ)
    handlers = [signal.getsignal(number) for number in ASKED]

    def look_and_kill(run: str) -> None:
        (folder,) = set(folders("ray-*")) - before
        assert folder.stat().st_mode & 0o777 == 0o700
        assert set(listening(folder)) == {"127.0.0.1"}
        os.kill(int(StoredRun(sweep.directory / run).status["pid"]), signal.SIGKILL)

    sweep, told = make_sweep(GRID[:1], "steps=400", seeds=(0,)), When(look_and_kill)
    assert drive(sweep, Ray(Demand(jobs=1)), told, Policy()) == 0
    assert told.of("interrupted") == told.of("finished") == ["p0-s0"]
    assert set(folders("ray-*")) == before
    assert dict(os.environ) == environment
    assert [signal.getsignal(number) for number in ASKED] == handlers


def listening(folder: Path) -> list[str]:
    """The addresses at which processes of Ray listen that keep their files in a folder."""
    found = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True, check=True)
    shown = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True)
    ours = tuple(f"pid={number}," for number in found.stdout.split())
    places = [line.split()[3] for line in shown.stdout.splitlines() if any(p in line for p in ours)]
    return [place.rpartition(":")[0].strip("[]").removeprefix("::ffff:") for place in places]


@pytest.mark.engines
def test_without_its_head_a_cluster_is_given_up_and_its_runs_are_saved(
    cluster: Any, make_sweep: MakeSweep
) -> None:
    sweep = make_sweep(GRID[:1], LONG, seeds=(0,))
    told = When(lambda run: cluster.head_node.kill_gcs_server())
    with pytest.raises(
        EngineError, match="the head of the cluster has not answered for 15 s"
    ) as caught:
        drive(sweep, Ray(Demand(), address=cluster.address), told, Policy())
    assert f"go on with: moe-lab resume {sweep.directory}" in caught.value.render()
    assert states(sweep) == {"p0-s0": "stopped"}
