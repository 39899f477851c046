"""config show, check and schema, and init: what a run is asked to be."""

import json
from pathlib import Path
from typing import Annotated

import typer

from moe_lab.cli.door import app
from moe_lab.cli.options import Settings, split, warn

config_app = typer.Typer(
    help="Show, check or describe configs.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(config_app, name="config")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to put it.")] = Path(),
) -> None:
    """Write a config with every key, its default and its meaning, to start from."""
    from moe_lab.config.starter import write_starter

    path = write_starter(folder)
    typer.echo(f"{path}: every key at its default")
    typer.echo(f"  moe-lab config check {path}")
    typer.echo(f"  moe-lab train {path}")
    typer.echo("  moe-lab report DIR    # the last line that train prints")


@config_app.command("show")
def config_show(settings: Settings = None) -> None:
    """Print every setting with its origin."""
    from moe_lab.config import load

    typer.echo(load(*split(settings)).dump(), nl=False)


@config_app.command("check")
def config_check(settings: Settings = None) -> None:
    """Say whether a config is valid, and everything that is wrong with it."""
    from moe_lab.config import load

    path, overrides = split(settings)
    warn(load(path, overrides))
    typer.echo(f"{path or 'defaults'}: valid")


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON Schema of configs, for editors."""
    from moe_lab.config import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))
