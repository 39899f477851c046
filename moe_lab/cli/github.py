"""What GitHub Actions shows of a step beside its log: annotations of errors, and a summary."""

import os
from pathlib import Path

import typer

from moe_lab import escape
from moe_lab.errors import COMMAND_LINE, ConfigError, MoeLabError, Problem

ANNOTATIONS = 9  # GitHub shows ten per step; the tenth is the count of the rest
SUMMARY_LIMIT = 64_000  # bytes that one command adds, at most


def annotate(error: MoeLabError) -> None:
    """Errors of configs as workflow commands, on stderr: stdout carries results."""
    if not _is_here() or not isinstance(error, ConfigError):
        return
    for problem in error.problems[:ANNOTATIONS]:
        typer.echo(_annotation(problem), err=True)
    if (rest := len(error.problems) - ANNOTATIONS) > 0:
        typer.echo(f"::error::... and {rest} more", err=True)


def summarise(markdown: str) -> None:
    """Add to the job's summary; one that cannot be written is a warning."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not _is_here() or not path:
        return
    data = (_cut(markdown) + "\n").encode(errors="backslashreplace")
    try:
        with Path(path).open("ab") as file:
            file.write(data)
    except OSError as error:
        typer.echo(f"warning: cannot write the job summary {path}: {error.strerror}", err=True)


def _is_here() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"


def _annotation(problem: Problem) -> str:
    place, properties = problem.place, ""
    if place and place.line and place.source != COMMAND_LINE:
        properties = f" file={_property(place.source)},line={place.line},col={place.column}"
    text = f"{problem.message}\n{problem.help}" if problem.help else problem.message
    return f"::error{properties}::{_data(text)}"


def _data(text: str) -> str:
    """Escaped as the runner's message is."""
    return escape.lines(text).replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    """Escaped as the runner's properties are."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _cut(markdown: str) -> str:
    """Whole lines up to the limit."""
    data = markdown.encode(errors="backslashreplace")
    if len(data) <= SUMMARY_LIMIT:
        return markdown
    kept = data[: SUMMARY_LIMIT - 100].rpartition(b"\n")[0].decode()
    return f"{kept}\n\n... cut; `moe-lab report` has the rest"
