"""train and resume."""

from pathlib import Path
from typing import Annotated, Any

import typer

from moe_lab.cli.door import app
from moe_lab.cli.options import (
    FAIL_ON,
    Jobs,
    Progress,
    RetryFailed,
    RunsDir,
    Settings,
    split,
    warn,
)
from moe_lab.errors import ConfigError


@app.command()
def train(
    settings: Settings = None,
    name: Annotated[str | None, typer.Option(help="Name of the run; refused if it exists.")] = None,
    runs_dir: RunsDir = Path("runs"),
    fail_on: Annotated[list[str] | None, typer.Option(metavar="EXPR", help=FAIL_ON)] = None,
    references: Annotated[
        bool,
        typer.Option(
            "--references",
            help="Also train the runs that give its loss a meaning: the same model under fixed routing "
            "(true domain, token hash, random, one expert, …), and without experts.",
        ),
    ] = False,
    progress: Progress = "auto",
) -> None:
    """Train one run; the last line of stdout is its directory."""
    from moe_lab.config import load

    path, overrides = split(settings)
    if name is not None:
        overrides.append(f"name={name}")
    resolved = load(path, overrides)
    rules = _rules(fail_on, resolved.config.moe.n_experts)
    warn(resolved)
    exact = any(override.startswith("name=") for override in overrides)

    from moe_lab import session
    from moe_lab.progress import for_stderr

    with for_stderr(progress) as reporter:
        outcome = session.train(resolved, runs_dir=runs_dir, exact=exact, reporter=reporter)
    if references and outcome.exit_code == 0:
        _train_references(outcome.directory, progress)
    _leave(outcome, rules)


@app.command()
def resume(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The directory of a run or a sweep.")
    ],
    jobs: Jobs = "auto",
    retry_failed: RetryFailed = False,
    progress: Progress = "auto",
) -> None:
    """Go on with a run or a sweep that was stopped, killed or has failed; what has finished is left alone."""
    from moe_lab.store.sweep import is_sweep

    if is_sweep(directory):
        from moe_lab.cli.sweeping import resume_sweep

        resume_sweep(directory, jobs, progress, retry_failed)
    elif jobs != "auto" or retry_failed:
        raise ConfigError(
            f"{directory} is no sweep", help="--jobs and --retry-failed are for sweeps"
        )
    from moe_lab import session
    from moe_lab.progress import for_stderr

    with for_stderr(progress) as reporter:
        outcome = session.resume(directory, reporter=reporter)
    _leave(outcome, [])


def _train_references(directory: Path, progress: Any) -> None:
    """Those that are not there yet, beside the run."""
    from moe_lab import session
    from moe_lab.progress import for_stderr

    for resolved in session.missing_references(directory):
        with for_stderr(progress) as reporter:
            found = session.train(
                resolved, runs_dir=directory.parent, exact=False, reporter=reporter
            )
        if found.exit_code:
            typer.echo(directory)
            raise typer.Exit(found.exit_code)


def _rules(expressions: list[str] | None, n_experts: int) -> list[Any]:
    """The rules of a gate, refused before any training as far as the run's columns are known."""
    if not expressions:
        return []
    from moe_lab.report import gate, rules

    asked = [rules.parse(text) for text in expressions]
    rules.refuse_baseline(asked, "train has none; use moe-lab check RUN --baseline DIR")
    rules.refuse_unknown(asked, *gate.known_names(n_experts))
    return asked


def _leave(outcome: Any, rules: list[Any]) -> None:
    """Print the directory; a run that went to its end is held against the rules."""
    typer.echo(outcome.directory)
    if rules and outcome.exit_code == 0:
        from moe_lab.cli.reading import leave_by_gate
        from moe_lab.report import gate

        leave_by_gate(gate.check(outcome.directory, rules), stderr=True)
    raise typer.Exit(outcome.exit_code)
