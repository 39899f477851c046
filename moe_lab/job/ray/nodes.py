"""The nodes of a Ray cluster that are there, as its head tells."""

import threading
import time
from collections.abc import Iterator

import ray
from ray import exceptions

from moe_lab.errors import EngineError
from moe_lab.job.ray.share import Node, Share
from moe_lab.job.ray.talk import Room, Wanted
from moe_lab.job.task import Note

PAUSE = 2.0  # seconds between two looks
PATIENCE = 5.0  # seconds that nodes may take to appear
SILENT = (
    15.0  # seconds after which the head is taken for gone; Ray's core would end this process at 60
)


class Nodes:
    """Looked at in a thread of their own: while the head does not answer, Ray's calls to it wait."""

    def __init__(self, wanted: Wanted):
        """Raises EngineError if no node has room for a run."""
        self._seats = 0
        self.share = self._placeable(wanted)
        threading.Thread(target=self._watch, daemon=True).start()

    def _placeable(self, wanted: Wanted) -> Share:
        """What a run takes, as soon as a node has that."""
        until = time.monotonic() + PATIENCE
        while True:
            self._look()
            share = Share.of(wanted.threads, wanted.device, wanted.per_gpu, self._nodes)
            if any(map(share.seats, self._nodes)):
                return share
            if time.monotonic() > until:
                raise EngineError(f"Ray: {share.lacking(self._nodes)}")
            time.sleep(0.5)

    def _look(self) -> None:
        found = [node for node in ray.nodes() if node["Alive"]]
        self._nodes: list[Node] = [node["Resources"] for node in found]
        self._last_time = time.monotonic()

    def _watch(self) -> None:
        while True:
            time.sleep(PAUSE)
            try:
                self._look()
            except exceptions.RayError:  # no answer
                continue

    def news(self) -> Iterator[Room | Note]:
        """How many runs there is room for, if that has changed. Raises EngineError if the head has gone."""
        if time.monotonic() - self._last_time > SILENT:
            raise EngineError(f"Ray: the head of the cluster has not answered for {SILENT:g} s")
        nodes = self._nodes
        seats = sum(map(self.share.seats, nodes))
        if not seats and self._seats:
            yield Note(f"Ray: {self.share.lacking(nodes)}; waiting for one")
        if seats != self._seats:
            yield Room(seats)
        self._seats = seats
