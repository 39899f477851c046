"""The door: each command parses, calls one function, prints. Results go to stdout, all else to stderr."""

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from moe_lab import __version__
from moe_lab.errors import ConfigError, MoeLabError


class Door(TyperGroup):
    """Turns errors into messages and exit codes: a user's mistake never shows a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; every error that can be named leaves through here."""
        try:
            return super().invoke(ctx)
        except MoeLabError as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            typer.echo(error.render(), err=True)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except BrokenPipeError:  # the reader has gone, as in `moe-lab report x | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except (typer.Exit, typer.Abort, typer.TyperException):
            raise
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            typer.echo(f"error: this is a bug in moe-lab: {error!r}", err=True)
            typer.echo("  help: run again with `moe-lab --debug …` for the traceback", err=True)
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=Door,
    help="A laboratory for expert collapse in Mixture-of-Experts language models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
config_app = typer.Typer(
    help="Show, check or describe configs.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(config_app, name="config")

Settings = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CONFIG] [KEY=VALUE]...",
        help="A YAML file, and settings that win over it; a unique last part of a key is enough: alpha=0.1",
        show_default=False,
    ),
]
RunDirectory = Annotated[Path, typer.Argument(metavar="DIR", help="A run's directory.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"moe-lab {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Options that stand before the command."""


@app.command()
def train(
    settings: Settings = None,
    name: Annotated[str | None, typer.Option(help="Name of the run; refused if it exists.")] = None,
    runs_dir: Annotated[
        Path, typer.Option(envvar="MOE_LAB_RUNS", help="Where runs are put.")
    ] = Path("runs"),
) -> None:
    """Train one run; the last line of stdout is its directory."""
    from moe_lab.config import load

    path, overrides = _split(settings or [])
    if name is not None:
        overrides.append(f"name={name}")
    resolved = load(path, overrides)
    _warn(resolved)
    exact = any(override.startswith("name=") for override in overrides)

    from moe_lab import session
    from moe_lab.progress import for_stderr

    with for_stderr() as reporter:
        outcome = session.train(resolved, runs_dir=runs_dir, exact=exact, reporter=reporter)
    _leave(outcome)


@app.command()
def resume(directory: RunDirectory) -> None:
    """Go on with a run that was stopped, killed or diverged; a finished one is left alone."""
    from moe_lab import session
    from moe_lab.progress import for_stderr

    with for_stderr() as reporter:
        outcome = session.resume(directory, reporter=reporter)
    _leave(outcome)


@app.command()
def report(
    directories: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", help="One run: its summary; several: a comparison."),
    ],
    format: Annotated[Literal["table", "json"], typer.Option(help="How to print it.")] = "table",
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Say what happened in a run, or how several differ; a running one is read as far as it is."""
    from moe_lab.report import render
    from moe_lab.report.summary import summarize

    summaries = [summarize(directory) for directory in directories]
    if as_json or format == "json":
        typer.echo(json.dumps({"schema": 1, "runs": summaries}, indent=2, allow_nan=False))
    elif len(summaries) == 1:
        render.one(summaries[0], render.console())
    else:
        render.several(summaries, render.console())


@config_app.command("show")
def config_show(settings: Settings = None) -> None:
    """Print every setting with its origin."""
    from moe_lab.config import load

    typer.echo(load(*_split(settings or [])).dump(), nl=False)


@config_app.command("check")
def config_check(settings: Settings = None) -> None:
    """Say whether a config is valid, and everything that is wrong with it."""
    from moe_lab.config import load

    path, overrides = _split(settings or [])
    _warn(load(path, overrides))
    typer.echo(f"{path or 'defaults'}: valid")


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON Schema of configs, for editors."""
    from moe_lab.config import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


def _split(settings: list[str]) -> tuple[str | None, list[str]]:
    """The config file, if one is named, and the overrides."""
    files = [item for item in settings if "=" not in item]
    if len(files) > 1:
        raise ConfigError(
            f"two config files were given: {files[0]} and {files[1]}",
            help="give one file; settings are written key=value",
        )
    return (files[0] if files else None), [item for item in settings if "=" in item]


def _warn(resolved: Any) -> None:
    for warning in resolved.warnings:
        typer.echo(warning.render("warning"), err=True)


def _leave(outcome: Any) -> None:
    typer.echo(outcome.directory)
    raise typer.Exit(outcome.exit_code)
