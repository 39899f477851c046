"""The program, its options that stand before a command, and the way that errors leave by."""

import io
import os
import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from moe_lab import __version__, escape, ranks
from moe_lab.cli import github
from moe_lab.errors import MoeLabError


class Door(TyperGroup):
    """Turns errors into messages and exit codes: a user's mistake never shows a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; every error that can be named leaves through here."""
        if isinstance(sys.stdout, io.TextIOWrapper):  # an encoding that lacks a letter is no error
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except MoeLabError as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            typer.echo(escape.lines(ranks.spoken(error.render())), err=True)
            if ranks.here().first:
                github.annotate(error)
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
            bug = f"error: this is a bug in moe-lab: {error!r}"
            typer.echo(escape.lines(bug), err=True)
            typer.echo("  help: run again with `moe-lab --debug …` for the traceback", err=True)
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=Door,
    help="A laboratory for expert collapse in Mixture-of-Experts language models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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
