"""What went wrong with runs, or is not over: the reason, and the last lines of the log."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from moe_lab.errors import ArtefactError
from moe_lab.page.provenance import without_folders
from moe_lab.store import files, layout, limits
from moe_lab.store.read import StoredRun
from moe_lab.store.sweep import FAILURES

TAIL = 12  # lines of a log


@dataclass(frozen=True)
class Trouble:
    """One thing that a reader of the page should know."""

    text: str
    log: str = ""


def of_run(run: StoredRun) -> Iterator[Trouble]:
    """Of a run that did not end well, or came out otherwise when steps were made again; nothing of a good one."""
    status = run.status
    if run.state in FAILURES:
        reason = without_folders(str(status.get("reason", "no reason was left")))
        yield Trouble(f"{run.name} {run.state}: {_first(reason)}", tail(run.directory))
    elif run.state != "finished":
        yield Trouble(f"{run.name} is {run.state}: this page shows it as far as it is.")
    if tables := sorted({str(e.get("table")) for e in run.events if e["kind"] == "nondeterminism"}):
        yield Trouble(
            f"{run.name}: steps that were made again came out otherwise ({', '.join(tables)})."
        )


def failed(name: str, state: str, error: str | None, directory: Path) -> Trouble:
    """A run of a sweep that failed."""
    reason = _first(without_folders(error or "no reason was left"))
    return Trouble(f"{name} {state}: {reason}", tail(directory))


def tail(directory: Path) -> str:
    """The last lines of a run's log; empty without one, the reason if it cannot be read."""
    path = directory / layout.LOG
    if not path.exists():
        return ""
    try:
        text = files.read_regular(path, limits.LOG).decode(errors="replace")
    except ArtefactError as error:
        text = str(error)
    return without_folders("\n".join(text.splitlines()[-TAIL:]))


def _first(text: str) -> str:
    return next(iter(text.splitlines()), "")
