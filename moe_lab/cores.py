"""How many CPU cores this process may use."""

import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container: microseconds of CPU per period, or max


def cores() -> int:
    """The cores that this process may run on, or fewer if a container's quota allows fewer; at least 1."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(count or 1, _quota(QUOTA)))


def _quota(path: Path) -> int:
    try:
        used, period = path.read_text().split()
        return int(used) // int(period)
    except (OSError, ValueError):  # no cgroups of version 2, or "max"
        return 1_000_000
