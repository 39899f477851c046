"""The page of a sweep: its points over seeds, and its runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from moe_lab import sweep_columns
from moe_lab.errors import ArtefactError
from moe_lab.figures import gallery
from moe_lab.page import definitions, provenance, settings, troubles, verdicts
from moe_lab.page.page import Command, Page
from moe_lab.page.tables import Choice, Table, table
from moe_lab.page.troubles import Trouble
from moe_lab.report import sweep_pages
from moe_lab.report.pages import MAIN, Note, Sheet
from moe_lab.report.render import cell
from moe_lab.report.sweep_pages import setting, short_names
from moe_lab.report.sweeps import Analysis, Row
from moe_lab.statistics import FEW
from moe_lab.store.read import read_record
from moe_lab.store.sweep import FAILURES, StoredSweep
from moe_lab.sweep_frames import SweepFrames


def page(directory: Path, *, margin: float, times: bool) -> Page:
    """Of one sweep. Raises ArtefactError if its plan is damaged."""
    frames, stored = SweepFrames(directory, margin=margin), StoredSweep(directory)
    found = frames.analysis
    heading, _, key, *rest = sweep_pages.parts(found, with_times=times)
    assert isinstance(heading, Note)
    assert isinstance(key, Sheet)
    unfinished = list(sweep_pages.unfinished(found.runs))
    rest = [part for part in rest if part not in unfinished]
    notes = [part.text for part in rest if isinstance(part, Note)]
    sentences = notes.pop(0).split("\n") if found.thresholds else []
    records = list(_records(stored))
    base = stored.base.config.model_dump()
    return Page(
        title=found.name,
        badges=tuple(verdicts.badges([run.outcomes["verdict"] for run in found.runs])),
        state=heading.text.removeprefix(f"{found.name}: "),
        facts=(*sweep_pages.shared(found.facts).items(), *provenance.facts(records)),
        verdict=tuple(_verdict(found, sentences)),
        evidence=("Where collapse ends", tuple(f"{text}." for text in sentences)),
        key=_points(found, key),
        notes=(sweep_pages.UNITS[found.loss], *notes),
        runs=_runs(found),
        walls=tuple(gallery.of_sweep(frames)),
        settings=(_asked(found, base),),
        everything=(table("all", settings.everything(base), title="Every setting of the base"),),
        numbers=tuple(
            table(f"numbers-{n}", part)
            for n, part in enumerate(part for part in rest if isinstance(part, Sheet))
        ),
        troubles=tuple(_troubles(found, directory)),
        definitions=tuple(
            definitions.groups(found.keys, sweep_columns.points((), found.loss, with_times=times))
        ),
        commands=tuple(_commands(found, records)),
    )


def _records(sweep: StoredSweep) -> Iterator[dict[str, Any]]:
    """run.json of every run that has one which can be read."""
    for run in sweep.runs():
        try:
            yield read_record(sweep.run_directory(run))
        except ArtefactError:
            continue


def _verdict(found: Analysis, sentences: list[str]) -> Iterator[str]:
    """How many runs collapsed, where collapse ends, and which point is best."""
    finished = [run.outcomes["verdict"] for run in found.runs if run.state == "finished"]
    yield verdicts.counted(finished) or "No run has finished yet."
    if sentences:
        yield f"{sentences[0][:1].upper()}{sentences[0][1:]}."
    if best := next((row for row in found.points if row.best), None):
        yield f"Lowest mean {found.loss}: {best.loss}, at {_place(found, best)}."


def _place(found: Analysis, row: Row) -> str:
    names = short_names(found.keys)
    return ", ".join(f"{names[k]} {cell(setting(k, v))}" for k, v in row.settings.items())


def _points(found: Analysis, sheet: Sheet) -> Table:
    """The table of the report; its rows highlight points."""
    choices = [Choice(row.point) for row in found.points]
    return table("key", sheet, title="Points", choices=choices, is_sortable=True)


def _runs(found: Analysis) -> Table:
    """Every planned run; those that have finished can be highlighted."""
    names = short_names(found.keys)
    places = {row.point: place for place, row in enumerate(found.points)}
    runs = sorted(found.runs, key=lambda run: (places.get(run.point, len(places)), run.seed))
    rows = (
        (
            run.name,
            *(setting(key, run.settings[key]) for key in names),
            *(run.seed, run.state),
            *(run.outcomes[name] for name in MAIN),
        )
        for run in runs
    )
    choices = [Choice(run.point, run.name) if run.state == "finished" else None for run in runs]
    sheet = Sheet(("run", *names.values(), "seed", "state", *MAIN), tuple(rows))
    return table("runs", sheet, title="Runs", choices=choices, is_sortable=True)


def _asked(found: Analysis, base: dict[str, Any]) -> Table:
    swept = {
        key: ", ".join(dict.fromkeys(cell(setting(key, row.settings[key])) for row in found.points))
        for key in found.keys
    }
    sheet = settings.chosen(base, swept)
    return table("chosen", sheet, title="Settings that are swept, or not at their default")


def _troubles(found: Analysis, directory: Path) -> Iterator[Trouble]:
    for run in found.runs:
        if run.state in FAILURES:
            yield troubles.failed(run.name, run.state, run.error, directory / run.name)
    going = [run for run in found.runs if run.state not in FAILURES]
    yield from (Trouble(note.text) for note in sweep_pages.unfinished(going))
    if (n := len(found.seeds)) < FEW:
        yield Trouble(
            f"{n} {'seed' if n == 1 else 'seeds'} at each point: fewer than {FEW} say little."
        )


def _commands(found: Analysis, records: list[dict[str, Any]]) -> Iterator[Command]:
    typed = dict.fromkeys(provenance.command(record) for record in records)
    yield from (Command(f"made runs of {found.name}", text) for text in typed)
    yield Command("makes this page", f"moe-lab report {found.name} --html")
