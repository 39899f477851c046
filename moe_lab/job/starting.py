"""What programs that are started inherit: how many threads they begin with, and which signals they wait with."""

import os
import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from moe_lab.signals import ASKED

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def limited_threads(number: int) -> Iterator[None]:
    """So many threads in what is started here: BLAS libraries would else begin with one per core."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, str(number)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def blocked_signals(numbers: Collection[signal.Signals] = ASKED) -> Iterator[None]:
    """What is started here waits with them: Ctrl-C in the terminal, or its end, would else reach it, too."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
