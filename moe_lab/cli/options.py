"""Arguments and options that several commands have, and what is done with them."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from moe_lab import escape
from moe_lab.errors import ConfigError

Settings = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CONFIG] [KEY=VALUE]...",
        help="A YAML file, and settings that win over it; a unique last part of a key is enough: alpha=0.1",
        show_default=False,
    ),
]
RunDirectory = Annotated[Path, typer.Argument(metavar="DIR", help="A run's directory.")]
RunsDir = Annotated[Path, typer.Option(envvar="MOE_LAB_RUNS", help="Where runs are put.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ProgressMode = Literal["auto", "live", "plain", "json", "none"]
Progress = Annotated[
    ProgressMode,
    typer.Option(
        envvar="MOE_LAB_PROGRESS",
        help="On stderr: a live view, plain lines, JSON lines or nothing; auto: live on a terminal.",
    ),
]
Jobs = Annotated[
    str,
    typer.Option(
        "--jobs",
        "-j",
        metavar="auto|N",
        help="Runs of a sweep at a time; auto: one per core, or per GPU.",
    ),
]
JobsPerGpu = Annotated[int, typer.Option(min=1, help="Runs of a sweep at a time on each GPU.")]
Retries = Annotated[
    int, typer.Option(min=0, help="Times that a run of a sweep whose process is killed goes on.")
]
RetryFailed = Annotated[
    bool,
    typer.Option(
        "--retry-failed",
        help="Try runs of a sweep again that have failed before; damaged ones are set aside.",
    ),
]
FailFast = Annotated[
    bool,
    typer.Option("--fail-fast", help="End a sweep at the first failure; its others are saved."),
]
MaxMinutes = Annotated[
    float | None,
    typer.Option(
        min=0,
        metavar="MINUTES",
        help="Stop after so long, saved and resumable, with exit code 75.",
        show_default=False,
    ),
]
PAGE = (".html", ".htm")
FAIL_ON = (
    "Fail, with exit code 3, if any layer's last evaluation meets this: collapse, skew, or "
    "NAME (> >= < <=) LIMIT, where LIMIT is a number or baseline [(* + -) number]. Repeatable."
)


class Alone(TyperCommand):
    """A command whose `--html` may stand alone: what follows is its value only if it is called like a page."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Write `--html` that stands alone as `--html=`, which Typer understands."""
        following = [*args, ""][1:]
        return super().parse_args(
            ctx,
            [
                "--html=" if arg == "--html" and not after.lower().endswith(PAGE) else arg
                for arg, after in zip(args, following, strict=True)
            ],
        )


def split(settings: list[str] | None) -> tuple[str | None, list[str]]:
    """The config file, if one is named, and the overrides."""
    given = settings or []
    files = [item for item in given if "=" not in item]
    if len(files) > 1:
        raise ConfigError(
            f"two config files were given: {files[0]} and {files[1]}",
            help="give one file; settings are written key=value",
        )
    return (files[0] if files else None), [item for item in given if "=" in item]


def warn(resolved: Any) -> None:
    """Print what a config warns of."""
    for warning in resolved.warnings:
        typer.echo(escape.lines(warning.render("warning")), err=True)


def echo_json(**values: Any) -> None:
    """Print one JSON object that names its schema."""
    typer.echo(json.dumps({"schema": 1, **values}, indent=2, allow_nan=False))
