import os
import signal
import subprocess
import sys

import pytest

from moe_lab.signals import ASKED, Stopped, StopRequest

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
        assert (stop.signal, stop.asked) == (None, False)
        os.kill(os.getpid(), number)
        assert (stop.signal, stop.exit_code, stop.reason) == (number, exit_code, number.name)


def test_handlers_are_as_before_after_the_block():
    before = [signal.getsignal(number) for number in ASKED]
    with StopRequest():
        assert [signal.getsignal(number) for number in ASKED] != before
        os.kill(os.getpid(), signal.SIGTERM)
    assert [signal.getsignal(number) for number in ASKED] == before


def test_a_signal_that_is_to_be_ignored_stays_ignored_as_under_nohup():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.asked
            os.kill(os.getpid(), signal.SIGTERM)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_limit_of_time_asks_for_a_stop_and_a_signal_comes_first():
    with StopRequest(0) as stop:
        assert (stop.asked, stop.reason, stop.exit_code) == (True, "max-minutes", 75)
        with pytest.raises(Stopped):
            stop.check()
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stop.asked, stop.reason, stop.exit_code) == (True, "SIGTERM", 143)


def test_alone_ranks_agree_on_what_this_process_was_asked():
    with StopRequest() as stop:
        assert not stop.agree()
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.agree()
        assert (stop.exit_code, stop.reason) == (129, "SIGHUP")
    with StopRequest(0) as late:
        assert late.agree()
        assert (late.exit_code, late.reason) == (75, "max-minutes")


def test_without_a_signal_before_the_limit_there_is_no_stop():
    with StopRequest(1000) as stop:
        assert (stop.asked, stop.reason, stop.exit_code) == (False, "", 0)
        stop.check()


@pytest.mark.parametrize("second", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_second_signal_of_either_kind_ends_the_process_at_once(second):
    code = TWICE.format(first="SIGINT", second=second)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.Signals[second]
    assert (done.stdout, done.stderr) == ("SIGINT\n", "")
