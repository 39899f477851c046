"""export: runs and sweeps in the forms that other tools read."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from moe_lab import escape
from moe_lab.cli.door import app
from moe_lab.cli.drawing import writing
from moe_lab.registry import EXPORTS

FORMS = tuple(name.replace("_", "-") for name in EXPORTS.names())


@app.command()
def export(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="A run, several, or a sweep.")
    ],
    to: Annotated[
        Literal[FORMS],  # type: ignore[valid-type]  # files of a folder
        typer.Option(
            help="csv-long: one table of all numbers; parquet: a file per table, for pandas and duckdb; "
            "tensorboard: event files."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="What to write, in place of an older export; by default DIR/export/FORM.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a run's or a sweep's tables for TensorBoard, pandas, duckdb or a spreadsheet; nothing is rounded."""
    from moe_lab import exporting
    from moe_lab.report.sweep_pages import counted_as

    with writing("--out FOLDER"):
        done = exporting.export(directories, to, out)
    for name, reason in done.left_out.items():
        typer.echo(escape.line(f"left out: {name}: {reason}"), err=True)
    to_come = f" ({done.to_come} not begun)" if done.to_come else ""
    rows = ", ".join(f"{name} {number:,}" for name, number in done.rows.items())
    typer.echo(f"{counted_as(done.runs, 'run')}{to_come}; rows: {rows}", err=True)
    typer.echo(escape.line(f"next: {done.hint}"), err=True)
    typer.echo(done.folder)
