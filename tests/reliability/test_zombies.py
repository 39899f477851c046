"""An attempt that is overtaken at any moment, and goes on: the newer one's run is that of an undisturbed one."""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from moe_lab.errors import MoeLabError
from moe_lab.store import layout
from moe_lab.store.attempts import Attempts
from moe_lab.store.disk import DISK, Disk
from moe_lab.store.fenced import FencedError, FencedSystem, fenced_disk
from moe_lab.store.system import System

from . import workload
from .conftest import Tally, scale
from .faults import CALLS


class Overtaken(System):
    """A newer attempt does the whole run at one call, counted from 0; all calls go through `meet`."""

    calls = 0
    at = -1
    overtake: Callable[[], None]

    def meet(self) -> None:
        """Counts a call."""
        if self.calls == self.at:
            self.overtake()
        self.calls += 1


def _met(name: str) -> Callable[..., Any]:
    def call(self: Overtaken, *arguments: Any) -> Any:
        self.meet()
        return getattr(super(Overtaken, self), name)(*arguments)

    return call


for _name in CALLS:
    setattr(Overtaken, _name, _met(_name))


class Early(Overtaken, FencedSystem):
    """Overtaken before a call looks."""


class Late(FencedSystem, Overtaken):
    """Overtaken between the look of a call and the call."""


def begun(kind: type[Early] | type[Late], memory: Path, at: int) -> tuple[Path, Overtaken]:
    """A folder where nothing is yet, and the system of an attempt that will be overtaken there."""
    runs = Path(tempfile.mkdtemp(dir=memory))
    system = kind(runs, workload.NAME, Attempts(runs).begin(workload.NAME))
    system.at, system.overtake = at, lambda: overtake(runs)
    return runs, system


def overtake(runs: Path) -> None:
    """A newer attempt makes the run to its end, on a host where the lock of this one is not seen."""
    for lock in runs.glob(f"*/{layout.LOCK}"):
        lock.unlink()
        lock.touch()
    attempt = Attempts(runs).begin(workload.NAME)
    workload.drive(runs, fenced_disk(runs, workload.NAME, attempt))


def of_the_run(runs: Path) -> dict[str, bytes]:
    """All of its folder. Beside it may be what an attempt was preparing when it was overtaken."""
    found = workload.contents(runs).items()
    return {name: data for name, data in found if Path(name).parts[0] == workload.NAME}


def moments(kind: type[Early] | type[Late], memory: Path) -> range:
    """The calls to be tried, of all that a run makes."""
    runs, system = begun(kind, memory, -1)
    workload.drive(runs, Disk(system, shared=True))
    return range(0, system.calls, scale(9, 1))


@pytest.fixture
def golden(memory: Path) -> dict[str, bytes]:
    runs = memory / "golden"
    workload.drive(runs, DISK)
    return of_the_run(runs)


def test_an_attempt_overtaken_at_any_moment_changes_nothing_more(
    memory: Path, golden: dict[str, bytes], tally: Tally
):
    bad = []
    for at in (tried := moments(Early, memory)):
        runs, system = begun(Early, memory, at)
        with pytest.raises(FencedError):
            workload.drive(runs, Disk(system, shared=True))
        bad += [(at, name) for name in workload.differences(of_the_run(runs), golden)]
    tally("overtaken before a call", len(tried), len(bad))
    assert not bad


def test_one_late_call_changes_at_most_a_name_that_nothing_reads(
    memory: Path, golden: dict[str, bytes], tally: Tally
):
    bad = []
    for at in (tried := moments(Late, memory)):
        runs, system = begun(Late, memory, at)
        with suppress(MoeLabError):  # that a file of its own has gone may be noticed first
            workload.drive(runs, Disk(system, shared=True))
        with pytest.raises(FencedError):
            system.make_folder(runs / "more")
        changed = workload.differences(of_the_run(runs), golden)
        bad += [(at, name) for name in changed if not any(p[0] == "." for p in Path(name).parts)]
    tally("overtaken within a call", len(tried), len(bad))
    assert not bad
