"""check and ls: what reads runs and writes nothing."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from moe_lab import escape
from moe_lab.cli import github
from moe_lab.cli.door import app
from moe_lab.cli.options import FAIL_ON, AsJson, RunDirectory, RunsDir, echo_json

GATE = 3  # exit code


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
