"""Stopping on purpose: SIGINT, SIGTERM and SIGHUP ask for a stop at the next step."""

import signal
from types import FrameType

ASKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    """Within the block, the first signal is noted and the second ends the process at once.

    A handler that raised could do so in the middle of a file; this one only sets a flag, which the loop reads.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "StopRequest":
        self._before = {asked: signal.signal(asked, self._note) for asked in ASKED}
        return self

    def __exit__(self, *exception: object) -> None:
        for asked, handler in self._before.items():
            signal.signal(asked, handler)  # type: ignore[arg-type]

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells report it; 0 if none came."""
        return 128 + self.signal if self.signal else 0

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        for asked in ASKED:
            signal.signal(asked, signal.SIG_DFL)
