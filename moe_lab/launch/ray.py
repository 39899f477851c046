"""Runs as tasks of Ray, on a cluster that is there or on one of this machine that is started and stopped.

The driver starts a process that is connected to Ray and tells it what to do. Runs stop, saved, when either has gone.
"""

import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from multiprocessing import get_context
from typing import Self

from moe_lab.errors import ConfigError, EngineError
from moe_lab.job.following import Courses
from moe_lab.job.ray.client import serve
from moe_lab.job.ray.talk import Lost, Room, Start, Stop, Wanted
from moe_lab.job.same_sweep import plan_of
from moe_lab.job.task import Ended, Message, Task
from moe_lab.launch.base import NO_JOBS, Demand, Launcher
from moe_lab.launch.local import seats

BEGIN = 60.0  # seconds that a cluster may take to start here, or to answer
END = 30.0  # seconds that the client may take to leave it
HURRY = 10.0  # where there is nothing to be saved
KNOCK = 5.0  # seconds in which the head of a cluster must take a connection


class Ray(Launcher):
    """Tasks of Ray; address: HOST:PORT of the head of a cluster, or auto for the one that this machine is part of."""

    fenced = True  # a node that Ray has given up may still be training

    def __init__(self, demand: Demand, *, address: str | None = None):
        super().__init__(demand)
        if find_spec("ray") is None:
            raise ConfigError(
                "--launcher ray needs the package ray", help="pip install 'moe-lab[ray]'"
            )
        if address is not None:
            _refuse_malformed(address)
        self._address = address
        self._seats = None if address else seats(demand.jobs, demand.threads)
        self._room = 0
        self._busy: set[str] = set()
        self._courses = Courses()

    @property
    def places(self) -> int | None:  # noqa: D102
        return self._seats or self.demand.jobs

    @property
    def free(self) -> int:  # noqa: D102
        return (self.places or self._room) - len(self._busy)

    @property
    def busy(self) -> int:  # noqa: D102
        return len(self._busy)

    def __enter__(self) -> Self:
        address = self._address
        if address and address != "auto" and not _answers(address):
            raise EngineError(f"Ray: nothing answers at {address}", help="ray status tells more")
        cpus, spawned = (self._seats or 0) * self.demand.threads, get_context("spawn")
        demand, (self._line, theirs) = self.demand, spawned.Pipe()
        wanted = Wanted(address, cpus, demand.threads, demand.device, demand.per_gpu)
        self._client = spawned.Process(target=serve, args=(theirs, wanted), daemon=True)
        self._client.start()
        theirs.close()
        try:
            self._connect()
        except BaseException:
            self._client.terminate()
            self._leave(HURRY)
            raise
        return self

    def _connect(self) -> None:
        """Wait for the first that the client says. Raises EngineError."""
        if not self._line.poll(BEGIN):
            raise EngineError(f"Ray: {self._address or 'it'} has not answered for {BEGIN:g} s")
        self._hear()

    def _leave(self, patience: float) -> None:
        self._line.close()
        self._client.join(patience)
        self._client.kill()
        self._client.join()

    def start(self, tasks: Sequence[Task]) -> Mapping[str, str]:  # noqa: D102
        placed = [replace(task, sweep=task.sweep.resolve()) for task in tasks]
        for task in placed:
            self._say(Start(task, plan_of(task.sweep)))
            self._busy.add(task.run.name)
        self._courses.add(placed)
        return NO_JOBS  # a task ends with its driver: there is nothing to find again

    def wait(self, timeout: float | None) -> list[Message]:  # noqa: D102
        told = list[Message](self._courses.news())
        if self._line.poll(0 if told else timeout):
            told += self._hear()
        return told

    def _hear(self) -> list[Message]:
        """All that the client has said. Raises EngineError when that is the last."""
        told = list[Message]()
        while self._line.poll():
            try:
                message = self._line.recv()
            except (EOFError, OSError):
                message = Lost("Ray: the process that was connected to it has ended without a word")
            if isinstance(message, Lost):
                self._busy.clear()
                raise EngineError(message.why)
            if isinstance(message, Room):
                self._room = message.seats
                continue
            if isinstance(message, Ended):
                self._busy.discard(message.run)
                self._courses.drop(message.run)
            told.append(message)
        return told

    def stop(self, number: signal.Signals) -> None:  # noqa: D102
        if self._busy:
            self._say(Stop())

    def _say(self, what: Start | Stop) -> None:
        with suppress(BrokenPipeError):  # that the client has ended is told by `wait`
            self._line.send(what)

    def close(self) -> None:  # noqa: D102
        try:
            self.stop(signal.SIGTERM)
            while self._busy:
                self.wait(None)
        finally:
            self._leave(END)


def _answers(address: str) -> bool:
    """Whether somebody listens at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK).close()
    except OSError:
        return False
    return True


def _refuse_malformed(address: str) -> None:
    """Raises ConfigError for what is no address of a cluster's head."""
    host, colon, port = address.rpartition(":")
    if "://" in address:
        raise ConfigError(
            f"--address {address}: Ray Client, which loses its tasks with a connection, is not supported",
            help="start the sweep on a node of the cluster, with --address auto",
        )
    if address != "auto" and not (host and colon and port.isdecimal() and 0 < int(port) < 65536):
        raise ConfigError(f"--address {address}: expected auto or HOST:PORT, as 10.0.0.1:6379")
