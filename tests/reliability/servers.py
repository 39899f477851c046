"""Programs that need a process of their own, without pytest and its threads."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]


def ask(module: str, *arguments: object, through: Sequence[str] = ()) -> dict[str, Any]:
    """What a module of this package prints, run by this Python, or through a command that runs it."""
    path = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    done = subprocess.run(
        [*through, sys.executable, "-m", f"{__package__}.{module}", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found
