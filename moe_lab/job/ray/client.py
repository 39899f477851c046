"""The process that is connected to Ray, and talks with the driver of a sweep over a pipe."""

import os
import secrets
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from moe_lab.errors import EngineError
from moe_lab.job.ray.talk import Lost, Start, Stop, Wanted

if TYPE_CHECKING:
    from moe_lab.job.ray.cluster import Cluster

PAUSE = 0.1  # seconds between two looks at the pipe
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what Ray will do, and else warns of
}
ALONE = {  # for a cluster of this machine: Ray's name for the loopback interface, and a key to what listens there
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
}


def serve(line: Connection, wanted: Wanted) -> None:
    """Do what the driver says until it has gone, in whatever way; then have what runs saved."""
    os.setsid()  # Ctrl-C in the terminal is the driver's to pass on
    _silence()
    os.environ.update(QUIET)
    if wanted.address is None:
        os.environ.update(ALONE, RAY_AUTH_TOKEN=secrets.token_hex(32))
    from moe_lab.job.ray.cluster import connected  # Ray, which reads the environment here

    with suppress(BrokenPipeError):  # the driver has gone
        try:
            with connected(wanted) as cluster:
                _talk(line, cluster)
        except EngineError as error:
            line.send(Lost(str(error)))


def _silence() -> None:
    """Nothing of Ray's on the terminal, nor among the results on stdout."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def _talk(line: Connection, cluster: "Cluster") -> None:
    """Until the driver has gone, or the head of the cluster: then the driver is told, and waits only so long."""
    try:
        while True:
            for message in (*cluster.news(), *cluster.wait(PAUSE)):
                line.send(message)
            while line.poll(0 if cluster.busy else PAUSE):
                _obey(cluster, line.recv())
    except (EOFError, BrokenPipeError):
        pass
    except EngineError as gone:
        line.send(Lost(str(gone)))
    cluster.stop()
    while cluster.busy:
        cluster.wait(PAUSE)


def _obey(cluster: "Cluster", asked: Start | Stop) -> None:
    match asked:
        case Start(task, plan):
            cluster.start(task, plan)
        case Stop():
            cluster.stop()
