import os
import signal
import subprocess
import sys

import pytest

from moe_lab.signals import ASKED, StopRequest

TWICE = """
import os, signal
from moe_lab.signals import StopRequest
with StopRequest() as stop:
    os.kill(os.getpid(), signal.{first})
    print(stop.signal.name, flush=True)
    os.kill(os.getpid(), signal.{second})
    print("still here", flush=True)
"""


@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_signal_is_noted_and_nothing_is_interrupted(number, exit_code):
    with StopRequest() as stop:
        assert (stop.signal, stop.exit_code) == (None, 0)
        os.kill(os.getpid(), number)
        assert (stop.signal, stop.exit_code) == (number, exit_code)


def test_handlers_are_as_before_after_the_block():
    before = [signal.getsignal(number) for number in ASKED]
    with StopRequest():
        assert [signal.getsignal(number) for number in ASKED] != before
        os.kill(os.getpid(), signal.SIGTERM)
    assert [signal.getsignal(number) for number in ASKED] == before


@pytest.mark.parametrize("second", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_second_signal_of_either_kind_ends_the_process_at_once(second):
    code = TWICE.format(first="SIGINT", second=second)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.Signals[second]
    assert (done.stdout, done.stderr) == ("SIGINT\n", "")
