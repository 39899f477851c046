"""report: what happened, printed as a table, Markdown, CSV or JSON, or written as a page and figures."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import typer

from moe_lab.cli import drawing, github
from moe_lab.cli.door import app
from moe_lab.cli.drawing import FigureFormat
from moe_lab.cli.options import Alone, echo_json
from moe_lab.errors import ConfigError

Form = Literal["table", "md", "csv", "json"]


@app.command(cls=Alone)
def report(
    directories: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...", help="One run: its summary; several, or a sweep: a comparison."
        ),
    ],
    format: Annotated[
        Form | None,
        typer.Option(
            help="How to print it. csv: one long table of run, section, name, layer, value; "
            "of a sweep, a row per point.  [default: table]",
            show_default=False,
        ),
    ] = None,
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
    html: Annotated[
        str | None,
        typer.Option(
            metavar="[PATH.html]",
            help="Write a page with figures instead, that needs no network; by default DIR/report.html.",
        ),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write the figures instead, a file each."),
    ] = None,
    figure_format: Annotated[FigureFormat, typer.Option(help="Of these files.")] = "svg",
) -> None:
    """Say what happened in a run, or how several differ; a running one is read as far as it is."""
    if html is None and figures is None:
        form: Form = "json" if as_json else format or "table"
        _print(directories, form, margin, times=times, all_layers=all_layers)
        return
    if format or as_json:
        raise ConfigError(
            "a report is printed, or written as a page or figures", help="ask for one of these"
        )
    if figures is not None:
        drawing.figures(directories, figures, figure_format, margin)
    if html is not None:
        drawing.page(directories, html, margin, times=times)


def _print(
    directories: list[Path], form: Form, margin: float, *, times: bool, all_layers: bool
) -> None:
    from moe_lab.report import render
    from moe_lab.store.sweep import only_sweep

    if sweep := only_sweep(directories):
        found = _of_sweep(sweep, margin, times)
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


def _of_sweep(directory: Path, margin: float, times: bool) -> _Report:
    from moe_lab.report import sweep_pages, sweep_reading, sweep_tables
    from moe_lab.store.sweep import StoredSweep

    found = sweep_reading.read(StoredSweep(directory), margin=margin)
    return _Report(
        parts=list(sweep_pages.parts(found, with_times=times)),
        csv=lambda: sweep_tables.to_csv(found, with_times=times),
        json=lambda: sweep_tables.to_json(found, with_times=times),
    )
