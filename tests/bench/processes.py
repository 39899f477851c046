"""What a process takes from its start to its end."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """Of a whole process that ended well, and what it printed."""

    cpu_s: float
    wall_s: float
    peak_mb: float  # resident
    output: str


def measure(command: Sequence[str | Path]) -> Usage:
    """Run a program. Its peak memory is at least that of this process: import little before."""
    before = os.times()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    scale = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    wall = os.times().elapsed - before.elapsed
    memory = usage.ru_maxrss * scale / 1e6
    return Usage(usage.ru_utime + usage.ru_stime, wall, memory, output)
