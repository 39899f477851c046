"""report, check and ls: what reads runs and writes none."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import typer

from moe_lab import escape
from moe_lab.cli import github
from moe_lab.cli.door import app
from moe_lab.cli.options import FAIL_ON, AsJson, RunDirectory, RunsDir, echo_json
from moe_lab.errors import ConfigError

GATE = 3  # exit code


@app.command()
def report(
    directories: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...", help="One run: its summary; several, or a sweep: a comparison."
        ),
    ],
    format: Annotated[
        Literal["table", "md", "csv", "json"],
        typer.Option(
            help="How to print it. csv: one long table of run, section, name, layer, value; "
            "of a sweep, a row per point."
        ),
    ] = "table",
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    all_layers: Annotated[
        bool, typer.Option("--all-layers", help="Show layers that do not fit a terminal, too.")
    ] = False,
    margin: Annotated[
        float,
        typer.Option(
            min=1e-9,
            max=1e9,
            metavar="NATS",
            help="Of a sweep: the smallest difference in loss that matters.",
        ),
    ] = 0.01,
    times: Annotated[
        bool, typer.Option("--times", help="Of a sweep: also how fast its runs were.")
    ] = False,
) -> None:
    """Say what happened in a run, or how several differ; a running one is read as far as it is."""
    from moe_lab.report import render
    from moe_lab.store.sweep import is_sweep

    form = "json" if as_json else format
    if any(map(is_sweep, directories)):
        found = _of_sweep(directories, margin, times)
    else:
        found = _of_runs(directories, everything=form in ("json", "csv"))
    match form:
        case "json":
            echo_json(**found.json())
        case "csv":
            typer.echo(found.csv(), nl=False)
        case "md":
            typer.echo(render.markdown(found.parts), nl=False)
        case "table" if found.alone:
            render.one(found.alone, render.console(), all_layers=all_layers)
        case "table":
            render.show(found.parts, render.console())
    github.summarise(render.markdown(found.parts))


class _Report(NamedTuple):
    """What can be printed of runs or a sweep."""

    parts: list[Any]
    csv: Callable[[], str]
    json: Callable[[], dict[str, Any]]
    alone: Any = (
        None  # the summary of a single run, of whose layers a terminal shows as many as fit
    )


def _of_runs(directories: list[Path], *, everything: bool) -> _Report:
    from moe_lab.report import pages, tidy
    from moe_lab.report.outcomes import Glance, glances
    from moe_lab.report.summary import summarize_all

    alone = len(directories) == 1
    runs = summarize_all(directories) if alone or everything else []
    compared = [Glance.of(run) for run in runs] or glances(directories)
    return _Report(
        parts=list(pages.one(runs[0]) if alone else pages.several(compared)),
        csv=lambda: tidy.to_csv(runs),
        json=lambda: {"runs": runs},
        alone=runs[0] if alone else None,
    )


def _of_sweep(directories: list[Path], margin: float, times: bool) -> _Report:
    from moe_lab.report import sweep_pages, sweep_reading, sweep_tables
    from moe_lab.store.sweep import StoredSweep

    if len(directories) > 1:
        raise ConfigError("a sweep is reported by itself", help="name one sweep, or runs of it")
    found = sweep_reading.read(StoredSweep(directories[0]), margin=margin)
    return _Report(
        parts=list(sweep_pages.parts(found, with_times=times)),
        csv=lambda: sweep_tables.to_csv(found, with_times=times),
        json=lambda: sweep_tables.to_json(found, with_times=times),
    )


@app.command()
def check(
    directory: RunDirectory,
    fail_on: Annotated[list[str], typer.Option(metavar="EXPR", help=FAIL_ON)],
    baseline: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run that `baseline` means in a rule.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hold a run against rules, for CI: exit code 3 if one fails or cannot be decided."""
    from moe_lab.report import gate, rules

    asked = [rules.parse(text) for text in fail_on]
    if baseline is None:
        rules.refuse_baseline(asked, "add --baseline DIR")
    leave_by_gate(gate.check(directory, asked, baseline), as_json=as_json)


@app.command("ls")
def list_runs(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Instead of --runs-dir.")
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """List runs, newest first; what is no run, or damaged, is named with the reason."""
    from moe_lab.report import listing, render

    found = listing.entries(folder or runs_dir)
    if as_json:
        echo_json(runs=[asdict(entry) for entry in found])
    else:
        render.show(listing.parts(found, datetime.now(UTC)), render.console())


def leave_by_gate(found: Any, *, as_json: bool = False, stderr: bool = False) -> None:
    """Print a gate, and leave with its exit code."""
    from moe_lab.report import render

    for warning in found.warnings:
        typer.echo(escape.line(f"warning: {warning}"), err=True)
    if as_json:
        echo_json(passed=found.passed, **asdict(found))
    else:
        render.show(found.parts(), render.console(stderr=stderr))
    github.summarise(render.markdown(found.parts()))
    raise typer.Exit(0 if found.passed else GATE)
