"""What a run takes of a Ray cluster, and how many runs its nodes have room for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Node = Mapping[str, float]  # what one has in all, as Ray counts it: CPU, GPU and others


@dataclass(frozen=True)
class Share:
    """What Ray sets aside for a run."""

    cpus: int
    per_gpu: int = 0  # runs that share a GPU; 0: it needs none

    @classmethod
    def of(cls, threads: int, device: str, per_gpu: int, nodes: Sequence[Node]) -> "Share":
        """A CPU for each thread; and of a GPU, if device is cuda, or auto and a node has one."""
        gpus = device == "cuda" or (device == "auto" and any(node.get("GPU") for node in nodes))
        return cls(threads, per_gpu if gpus else 0)

    @property
    def gpus(self) -> float:
        """How much of a GPU."""
        return 1 / self.per_gpu if self.per_gpu else 0.0

    def seats(self, node: Node) -> int:
        """How many runs a node has room for while nobody else uses it."""
        cpus = int(node.get("CPU", 0)) // self.cpus
        return min(cpus, int(node.get("GPU", 0)) * self.per_gpu) if self.per_gpu else cpus

    def lacking(self, nodes: Sequence[Node]) -> str:
        """What to tell where no node has room for a run: what that asks for, and what there is."""
        most = max(nodes, key=lambda node: (node.get("GPU", 0), node.get("CPU", 0)), default={})
        asked = _amounts(self.cpus, self.gpus)
        there = _amounts(most.get("CPU", 0), most.get("GPU", 0))
        return f"no node has room for a run, which asks for {asked}: the largest of {len(nodes)} has {there}"


def _amounts(cpus: float, gpus: float) -> str:
    return f"{cpus:g} CPU" + (f" and {gpus:.3g} GPU" if gpus else "")
