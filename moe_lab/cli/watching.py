"""watch: what another process trains."""

from pathlib import Path
from typing import Annotated

import typer

from moe_lab.cli.door import app
from moe_lab.cli.options import Progress


@app.command("watch")
def watch_directory(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The directory of a run or a sweep.")
    ],
    once: Annotated[
        bool, typer.Option("--once", help="Print how it is now, on stdout, and leave.")
    ] = False,
    progress: Progress = "auto",
) -> None:
    """Show how a run or a sweep of another process is going, until it ends; nothing is locked or written."""
    from moe_lab.watch import watch

    raise typer.Exit(watch(directory, progress, once=once))
