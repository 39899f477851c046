"""Runs on this machine: one process each, as many at a time as there are slots.

Processes are forked from a server that has imported torch and run nothing: a start takes hundredths of a second, and
no thread is lost in a fork. A pool would lose runs when one process of it is killed.
"""

import multiprocessing
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import connection, forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess

from moe_lab.cores import cores
from moe_lab.errors import ConfigError
from moe_lab.job.process import work
from moe_lab.job.starting import blocked_signals, limited_threads
from moe_lab.job.task import Ended, Message, Task
from moe_lab.launch.base import NO_JOBS, Demand, Launcher

PRELOADED = (  # torch._dynamo: the first optimizer would import it; pandas: the end of a run does
    "torch",
    "torch._dynamo",
    "pandas",
    "moe_lab.session",
)


@dataclass(frozen=True)
class _Member:
    process: ForkServerProcess
    line: Connection
    slot: str | None


class Local(Launcher):
    """The processes of a driver, so many at a time; on a machine with GPUs each sees one, which `per_gpu` share."""

    def __init__(self, demand: Demand):
        super().__init__(demand)
        self._seats = seats(demand.jobs, demand.threads)
        self._members: dict[str, _Member] = {}

    @property
    def places(self) -> int:  # noqa: D102
        return self._seats

    @property
    def free(self) -> int:  # noqa: D102
        return len(self._slots)

    @cached_property
    def _slots(self) -> list[str | None]:
        """What a process is shown as CUDA_VISIBLE_DEVICES; None leaves that as it is. Asked only when there is work."""
        demand = self.demand
        gpus = [] if demand.device == "cpu" else _gpus(demand.threads)
        shares: list[str | None] = [gpu for _ in range(demand.per_gpu) for gpu in gpus]
        return (shares or [None] * self._seats)[: self._seats]

    @property
    def busy(self) -> int:  # noqa: D102
        return len(self._members)

    def start(self, tasks: Sequence[Task]) -> Mapping[str, str]:  # noqa: D102
        for task in tasks:
            self._start(task)
        return NO_JOBS  # a process ends with its driver: there is nothing to find again

    def _start(self, task: Task) -> None:
        slot = self._slots.pop(0)
        server = _server(self.demand.threads)
        ours, theirs = server.Pipe(duplex=False)
        process = server.Process(  # daemon: stopped, and saved, if this process raises
            target=work, args=(task, theirs, slot), name=task.run.name, daemon=True
        )
        process.start()
        theirs.close()
        self._members[task.run.name] = _Member(process, ours, slot)

    def wait(self, timeout: float | None) -> list[Message]:  # noqa: D102
        ready = connection.wait([member.line for member in self._members.values()], timeout)
        names = [name for name, member in self._members.items() if member.line in ready]
        return [self._received(name) for name in names]

    def stop(self, number: signal.Signals) -> None:  # noqa: D102
        for member in self._members.values():
            if member.process.pid is not None and member.process.is_alive():
                os.kill(member.process.pid, number)

    def close(self) -> None:  # noqa: D102
        self.stop(signal.SIGTERM)
        while self._members:
            self.wait(None)

    def _release(self, name: str) -> None:
        member = self._members.pop(name)
        member.line.close()
        member.process.join()
        self._slots.append(member.slot)

    def _received(self, name: str) -> Message:
        """One message; the end of a process that sent none is told, too."""
        member = self._members[name]
        try:
            message: Message = member.line.recv()
        except (EOFError, OSError):
            member.process.join()
            code = member.process.exitcode or 0
            message = Ended(name, killed_by=-code if code < 0 else None)
        if isinstance(message, Ended):
            self._release(name)
        return message


def seats(jobs: int | None, threads: int) -> int:
    """How many runs of so many threads the cores are enough for, or as many as asked for.

    Raises ConfigError if that is more than there are cores for.
    """
    limit = max(1, cores() // threads)
    if jobs is not None and jobs > limit:
        raise ConfigError(
            f"--jobs {jobs}: at train.threads {threads} that takes {jobs * threads} cores, and there are {cores()}",
            help=f"use at most --jobs {limit}: more threads than cores are far slower, not faster",
        )
    return jobs or limit


def _gpus(threads: int) -> list[str]:
    """What CUDA_VISIBLE_DEVICES has to be for each GPU alone. A child counts them: this process imports no torch."""
    server = _server(threads)
    ours, theirs = server.Pipe(duplex=False)
    child = server.Process(target=_count_gpus, args=(theirs,), daemon=True)
    child.start()
    theirs.close()
    number = int(ours.recv())
    child.join()
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    return shown.split(",")[:number] if shown else [str(index) for index in range(number)]


def _count_gpus(line: Connection) -> None:
    import torch

    line.send(torch.cuda.device_count())


def _server(threads: int) -> ForkServerContext:
    """The server of processes, started if there is none: each has so many threads and waits with the signals ASKED."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    resource_tracker.ensure_running()  # here, because its start unblocks signals
    with limited_threads(threads), blocked_signals():
        forkserver.ensure_running()
    return context
