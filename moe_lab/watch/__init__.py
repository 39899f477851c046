"""What another process trains, shown as if it were trained here: from its files, without a lock or a change."""

from pathlib import Path

from moe_lab.progress.canvas import resolved
from moe_lab.signals import StopRequest
from moe_lab.store.sweep import is_sweep
from moe_lab.watch.run import watch_run
from moe_lab.watch.sweep import watch_sweep
from moe_lab.watch.tempo import Tempo

__all__ = ["Tempo", "watch"]


def watch(
    directory: Path, mode: str = "auto", *, once: bool = False, tempo: Tempo | None = None
) -> int:
    """Show a run or a sweep until it ends, or `once`: the exit code, that of a signal or 0.

    mode: as of `progress.for_stderr`. Raises ArtefactError if it is neither, is damaged, or goes away meanwhile.
    """
    show = watch_sweep if is_sweep(directory) else watch_run
    with StopRequest() as stop:
        show(directory, resolved(mode), once=once, stop=stop, tempo=tempo or Tempo())
    return stop.exit_code
