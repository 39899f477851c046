"""The processes that make one run together, as torchrun starts them; the first of them writes.

They tell each other sums, small numbers and bytes, and nothing that is pickled. A process on its own is ALONE: the same
calls do nothing, and torch.distributed is not imported.
"""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from moe_lab.errors import EngineError, MoeLabError

if TYPE_CHECKING:
    from torch import Tensor

PATIENCE = timedelta(minutes=10)  # with a rank that is silent; one that dies is noticed at once


class OtherRankError(MoeLabError):
    """What another rank has refused: this one ends with the same words and exit code."""

    def __init__(self, rank: int, words: str, exit_code: int):
        super().__init__(f"on rank {rank}: {words.removeprefix('error: ')}")
        self.exit_code = exit_code


@dataclass(frozen=True)
class Ranks:
    """One of world_size processes. All make the same calls of `sum`, `gather`, … in the same order.

    These raise EngineError where another rank has gone.
    """

    rank: int
    world_size: int
    local_rank: int | None = None  # among those of one machine: the number of its GPU

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes and speaks."""
        return self.rank == 0

    def share(self, n: int) -> slice:
        """Which of n things in a row are this rank's: as many as another's, or one more or less."""
        return slice(self.rank * n // self.world_size, (self.rank + 1) * n // self.world_size)

    def sum(self, *tensors: "Tensor") -> None:
        """Replace tensors of one type and device by their sums over ranks, in one communication."""
        if self.world_size == 1 or not tensors:
            return
        import torch
        from torch import distributed

        flat = torch.cat([tensor.flatten() for tensor in tensors])
        with self._talking():
            distributed.all_reduce(flat)
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def gather(self, number: int) -> list[int]:
        """The number of each rank. None leaves before all have come."""
        if self.world_size == 1:
            return [number]
        import torch

        numbers = torch.zeros(self.world_size, dtype=torch.int64)
        numbers[self.rank] = number
        self.sum(numbers)
        return [int(found) for found in numbers]

    def broadcast(self, data: bytes, *, source: int = 0) -> bytes:
        """What the rank `source` gives; what others give is not looked at."""
        length = self.gather(len(data))[source]
        if self.world_size == 1 or not length:
            return data if self.rank == source else b""
        import torch
        from torch import distributed

        mine = bytearray(data if self.rank == source else length)
        with self._talking():
            distributed.broadcast(torch.frombuffer(mine, dtype=torch.uint8), src=source)
        return bytes(mine)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What one rank raises in the block, all raise at its end: the others as OtherRankError."""
        raised: Exception | None = None
        try:
            yield
        except Exception as error:
            if self.world_size == 1:
                raise
            raised = error
        codes = self.gather(0 if raised is None else getattr(raised, "exit_code", 1))
        refusing = [rank for rank, code in enumerate(codes) if code]
        if not refusing:
            return
        words = raised.render() if isinstance(raised, MoeLabError) else repr(raised)
        said = self.broadcast(words.encode(), source=refusing[0]).decode()
        if raised is not None and self.rank == refusing[0]:
            raise raised
        raise OtherRankError(refusing[0], said, codes[refusing[0]]) from raised

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """Turns what torch.distributed raises into an error for a person."""
        try:
            yield
        except (RuntimeError, ValueError) as error:
            reason = re.sub(r"^\[\S+\] ", "", str(error)).partition(". ")[
                0
            ]  # without a source line
            raise EngineError(f"cannot reach the other ranks: {reason}") from error


ALONE = Ranks(0, 1)


def launched() -> bool:
    """Whether torchrun, or what sets its variables, started this process as one of several."""
    return "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def here() -> Ranks:
    """The ranks by the environment, without a word to the others."""
    if not launched():
        return ALONE
    rank, world_size, local_rank = (
        int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    )
    return Ranks(rank, world_size, local_rank)


def spoken(text: str) -> str:
    """A message as this process prints it: the first rank whole, another one as a line with its number."""
    ranks = here()
    return text if ranks.first else f"rank {ranks.rank}: {text.partition(chr(10))[0]}"


@contextmanager
def joined() -> Iterator[Ranks]:
    """The ranks, which can talk to each other within the block. Raises EngineError if they do not find each other."""
    ranks = here()
    if ranks.world_size == 1:
        yield ranks
        return
    from torch import cuda, distributed

    with ranks._talking():
        backend = "cpu:gloo,cuda:nccl" if cuda.is_available() else "gloo"
        distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield ranks
    finally:
        # torchrun ends the others when one has ended: this one is ending too, and has yet to say why
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        distributed.destroy_process_group()
