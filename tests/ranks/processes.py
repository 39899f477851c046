"""Ranks as torchrun would start them, in processes forked from a server that has torch: a start takes no second."""

import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from moe_lab.launch import local

from .work import begin

PATIENCE = 60  # seconds that a test waits for anything


@dataclass(frozen=True)
class Rank:
    """One process, and where its stdout and stderr are put."""

    process: ForkServerProcess
    log: Path

    @property
    def text(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)


def start(
    folder: Path, work: Callable[..., None], *arguments: object, world_size: int = 2
) -> list[Rank]:
    """Processes that each do the same work, with the variables of torchrun."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server, ranks = local._server(1), []
    for rank in range(world_size):
        log = folder / f"rank-{rank}.log"
        variables = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world_size}
        variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        process = server.Process(target=begin, args=(variables, log, work, arguments), daemon=True)
        process.start()
        ranks.append(Rank(process, log))
    return ranks


def end(ranks: list[Rank], within: float = PATIENCE) -> list[int]:
    """Their exit codes; negative: the signal that ended one."""
    deadline = time.monotonic() + within
    for rank in ranks:
        rank.process.join(max(0, deadline - time.monotonic()))
    try:
        assert all(rank.process.exitcode is not None for rank in ranks), [r.text for r in ranks]
        return [rank.process.exitcode for rank in ranks]
    finally:
        for rank in ranks:
            rank.process.kill()


def run(folder: Path, work: Callable[..., None], *arguments: object, world_size: int = 2) -> None:
    """Work that all ranks do to its end."""
    ranks = start(folder, work, *arguments, world_size=world_size)
    assert end(ranks) == [0] * world_size, [rank.text for rank in ranks]
