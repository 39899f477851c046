import os
from pathlib import Path

import pytest

from moe_lab import cores


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A process that may run on four cores; the file of its container's quota, which is not there yet."""
    allowed = {0, 2, 4, 6}
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: allowed, raising=False)
    monkeypatch.setattr(cores, "QUOTA", tmp_path / "cpu.max")
    return tmp_path / "cpu.max"


@pytest.mark.parametrize(
    ("quota", "count"),
    [
        ("150000 100000\n", 1),  # a core and a half
        ("300000 100000\n", 3),
        ("800000 100000\n", 4),  # more than the process may run on
        ("50000 100000\n", 1),  # half of one
        ("max 100000\n", 4),
        ("", 4),
        ("garbage\n", 4),
        ("a b\n", 4),
    ],
)
def test_a_containers_quota_takes_cores_away(four: Path, quota: str, count: int) -> None:
    four.write_text(quota)
    assert cores.cores() == count


def test_without_a_quota_the_cores_that_the_process_may_run_on_count(four: Path) -> None:
    assert cores.cores() == 4


@pytest.mark.parametrize(("counted", "count"), [(3, 3), (None, 1)])
def test_a_system_without_affinity_counts_all(
    four: Path, monkeypatch: pytest.MonkeyPatch, counted: int | None, count: int
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: counted)
    assert cores.cores() == count
