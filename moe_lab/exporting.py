"""From folders of runs through a door: which runs there are, what they are called, and where the result lies."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from moe_lab import escape
from moe_lab.errors import ArtefactError, ConfigError
from moe_lab.export.base import Door, Source
from moe_lab.registry import EXPORTS
from moe_lab.report.runs import open_run
from moe_lab.store import layout
from moe_lab.store.disk import DISK, Disk
from moe_lab.store.events import now
from moe_lab.store.exports import export_folder, finish, refuse_other
from moe_lab.store.read import StoredRun
from moe_lab.store.sweep import StoredSweep, only_sweep


@dataclass
class Exported:
    """What was written, and what was not."""

    folder: Path
    hint: str  # what to do with it
    runs: list[dict[str, Any]] = field(default_factory=list)  # name, id, state and rows of each
    rows: dict[str, int] = field(default_factory=dict)  # by table
    left_out: dict[str, str] = field(default_factory=dict)  # damaged runs of a sweep: why
    to_come: int = 0  # runs of a sweep that have not begun

    def count(self, source: Source) -> None:
        """Notes a run that was written."""
        rows = {table.name: table.rows for table in source.tables}
        self.rows |= {name: self.rows.get(name, 0) + number for name, number in rows.items()}
        about = {"id": source.run.record["id"], "state": source.run.state}
        self.runs.append({"name": source.name, **about, "rows": sum(rows.values())})

    @contextmanager
    def noting(self, name: str) -> Iterator[None]:
        """Notes a run that is damaged, instead of raising ArtefactError."""
        try:
            yield
        except ArtefactError as error:
            self.left_out[name] = str(error)


def export(
    directories: Sequence[Path], to: str, out: Path | None = None, *, disk: Disk = DISK
) -> Exported:
    """Writes one run, several, or those of a sweep that can be read, as far as they are, in one of the EXPORTS.

    out: the folder to write; by default `export/TO` in the only directory. An older export there is replaced.
    Raises ConfigError, before anything is read, if a package is missing, out is needed or holds something else;
    ArtefactError for what is no run, is damaged, or a sweep without a run that can be read; StorageError.
    """
    form = to.replace("-", "_")
    _require(form)
    target = out or _default(directories, to)
    refuse_other(target)
    door: type[Door] = EXPORTS.load(form)
    done = Exported(target, door.hint(target))
    sweep = only_sweep(directories)
    sources = _of_sweep(StoredSweep(sweep), done) if sweep else _of_runs(directories)
    if not sources:
        raise _nothing(directories[0], done)
    with export_folder(disk, target) as folder:
        with door(disk, folder, sources) as opened:
            for source in sources:
                with done.noting(source.name) if sweep else nullcontext():
                    opened.add(source)
                    done.count(source)
        if not done.runs:
            raise _nothing(directories[0], done)
        about = {"to": to, "created": now()}
        finish(disk, folder, {**about, "rows": done.rows, "runs": done.runs})
    return done


def _nothing(sweep: Path, done: Exported) -> ArtefactError:
    reasons = list(done.left_out.values()) or ["none has begun"]
    return ArtefactError(f"{sweep} has no run that can be read: {reasons[0]}")


def _require(form: str) -> None:
    """Raises ConfigError if the package of a door is missing; nothing is imported."""
    package = EXPORTS.fact(form, "package")
    if package and find_spec(package) is None:
        remedy = f"pip install 'moe-lab[{form}]'"
        raise ConfigError(f"--to {form} needs the package {package}", help=remedy)


def _default(directories: Sequence[Path], to: str) -> Path:
    """In the only directory. Raises ConfigError if there are several, or if it leads elsewhere."""
    if len(directories) > 1:
        raise ConfigError("an export of several runs needs a place", help="name it: --out FOLDER")
    folder = directories[0] / layout.EXPORTS
    if folder.is_symlink():
        raise ConfigError(f"{folder} is a link", help="name the place: --out FOLDER")
    return folder / to


def _of_runs(directories: Sequence[Path]) -> list[Source]:
    """Runs by their folders' names; where two are alike, by their paths below the folder that has all."""
    real = {Path(os.path.realpath(directory)): directory for directory in directories}
    names = [path.name for path in real]
    if len(set(names)) < len(names):
        common = os.path.commonpath([path.parent for path in real])
        names = [str(path.relative_to(common)) for path in real]
    return [_source(name, open_run(run)) for name, run in zip(names, real.values(), strict=True)]


def _of_sweep(sweep: StoredSweep, done: Exported) -> list[Source]:
    """The runs that have begun and are what was planned; the others are noted."""
    found = []
    for planned in sweep.runs():
        directory = sweep.run_directory(planned)
        if not os.path.lexists(directory):
            done.to_come += 1
            continue
        with done.noting(planned.name):
            run = open_run(directory)
            sweep.check_settings(planned, run)
            settings = {**planned.point.settings, "seed": planned.seed}
            found.append(_source(planned.name, run, settings))
    return found


def _source(name: str, run: StoredRun, settings: Mapping[str, Any] | None = None) -> Source:
    """A run whose tables can be opened. Raises ArtefactError."""
    source = Source(escape.line(name), run, settings or {})
    _ = source.headers
    return source
