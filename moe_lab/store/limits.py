"""How large a file of a run may be: what is larger was not written by moe-lab, and reading it would cost memory."""

from dataclasses import dataclass
from pathlib import Path

from moe_lab.errors import ArtefactError, Place


@dataclass(frozen=True)
class Limit:
    """One bound, by the name that a message gives it."""

    name: str
    most: int
    unit: str

    def check(self, number: int, path: Path, place: Place | None = None) -> None:
        """Raises ArtefactError if a file, or a line of it, has more."""
        if number > self.most:
            holder = "a line" if place else path
            message = (
                f"{holder} has {number:,} {self.unit}; the limit is {self.most:,} ({self.name})"
            )
            raise ArtefactError(message, place=place)


RECORD = Limit("JSON file", 1_000_000, "bytes")
PLAN = Limit("plan of a sweep", 20_000_000, "bytes")  # 10,000 runs with settings of 2 kB
DEPTH = Limit("JSON depth", 20, "levels of nesting")
EVENTS = Limit("events", 10_000_000, "bytes")
EVENT_LINES = Limit("lines of events", 100_000, "lines")
LOG = Limit("log", 100_000_000, "bytes")
TABLE = Limit("table", 1_000_000_000, "bytes")
STREAMED = Limit("table", 1_000_000_000_000, "bytes")  # read in pieces, never whole
ROWS = Limit("table rows", 10_000_000, "rows")
COLUMNS = Limit("table columns", 10_000, "columns")
LINE = Limit("table line", 64_000, "bytes")
TENSORS = Limit("tensors of a checkpoint", 100_000_000_000, "bytes")
TENSOR_HEADER = Limit("header of tensors", 10_000_000, "bytes")
TENSOR_COUNT = Limit("tensors", 100_000, "tensors")
ARRAYS = Limit("arrays of an evaluation", 2_000_000_000, "bytes")
UNPACKED = Limit("arrays, unpacked", 2_000_000_000, "bytes")
CHOICES = Limit("choices of a layer, unpacked", 40_000_000, "bytes")  # three are held at a time
MEMBERS = Limit("arrays", 10_000, "arrays")
ENTRIES = Limit("folder", 100_000, "entries")
