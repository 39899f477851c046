"""Event files of TensorBoard, a folder per run: a curve per column, `cv/train/layer_0/cv`, and the settings as text.

The fast loader of TensorBoard, its default, shows nothing of a DT_DOUBLE (2.21): a point is a DT_FLOAT, with the very
number of the CSV beside it, in `double_val` of the same tensor. Blank cells are no points. The time of a point is that
of its step, as far as timing.csv knows it.
"""

import shlex
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import chain
from pathlib import Path
from urllib.parse import quote

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_FLOAT, DT_STRING
from tensorboard.plugins.scalar import metadata as scalars
from tensorboard.plugins.text import metadata as texts
from tensorboard.summary.writer.record_writer import RecordWriter

from moe_lab import columns, escape
from moe_lab.config.dump import flow
from moe_lab.export.base import Door, Source, Table
from moe_lab.report.compare import flat

VERSION = "brain.Event:2"  # of the file format
SETTINGS = "run/settings"  # tag of the text
SCALAR = scalars.create_summary_metadata(display_name="", description="")
PLACE = columns.names(columns.PLACE)


class Tensorboard(Door):
    """RUN/events.out.tfevents.…; what a name has beside letters, digits and ._-~ is percent-encoded in its folder's."""

    package = "tensorboard"

    def add(self, source: Source) -> None:
        """Write the event file of a run."""
        clock = _Clock(source)
        tables = source.tables  # all are checked before a byte is written
        folder = self.folder / quote(source.name)
        self._disk.make_folder(folder)
        name = f"events.out.tfevents.{clock.start:010.0f}.moe-lab"
        with self._disk.stream(folder / name) as file:
            records = RecordWriter(file)
            points = (event for table in tables for event in _events(table, clock))
            for event in chain(_opening(source, clock.start), points):
                records.write(event.SerializeToString())

    @staticmethod
    def hint(folder: Path) -> str:
        """How it is opened."""
        return f"tensorboard --logdir {shlex.quote(str(folder))}"


class _Clock:
    """When the steps of a run were made, in seconds since 1970."""

    def __init__(self, source: Source):
        self.start = datetime.fromisoformat(source.run.record["created"]).timestamp()
        timing = next(table for table in source.tables if table.name == "timing")
        known = [cells for cells in timing.cells() if cells["elapsed_s"] not in ("", "nan")]
        self._steps = [int(cells["step"]) for cells in known]
        self._elapsed = [float(cells["elapsed_s"]) for cells in known]

    def at(self, step: int) -> float:
        """The time of the last step up to this one that is known, else of the beginning."""
        index = bisect_right(self._steps, step)
        return self.start + (self._elapsed[index - 1] if index else 0.0)


def _opening(source: Source, time: float) -> Iterator[Event]:
    """What an event file begins with, and the settings of its run."""
    yield Event(wall_time=time, file_version=VERSION)
    text = TensorProto(dtype=DT_STRING, string_val=(_settings(source).encode(),))
    described = texts.create_summary_metadata(display_name="", description="")
    value = Summary.Value(tag=SETTINGS, metadata=described, tensor=text)
    yield Event(wall_time=time, summary=Summary(value=(value,)))


def _events(table: Table, clock: _Clock) -> Iterator[Event]:
    """An event per row that has a number; the first point of a tag says what the tag is."""
    described: set[str] = set()
    measured = [name for name in table.header if name not in PLACE]
    for cells in table.cells():
        prefix, step = _prefix(table.name, cells), int(cells["step"])
        points = {f"{prefix}/{name}": cells[name] for name in measured if cells[name]}
        values = [
            Summary.Value(
                tag=tag,
                metadata=None if tag in described else SCALAR,
                tensor=_tensor(float(cell)),
            )
            for tag, cell in points.items()
        ]
        described.update(points)
        if values:
            yield Event(wall_time=clock.at(step), step=step, summary=Summary(value=values))


def _tensor(value: float) -> TensorProto:
    return TensorProto(dtype=DT_FLOAT, float_val=(value,), double_val=(value,))


def _prefix(table: str, cells: Mapping[str, str]) -> str:
    """`cv/train/layer_0`: the table, and the place of a row in it."""
    split = [cells["split"]] if "split" in cells else []
    layer = [f"layer_{cells['layer']}"] if "layer" in cells else []
    return "/".join([table, *split, *layer])


def _settings(source: Source) -> str:
    """Every setting on a line, as a block of code in Markdown: in it nothing is markup."""
    lines = (f"{key}: {flow(value)}" for key, value in flat(source.run.config))
    return "".join(f"    {escape.line(line)}\n" for line in lines)
