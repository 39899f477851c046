"""What a door is: a form in which other tools read runs; and what goes through: tables, checked and as written."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, ClassVar, Self

from moe_lab.report import runs
from moe_lab.store import layout, table_reading
from moe_lab.store.disk import Disk
from moe_lab.store.read import StoredRun

LATER = ("router",)  # tables that early versions did not write


@dataclass(frozen=True)
class Table:
    """The rows that one table of a run had when it was checked; what is appended later is no part of it."""

    name: str
    path: Path
    header: tuple[str, ...]
    rows: int

    def lines(self) -> Iterator[bytes]:
        """Each row without its newline."""
        return islice(table_reading.lines(self.path), 1, self.rows + 1)

    def cells(self) -> Iterator[dict[str, str]]:
        """Each row's cells by column, as they were written: numbers, `train` and `eval`, blanks."""
        for line in self.lines():
            yield dict(zip(self.header, line.decode().split(","), strict=True))


@dataclass(frozen=True)
class Source:
    """A run on its way through a door."""

    name: str  # unique among those that are exported together
    run: StoredRun
    settings: Mapping[str, Any]  # of a run of a sweep: what is swept, by dotted path, and the seed

    @cached_property
    def headers(self) -> dict[str, tuple[str, ...]]:
        """The columns of each table that the run has. Raises ArtefactError."""
        return {
            name: tuple(table_reading.read_header(layout.table(self.run.directory, name)))
            for name in layout.TABLES
            if name not in LATER or self.run.has_table(name)
        }

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        """Every table, to its last whole row. Raises ArtefactError if one is damaged."""
        return tuple(
            Table(
                name=name,
                path=layout.table(self.run.directory, name),
                header=header,
                rows=len(runs.read(self.run, name)),
            )
            for name, header in self.headers.items()
        )


class Door(ABC):
    """Writes runs in one form into a new folder, which it has for itself.

    A subclass is a file of this folder; its name is what `--to` takes, and the extra that installs its package.
    """

    package: ClassVar[str | None] = None  # that its file imports; the core has no use for it

    def __init__(self, disk: Disk, folder: Path, sources: Sequence[Source]):
        """Opens what all of the runs have in common."""
        self.folder = folder
        self._disk = disk
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.__exit__(kind, error, trace)

    @abstractmethod
    def add(self, source: Source) -> None:
        """Write one of the runs. Raises StorageError; and ArtefactError, with nothing of it written."""

    @staticmethod
    @abstractmethod
    def hint(folder: Path) -> str:
        """What a person does next with the folder, on one line."""

    def _file(self, name: str) -> BinaryIO:
        """A new file, open until the door is closed."""
        return self._open.enter_context(self._disk.stream(self.folder / name))
