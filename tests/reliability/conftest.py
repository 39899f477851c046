"""How much of the harnesses runs, and the table of what they tried: all of it where MOE_LAB_TORTURE is set."""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest
import torch

from moe_lab import machine

TORTURE = os.environ.get("MOE_LAB_TORTURE")  # a path ending in .json: there the table goes, too
FULL = TORTURE is not None

T = TypeVar("T")
Tally = Callable[..., None]


def scale(some: T, all: T) -> T:
    """What a harness tries in the usual tests, or in the whole torture."""
    return all if FULL else some


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    """Adds what a test has tried, and how much of it was bad, to a row of the table."""

    def add(row: str, tried: int, bad: int = 0) -> None:
        request.node.user_properties.append(("torture", (row, tried, bad)))

    return add


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """An empty folder, in memory where the system has such files: a thousand runs sync often."""
    if not Path("/dev/shm").is_dir():
        yield tmp_path
    else:
        with tempfile.TemporaryDirectory(prefix="moe-lab-", dir="/dev/shm") as folder:
            yield Path(folder)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of all that was tried, by whichever process."""
    tried, bad = _counts(terminalreporter)
    if not (FULL and tried) or hasattr(terminalreporter.config, "workerinput"):  # xdist's part
        return
    width = max(map(len, tried))
    terminalreporter.section("torture")
    for row in tried:
        terminalreporter.line(f"{row:<{width}} {tried[row]:>10,} tried {bad[row]:>6,} bad")
    if TORTURE.endswith(".json"):
        table = {row: {"tried": tried[row], "bad": bad[row]} for row in sorted(tried)}
        found = json.dumps({**_when_and_where(), "rows": table}, indent=1)
        Path(TORTURE).write_text(found + "\n", encoding="utf-8")


def _when_and_where() -> dict[str, object]:
    described = machine.describe(torch.device("cpu"))
    host, versions = described["host"], described["versions"]
    system = f"{host['system']} ({host['cpu_capability']})"
    today = datetime.now(UTC).date().isoformat()
    return {"date": today, "system": system, "cores": host["cores"], "versions": versions}


def _counts(reporter: pytest.TerminalReporter) -> tuple[Counter[str], Counter[str]]:
    tried, bad = Counter[str](), Counter[str]()
    reports = (report for group in reporter.stats.values() for report in group)
    for report in reports:
        if getattr(report, "when", None) == "call":
            for name, value in report.user_properties:
                if name == "torture":
                    tried[value[0]] += value[1]
                    bad[value[0]] += value[2]
    return tried, bad
