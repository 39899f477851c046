"""report, check and ls: what reads runs and writes none."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from moe_lab.cli import github
from moe_lab.cli.door import app
from moe_lab.cli.options import FAIL_ON, AsJson, RunDirectory, RunsDir, echo_json

GATE = 3  # exit code


@app.command()
def report(
    directories: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", help="One run: its summary; several: a comparison."),
    ],
    format: Annotated[
        Literal["table", "md", "csv", "json"],
        typer.Option(
            help="How to print it. csv: one long table of run, section, name, layer, value."
        ),
    ] = "table",
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    all_layers: Annotated[
        bool, typer.Option("--all-layers", help="Show layers that do not fit a terminal, too.")
    ] = False,
) -> None:
    """Say what happened in a run, or how several differ; a running one is read as far as it is."""
    from moe_lab.report import pages, render, tidy
    from moe_lab.report.summary import summarize_all

    runs = summarize_all(directories)
    parts = list(pages.one(runs[0]) if len(runs) == 1 else pages.several(runs))
    match "json" if as_json else format:
        case "json":
            echo_json(runs=runs)
        case "csv":
            typer.echo(tidy.to_csv(runs), nl=False)
        case "md":
            typer.echo(render.markdown(parts), nl=False)
        case "table" if len(runs) == 1:
            render.one(runs[0], render.console(), all_layers=all_layers)
        case "table":
            render.show(parts, render.console())
    github.summarise(render.markdown(parts))


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
        typer.echo(f"warning: {warning}", err=True)
    if as_json:
        echo_json(passed=found.passed, **asdict(found))
    else:
        render.show(found.parts(), render.console(stderr=stderr))
    github.summarise(render.markdown(found.parts()))
    raise typer.Exit(0 if found.passed else GATE)
