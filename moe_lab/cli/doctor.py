"""doctor: the environment, and whether the instrument reads right in it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from moe_lab.cli.door import app
from moe_lab.cli.options import AsJson, RunsDir, echo_json

SELF_TEST = 3  # exit code


@app.command()
def doctor(runs_dir: RunsDir = Path("runs"), as_json: AsJson = False) -> None:
    """Describe this environment and test the instrument in it: exit code 3 if a check fails."""
    from moe_lab import selftest
    from moe_lab.doctor import environment

    found, checks = environment(runs_dir), selftest.run()
    if as_json:
        echo_json(environment=found, checks=[asdict(check) for check in checks])
    else:
        _show(found, checks)
    failed = [check.check for check in checks if not check.passed]
    for name in failed:
        typer.echo(f"self-test failed: {name}", err=True)
    raise typer.Exit(SELF_TEST if failed else 0)


def _show(found: dict[str, Any], checks: list[Any]) -> None:
    from moe_lab.report import render
    from moe_lab.report.pages import Sheet

    rows = tuple((c.check, c.measured, c.expected, "ok" if c.passed else "FAILED") for c in checks)
    sheets = (
        Sheet(("environment", ""), tuple(found.items())),
        Sheet(("self-test", "measured", "expected", ""), rows),
    )
    render.show(sheets, render.console())
