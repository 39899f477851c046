"""One run made, or gone on with: what every engine calls where the run is to be."""

from moe_lab import config
from moe_lab.errors import ConfigError, MoeLabError
from moe_lab.job.task import Ended, Task
from moe_lab.progress.base import Reporter
from moe_lab.signals import StopRequest
from moe_lab.store.disk import DISK, Disk
from moe_lab.store.fenced import fenced_disk
from moe_lab.store.lock import InUseError
from moe_lab.store.sweep import StoredSweep


def ended(
    task: Task, reporter: Reporter, disk: Disk = DISK, stop: StopRequest | None = None
) -> Ended:
    """Make a run, or go on with it: what came of that, with its error if it was one.

    disk: unless the task is one of several attempts, of which the latest alone may change anything.
    stop: what asks for a stop; by default signals, from when the run has a folder.
    """
    if task.attempt is not None:
        disk = fenced_disk(task.sweep, task.run.name, task.attempt)
    try:
        _carry_out(task, reporter, disk, stop)
    except MoeLabError as refusal:
        in_use = isinstance(refusal, InUseError)
        return Ended(task.run.name, refusal.render(), in_use=in_use)
    except Exception as bug:  # the run's log has the traceback
        return Ended(task.run.name, f"error: this is a bug in moe-lab: {bug!r}")
    return Ended(task.run.name)


def _carry_out(task: Task, reporter: Reporter, disk: Disk, stop: StopRequest | None) -> None:
    from moe_lab import session  # torch: the server that forks this process has it already

    sweep = StoredSweep(task.sweep)
    directory = sweep.run_directory(task.run)
    if not directory.exists():
        resolved = config.load(sweep.base_path, settings=task.run.settings)
        try:
            session.train(
                resolved,
                runs_dir=task.sweep,
                exact=True,
                reporter=reporter,
                stop=stop,
                disk=disk,
            )
            return
        except ConfigError:
            if not directory.exists():
                raise
            # else a process of a driver that was killed has been faster
    session.resume(directory, reporter=reporter, stop=stop, disk=disk)
