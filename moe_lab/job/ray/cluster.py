"""A Ray cluster from inside the process that is connected to it: what tasks it was given, and what became of them.

A worker of Ray makes one run after the other, for torch takes longer to import than a short run to make: what a run
comes to depends on nothing that another leaves behind. Only where a run has a GPU Ray starts a process for each.
"""

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from tempfile import TemporaryDirectory
from typing import Any

import ray
from ray import exceptions

from moe_lab.errors import EngineError, StorageError
from moe_lab.job.ray.nodes import Nodes
from moe_lab.job.ray.talk import Room, Wanted
from moe_lab.job.same_sweep import refuse_other
from moe_lab.job.starting import THREADS
from moe_lab.job.task import Ended, Note, Task
from moe_lab.progress.base import Silent

STORE = 80 * 2**20  # bytes of memory for Ray's objects, of which Ray wants as much: we pass none
SHORT = "/tmp"  # noqa: S108 - the names of Ray's sockets are too long for TMPDIR on macOS
HOW = {  # by what Ray raises for a task: what became of its process
    exceptions.NodeDiedError: "its node has died",
    exceptions.LocalRayletDiedError: "its node has died",
    exceptions.OutOfMemoryError: "Ray has killed it: its node was short of memory",
    exceptions.WorkerCrashedError: "its process was killed",
    exceptions.TaskCancelledError: "it was cancelled",
}


class Cluster:
    """The tasks of one driver; made by `connected`."""

    def __init__(self, wanted: Wanted):
        """Raises EngineError if no node has room for a run."""
        self._nodes = Nodes(wanted)
        self._runs: dict[Any, str] = {}  # by what Ray calls the result of their tasks
        self._made = ray.remote(
            num_cpus=self._nodes.share.cpus,
            num_gpus=self._nodes.share.gpus,
            max_retries=0,
            retry_exceptions=False,
        )(made)

    @property
    def busy(self) -> bool:
        """Whether a task is waiting or running."""
        return bool(self._runs)

    def start(self, task: Task, plan: str) -> None:
        """Give Ray a task, which it never tries again: that is the driver's to decide."""
        named = self._made.options(name=task.run.name)
        self._runs[named.remote(task, plan, self._nodes.share.cpus, sys.argv)] = task.run.name

    def news(self) -> Iterator[Room | Note]:
        """What has changed about the nodes. Raises EngineError if the head of the cluster has gone."""
        return self._nodes.news()

    def wait(self, timeout: float) -> list[Ended]:
        """The tasks that have ended, as soon as one has or the time, in seconds, is over."""
        if not self._runs:
            return []
        ready, _ = ray.wait(list(self._runs), timeout=timeout)
        return [_ended(self._runs.pop(result), result) for result in ready]

    def stop(self) -> None:
        """Ctrl-C for every run, which is saved at its next step; tasks that are waiting are taken back."""
        for result in self._runs:
            ray.cancel(result, force=False)


@contextmanager
def connected(wanted: Wanted) -> Iterator[Cluster]:
    """The cluster at the address, or one of this machine's CPUs that is stopped in the end.

    Raises EngineError.
    """
    there: AbstractContextManager[dict[str, Any]] = nullcontext({})
    with there if wanted.address else _here(wanted) as options:
        try:
            ray.init(
                wanted.address or "local",
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                **options,
            )
        except (ConnectionError, RuntimeError, ValueError, exceptions.RayError) as error:
            raise EngineError(f"Ray: {_line(error)}") from error
        try:
            yield Cluster(wanted)
        finally:
            ray.shutdown()


@contextmanager
def _here(wanted: Wanted) -> Iterator[dict[str, Any]]:
    """How Ray starts a cluster of this machine. Its files are private: Ray opens its own folder to everyone."""
    with TemporaryDirectory(prefix="ray-", dir=SHORT, ignore_cleanup_errors=True) as private:
        yield {
            "num_cpus": wanted.cpus,
            "num_gpus": 0 if wanted.device == "cpu" else None,  # None: as many as there are
            "include_dashboard": False,
            "object_store_memory": STORE,
            "_temp_dir": f"{private}/ray",
        }


def made(task: Task, plan: str, threads: int, command: list[str]) -> Ended:
    """One run, on the node that Ray has chosen."""
    os.environ.update(dict.fromkeys(THREADS, str(threads)))  # before NumPy is imported
    sys.argv[:] = command  # for the run's record: Ray's own has addresses and names
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # `ray start &` in a script has it ignored
    from moe_lab.job.carry_out import ended

    try:
        refuse_other(task.sweep, plan)
    except StorageError as error:
        return Ended(task.run.name, error.render())
    return ended(task, Silent())


def _ended(run: str, result: Any) -> Ended:
    try:
        ended: Ended = ray.get(result)
    except exceptions.RayError as error:
        how = next((words for kind, words in HOW.items() if isinstance(error, kind)), None)
        return Ended(run, how=how) if how else Ended(run, f"error: Ray: {_line(error)}")
    return ended


def _line(error: Exception) -> str:
    """The last words of what Ray says in many lines, most of them a traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
