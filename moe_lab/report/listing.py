"""The runs and sweeps of a folder at a glance: a run is read from three small files and the end of a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from moe_lab import escape
from moe_lab.errors import ArtefactError, ConfigError
from moe_lab.metrics import GRAVITY
from moe_lab.report.pages import Note, Part, Sheet
from moe_lab.report.runs import open_run
from moe_lab.store import files, layout
from moe_lab.store.read import StoredRun
from moe_lab.store.sweep import FAILURES, StoredSweep, is_sweep
from moe_lab.store.table_reading import last_numbers

HEADER = ("run", "state", "steps", "verdict", "lm_loss", "gap", "age")
UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True)
class Entry:
    """One folder; with a reason it is none of ours, or damaged."""

    name: str
    state: str | None = None
    step: int | None = None  # of the last checkpoint
    steps: int | None = None
    verdict: str | None = None  # the gravest of its layers; known once the run has finished
    lm_loss: float | None = None  # of the last evaluation, as is gap
    gap: float | None = None
    created: str = ""  # ISO 8601, UTC
    counted: str = "steps"  # of a sweep: runs
    reason: str | None = None


def entries(runs_dir: Path) -> list[Entry]:
    """The folders of a folder, newest run first; hidden names are left out. Raises ConfigError if there is none."""
    try:
        beside = [path for path in files.entries(runs_dir) if not path.name.startswith(".")]
    except OSError as error:
        raise ConfigError(
            f"cannot list {runs_dir}: {error.strerror}",
            help="train a run first, or name the folder: moe-lab ls DIR",
        ) from error
    found = [_entry(path) for path in beside if path.is_dir()]
    return sorted(found, key=lambda entry: entry.created, reverse=True)


def parts(found: Sequence[Entry], now: datetime) -> list[Part]:
    """The list as a table; folders that could not be read stand below it."""
    rows = tuple(_row(entry, now) for entry in found if not entry.reason)
    unread = [escape.line(f"{entry.name}: {entry.reason}") for entry in found if entry.reason]
    sheet: list[Part] = [Sheet(HEADER, rows)] if rows else [Note("no runs")]
    return [*sheet, *([Note("not listed:\n" + "\n".join(unread))] if unread else [])]


def _entry(directory: Path) -> Entry:
    try:
        return _sweep(StoredSweep(directory)) if is_sweep(directory) else _read(open_run(directory))
    except ArtefactError as error:
        return Entry(directory.name, reason=str(error))


def _read(run: StoredRun) -> Entry:
    status, summary = run.status, run.summary or {}
    verdicts = [layer["verdict"] for layer in summary.get("layers", {}).values()]
    last = run.outcomes or last_numbers(layout.table(run.directory, "eval"), ("lm_loss", "gap"))
    return Entry(
        name=run.name,
        state=run.state,
        step=status["step"],
        steps=run.steps,
        verdict=max(verdicts, key=GRAVITY.index, default=None),
        lm_loss=last.get("lm_loss"),
        gap=last.get("gap"),
        created=run.record["created"],
    )


def _sweep(sweep: StoredSweep) -> Entry:
    states = [found.state for found in sweep.states().values()]
    finished, failed = states.count("finished"), sum(states.count(state) for state in FAILURES)
    over = f"{failed} failed" if failed else "finished"
    return Entry(
        name=sweep.name,
        state=over if finished + failed == len(states) else "unfinished",
        step=finished,
        steps=len(states),
        created=sweep.created,
        counted="runs",
    )


def _row(entry: Entry, now: datetime) -> tuple[object, ...]:
    age = _age((now - datetime.fromisoformat(entry.created)).total_seconds())
    steps = f"{entry.step}" + (f"/{entry.steps}" if entry.steps else "")
    steps += " runs" if entry.counted == "runs" else ""
    return entry.name, entry.state, steps, entry.verdict, entry.lm_loss, entry.gap, age


def _age(seconds: float) -> str:
    """In the largest unit of which there is one."""
    whole = next(((size, unit) for size, unit in UNITS if seconds >= size), UNITS[-1])
    return f"{seconds / whole[0]:.0f} {whole[1]}"
