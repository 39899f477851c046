"""Work in forked processes: what is loaded here is there at once, without the second that torch takes."""

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from moe_lab.cli import app

BROKEN = 99  # exit code: what it did has raised


class Ended(NamedTuple):
    """How a process ended."""

    code: int  # of its exit; negative: the signal that ended it
    text: str  # of stdout and stderr


def fork(work: Callable[[], int]) -> int:
    """The exit code of a process that does some work, which returns it; negative: the signal that ended it."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(work())
        except BaseException:
            traceback.print_exc()
            os._exit(BROKEN)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def call(*arguments: object, log: Path, first: Callable[[], object] = bool) -> Ended:
    """`moe-lab` with arguments in a process of its own; `first` is done there before."""

    def work() -> int:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        first()
        return call_here(*arguments)

    return Ended(fork(work), log.read_text(encoding="utf-8"))


def call_here(*arguments: object) -> int:
    """`moe-lab` with arguments in this process; its exit code."""
    with redirect_stdout(sys.stderr), pytest.raises(SystemExit) as ended:
        app([str(argument) for argument in arguments])
    return int(ended.value.code or 0)
