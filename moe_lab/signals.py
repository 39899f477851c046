"""Stopping on purpose: SIGINT, SIGTERM, SIGHUP or a limit of time ask for a stop at the next step."""

import signal
import time
from types import FrameType

from moe_lab.ranks import ALONE, Ranks

ASKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
OUT_OF_TIME = 75  # exit code
SIGNALLED = 128  # exit code, with the number of a signal added, as shells report it


class Stopped(Exception):
    """What is longer than a step was left half done, because a stop was asked for."""


class StopRequest:
    """Within the block, the first signal is noted and the second ends the process at once.

    A handler that raised could do so in the middle of a file; this one only sets a flag, which loops read.
    Signals that the process was told to ignore, as by nohup, stay ignored. The clock of max_minutes runs from here.
    Of several ranks each may be signalled, by a scheduler and again by torchrun: a signal that comes twice is one.
    """

    def __init__(self, max_minutes: float | None = None, ranks: Ranks = ALONE) -> None:
        self.signal: signal.Signals | None = None
        self._ranks = ranks
        self._deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "StopRequest":
        heeded = [asked for asked in ASKED if signal.getsignal(asked) is not signal.SIG_IGN]
        self._before = {asked: signal.signal(asked, self._note) for asked in heeded}
        return self

    def __exit__(self, *exception: object) -> None:
        for asked, handler in self._before.items():
            signal.signal(asked, handler)  # type: ignore[arg-type]

    @property
    def asked(self) -> bool:
        """Whether to stop; once true, always true."""
        return self.signal is not None or self._is_late

    def agree(self) -> bool:
        """Whether any rank was asked to stop, which all then are, in one way; all ranks call this together."""
        code = max(self._ranks.gather(self.exit_code))
        if code > SIGNALLED:
            self.signal = signal.Signals(code - SIGNALLED)
        elif code:
            self._deadline = time.monotonic()
        return code > 0

    @property
    def reason(self) -> str:
        """The signal's name, or max-minutes; empty if no stop was asked for."""
        if self.signal:
            return self.signal.name
        return "max-minutes" if self._is_late else ""

    @property
    def exit_code(self) -> int:
        """SIGNALLED + the signal's number, or OUT_OF_TIME; 0 if no stop was asked for."""
        if self.signal:
            return SIGNALLED + self.signal
        return OUT_OF_TIME if self._is_late else 0

    def check(self) -> None:
        """Raises Stopped if a stop was asked for, of whatever rank."""
        if self.agree():
            raise Stopped

    @property
    def _is_late(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        for asked in self._before:
            if self._ranks.world_size == 1 or asked != number:
                signal.signal(asked, signal.SIG_DFL)
