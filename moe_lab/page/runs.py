"""The page of one run, or of several beside each other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from moe_lab.figures import gallery
from moe_lab.figures.subject import Subject
from moe_lab.frames import load_run
from moe_lab.page import definitions, provenance, settings, troubles, verdicts
from moe_lab.page.page import Command, Page
from moe_lab.page.tables import Choice, Table, table
from moe_lab.page.troubles import Trouble
from moe_lab.report import compare, pages, replicates
from moe_lab.report.outcomes import SHOWN, Glance, glances
from moe_lab.report.pages import MAIN, ONE_RUN, READING, Sheet
from moe_lab.report.summary import summarize_all
from moe_lab.report.sweep_pages import setting
from moe_lab.store import layout
from moe_lab.store.read import StoredRun

LAYER = (
    *("layer", "verdict", "n_eff_start", "n_eff_lowest", "n_eff", "collapsed_since"),
    *("cv", "max_violation", "dead_experts", "dropped"),
)


def page(directories: Sequence[Path]) -> Page:
    """Of one run, or several. Raises ArtefactError for what is none, or damaged."""
    return _one(directories[0]) if len(directories) == 1 else _several(directories)


def _one(directory: Path) -> Page:
    (summary,) = summarize_all([directory])
    stored = StoredRun(directory)
    asked = settings.chosen(summary["config"])
    return Page(
        title=summary["name"],
        badges=tuple(verdicts.badges([summary["verdict"]])),
        state=_state(summary["state"], summary["step"], summary["steps"]),
        facts=(*_asked(summary["config"]), *provenance.facts([stored.record])),
        verdict=tuple(_verdict(summary)),
        evidence=(
            "The course of every layer",
            tuple(_sentence(course["sentence"]) for course in summary["evidence"]),
        ),
        key=_layers(summary),
        notes=(READING,),
        runs=None,
        walls=tuple(gallery.of_run(Subject.of(load_run(directory)))),
        settings=(table("chosen", asked, title="Settings that are not at their default"),),
        everything=(_everything(summary["name"], summary["config"]),),
        numbers=tuple(_numbers(pages.one(summary))),
        troubles=(*troubles.of_run(stored), Trouble(ONE_RUN)),
        definitions=tuple(definitions.groups([str(row[0]) for row in asked.rows])),
        commands=tuple(_commands(directory, stored)),
    )


def _several(directories: Sequence[Path]) -> Page:
    found = glances(directories)
    stored = [StoredRun(directory) for directory in directories]
    replicated = replicates.are_replicated(found)
    sheets = [part for part in pages.several(found) if isinstance(part, Sheet)]
    asked = settings.differences(found)
    verdict = [run.outcomes["verdict"] for run in found]
    return Page(
        title=f"{len(found)} runs",
        badges=tuple(verdicts.badges(verdict)),
        state="; ".join(dict.fromkeys(run.state for run in found)),
        facts=tuple(provenance.facts([run.record for run in stored])),
        verdict=(verdicts.counted(verdict),),
        evidence=("", ()),
        key=table("key", sheets[0], title="Over seeds", is_sortable=True) if replicated else None,
        notes=(replicates.READING,) if replicated else (),
        runs=_beside(found),
        walls=tuple(gallery.of_runs([Subject.of(load_run(run.directory)) for run in found])),
        settings=(table("differences", asked, title="Settings in which the runs differ"),),
        everything=tuple(_everything(run.name, run.config) for run in found),
        numbers=() if replicated else tuple(_numbers(sheets[: len(found) <= pages.SIDE_BY_SIDE])),
        troubles=(
            *(trouble for run in stored for trouble in troubles.of_run(run)),
            *(() if replicated else (Trouble(ONE_RUN),)),
        ),
        definitions=tuple(definitions.groups([str(row[0]) for row in asked.rows])),
        commands=tuple(
            Command(f"made {run.name}", provenance.command(run.record)) for run in stored
        ),
    )


def _state(state: str, step: int, steps: int | None) -> str:
    return f"{state}, {step:,} of {steps:,} steps" if steps else f"{state}, {step:,} steps"


def _asked(config: dict[str, Any]) -> list[tuple[str, str]]:
    """The shape of a run in a line; a monitor knows little of it."""
    moe, seed = config["moe"], config["seed"]
    shape = f"{moe['n_experts']} experts, {moe['top_k']} per token"
    levers = [
        f"{k} {setting(k, moe[k])}" for k in ("alpha", "noise", "capacity_factor") if k in moe
    ]
    return [
        ("config", ", ".join([config.get("name", "another program's"), shape, *levers])),
        *([] if seed is None else [("seed", str(seed))]),
    ]


def _verdict(summary: dict[str, Any]) -> list[str]:
    """How many layers have the gravest verdict, and the course of the worst one."""
    courses = summary["evidence"]
    if not courses:
        return ["This model has no experts." if summary["loss"].get("lm_loss") else "No step yet."]
    worst = next((c for c in courses if c["layer"] == summary["worst_layer"]), courses[0])
    if summary["verdict"] is None:
        return [_sentence(worst["sentence"])]
    alike = sum(course["verdict"] == summary["verdict"] for course in courses)
    whole = f"all {alike}" if alike == len(courses) else f"{alike} of {len(courses)}"
    layers = f"{whole} MoE layers" if len(courses) > 1 else "the only MoE layer"
    return [f"{summary['verdict'].capitalize()}: {layers}.", _sentence(worst["sentence"])]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _layers(summary: dict[str, Any]) -> Table | None:
    """The key table of a run: its layers. The floor of cv is that of all of them."""
    floor = summary["floors"].get("cv")
    header = [f"cv (floor {floor:.2g})" if name == "cv" and floor else name for name in LAYER]
    balance = {row["layer"]: row for row in summary["balance"]}
    rows = tuple(_layer(course, balance.get(course["layer"], {})) for course in summary["evidence"])
    return (
        table("key", Sheet(tuple(header), rows), title="Layers", is_sortable=True) if rows else None
    )


def _layer(course: dict[str, Any], balance: dict[str, Any]) -> tuple[Any, ...]:
    since = course["onsets"][-1] if course["verdict"] == "collapsed" else None
    course = {"layer": course["layer"], "verdict": course["verdict"], "n_eff": course["end"]} | {
        **{"n_eff_start": course["start"], "n_eff_lowest": course["lowest"]},
        "collapsed_since": since,
    }
    return tuple(course[name] if name in course else balance.get(name) for name in LAYER)


def _beside(runs: Sequence[Glance]) -> Table:
    """Runs by the settings in which they differ and their main outcomes."""
    asked = compare.differences(runs)
    rows = (
        (
            *(run.name, run.state),
            *(setting(key, values[i]) for key, values in asked.items()),
            *(run.values[name] for name in MAIN),
        )
        for i, run in enumerate(runs)
    )
    sheet = Sheet(("run", "state", *asked, *(SHOWN[name].strip() for name in MAIN)), tuple(rows))
    choices = [Choice(None, run.name) for run in runs]
    return table("runs", sheet, title="Runs", choices=choices, is_sortable=True)


def _numbers(parts: Any) -> list[Table]:
    """Every sheet of a report but what stands elsewhere on the page: of a run, where it comes from."""
    sheets = [part for part in parts if isinstance(part, Sheet)]
    kept = [sheet for sheet in sheets if sheet.header[0] != "provenance"]
    return [table(f"numbers-{n}", sheet) for n, sheet in enumerate(kept, start=1)]


def _everything(name: str, config: dict[str, Any]) -> Table:
    return table(f"all-{name}", settings.everything(config), title=f"Every setting of {name}")


def _commands(directory: Path, stored: StoredRun) -> list[Command]:
    made = Command(f"made {stored.name}", provenance.command(stored.record))
    again = Command(
        "makes it again, by every setting of it",
        f"moe-lab train {stored.name}/{layout.RESOLVED}",
    )
    page = Command("makes this page", f"moe-lab report {stored.name} --html")
    return [made, page] if stored.is_recorded else [made, again, page]
