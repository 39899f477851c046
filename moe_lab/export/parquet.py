"""Parquet, a file per table and a row group per run: the columns of the CSV after those that tell the runs apart.

Whole numbers are int64, measurements float64; a blank is null, which is not NaN. The metadata of a field are its unit,
meaning and better direction.
utilization.csv is in long form, a row per expert: loads.parquet.
"""

import io
import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from moe_lab import columns, sweep_columns
from moe_lab.columns import Column
from moe_lab.errors import ArtefactError
from moe_lab.export.base import Door, Source, Table
from moe_lab.frames import declarations
from moe_lab.store.disk import Disk

WIDE, LONG = "utilization", "loads"  # the table with a column per expert, and its long form
PLACE = columns.names(columns.PLACE)
KINDS = ((pa.bool_(), {bool}), (pa.int64(), {int}), (pa.float64(), {int, float}))  # of settings


class Parquet(Door):
    """steps, loads, cv, aux_loss, eval, router and timing, each with `.parquet`."""

    package = "pyarrow"

    def __init__(self, disk: Disk, folder: Path, sources: Sequence[Source]):
        super().__init__(disk, folder, sources)
        self._writers = {
            name: self._open.enter_context(
                parquet.ParquetWriter(self._file(f"{name}.parquet"), schema, compression="zstd")
            )
            for name, schema in _schemas(sources).items()
        }

    def add(self, source: Source) -> None:
        """Write a row group of each file."""
        read = {table.name: _read(table) for table in source.tables}  # all, before any is written
        read[LONG] = _long(read.pop(WIDE))
        for name, found in read.items():
            table = _under(self._writers[name].schema, found, source)
            self._writers[name].write_table(table, row_group_size=max(1, len(table)))

    @staticmethod
    def hint(folder: Path) -> str:
        """How pandas reads it."""
        return f"pd.read_parquet({str(folder / 'cv.parquet')!r})"


def _schemas(sources: Sequence[Source]) -> dict[str, pa.Schema]:
    """Of every file: what tells the runs apart, then the columns that any of them has."""
    keys = dict.fromkeys(key for source in sources for key in source.settings)
    kinds = {key: _kind([source.settings[key] for source in sources]) for key in keys}
    swept = tuple(key for key in keys if key != "seed")
    own = [
        _field(column, kinds.get(column.name, pa.string()))
        for column in sweep_columns.runs(swept)
        if column.name in ("run", *keys)
    ]
    fields: dict[str, dict[str, pa.Field]] = {}
    for source in sources:
        for name, column in _columns(source):
            fields.setdefault(name, {}).setdefault(column.name, _field(column, _type(column.name)))
    return {name: pa.schema([*own, *found.values()]) for name, found in fields.items()}


def _columns(source: Source) -> Iterator[tuple[str, Column]]:
    """The file and the declaration of each column of a run."""
    known = declarations(source.run, source.headers["aux_loss"])
    for name, header in source.headers.items():
        described = {column.name: column for column in known[name]}
        if name == WIDE:
            yield from ((LONG, column) for column in columns.LOADS)
        else:
            yield from ((name, described.get(word, Column(word, "", ""))) for word in header)


def _field(column: Column, kind: pa.DataType) -> pa.Field:
    said = {word: getattr(column, word) for word in ("unit", "meaning", "better")}
    return pa.field(column.name, kind, metadata=said)


def _type(column: str) -> pa.DataType:
    if column == "split":
        return pa.string()
    return pa.int64() if column in columns.INTEGERS else pa.float64()


def _kind(values: Collection[Any]) -> pa.DataType:
    """The narrowest type that has all values of a setting; of a mixture, or of lists, it is their text."""
    types = {type(value) for value in values if value is not None}
    return next((kind for kind, those in KINDS if types and types <= those), pa.string())


def _read(table: Table) -> pa.Table:
    """A table with its types. Raises ArtefactError for a cell that is not of its column's."""
    text = b"\n".join([",".join(table.header).encode(), *table.lines(), b""])
    types = {name: _type(name) for name in table.header}
    try:
        blank = csv.ConvertOptions(column_types=types, null_values=[""])
        return csv.read_csv(io.BytesIO(text), convert_options=blank)
    except pa.ArrowInvalid as error:
        raise ArtefactError(f"{table.path} is corrupt: {error}") from error


def _long(wide: pa.Table) -> pa.Table:
    """A row per expert, in the order of the rows and then of the experts."""
    experts = [name for name in wide.column_names if name not in PLACE]
    loads = np.array([wide[name].to_numpy() for name in experts]).T.ravel()
    place = wide.select(list(PLACE)).take(np.repeat(np.arange(len(wide)), len(experts)))
    numbers = np.tile(np.arange(len(experts)), len(wide))
    return place.append_column("expert", pa.array(numbers)).append_column("load", pa.array(loads))


def _under(schema: pa.Schema, found: pa.Table, source: Source) -> pa.Table:
    """The columns of a file: what a run has not is null."""
    own = {"run": source.name, **source.settings}
    return pa.Table.from_arrays(
        [
            found[field.name]
            if field.name in found.column_names
            else pa.repeat(_scalar(own.get(field.name), field.type), len(found))
            for field in schema
        ],
        schema=schema,
    )


def _scalar(value: Any, kind: pa.DataType) -> pa.Scalar:
    """A setting; as text it is its JSON, unless it is text."""
    is_text = kind != pa.string() or value is None or isinstance(value, str)
    return pa.scalar(value if is_text else json.dumps(value), kind)
