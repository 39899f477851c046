"""train and resume."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from moe_lab.cli.door import app
from moe_lab.cli.launching import Address, LauncherName, LauncherOptions, launcher
from moe_lab.cli.options import (
    FAIL_ON,
    FailFast,
    Jobs,
    JobsPerGpu,
    MaxMinutes,
    Progress,
    ProgressMode,
    Retries,
    RetryFailed,
    RunsDir,
    Settings,
    split,
    warn,
)
from moe_lab.errors import ConfigError
from moe_lab.ranks import Ranks, joined
from moe_lab.signals import StopRequest

if TYPE_CHECKING:
    from moe_lab.progress import Reporter


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
    max_minutes: MaxMinutes = None,
    progress: Progress = "auto",
) -> None:
    """Train one run; the last line of stdout is its directory."""
    from moe_lab.config import load
    from moe_lab.store.folders import preflight

    with joined() as ranks:
        with ranks.together():
            path, overrides = split(settings)
            if name is not None:
                overrides.append(f"name={name}")
            resolved = load(path, overrides)
            rules = _rules(fail_on, resolved.config.moe.n_experts)
            if ranks.first:
                warn(resolved)
                preflight(runs_dir, 0)  # before a second is taken to import torch
        exact = any(override.startswith("name=") for override in overrides)
        stop = StopRequest(max_minutes, ranks)

        from moe_lab import session

        with _reporter(progress, ranks) as reporter:
            outcome = session.train(
                resolved,
                runs_dir=runs_dir,
                exact=exact,
                reporter=reporter,
                stop=stop,
                ranks=ranks,
            )
        if references and outcome.exit_code == 0:
            _train_references(outcome.directory, progress, stop, ranks)
        _leave(outcome, rules, ranks)


FOR_SWEEPS = {  # by argument
    "jobs": "--jobs",
    "jobs_per_gpu": "--jobs-per-gpu",
    "launcher_name": "--launcher",
    "launcher_opt": "--launcher-opt",
    "address": "--address",
    "retries": "--retries",
    "retry_failed": "--retry-failed",
    "fail_fast": "--fail-fast",
}


@app.command()
def resume(
    context: typer.Context,
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The directory of a run or a sweep.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Of a run: how it goes on, such as steps=800, which can only grow.",
            show_default=False,
        ),
    ] = None,
    jobs: Jobs = "auto",
    jobs_per_gpu: JobsPerGpu = 1,
    launcher_name: LauncherName = "local",
    launcher_opt: LauncherOptions = None,
    address: Address = None,
    retries: Retries = 1,
    retry_failed: RetryFailed = False,
    fail_fast: FailFast = False,
    max_minutes: MaxMinutes = None,
    progress: Progress = "auto",
) -> None:
    """Go on with a run or a sweep that was stopped, killed or has failed; what has finished is left alone."""
    from moe_lab.store.read import read_record
    from moe_lab.store.sweep import is_sweep

    overrides = settings or []
    if is_sweep(directory):
        if overrides:
            raise ConfigError(
                f"{directory} is a sweep, which goes on as it was planned",
                help=f"leave out {' '.join(overrides)}",
            )
        from moe_lab.cli.sweeping import resume_sweep
        from moe_lab.sweep.drive import Policy

        policy = Policy(retries, retry_failed, fail_fast, max_minutes)
        made_by = partial(
            launcher, launcher_name, launcher_opt, address, jobs=jobs, per_gpu=jobs_per_gpu
        )
        resume_sweep(directory, made_by, progress, policy)
    _refuse_given(context, FOR_SWEEPS, f"{directory} is no sweep")
    with joined() as ranks:
        with ranks.together():
            read_record(directory)  # before a second is taken to import torch
        stop = StopRequest(max_minutes, ranks)
        from moe_lab import session

        with _reporter(progress, ranks) as reporter:
            outcome = session.resume(
                directory, overrides, reporter=reporter, stop=stop, ranks=ranks
            )
        _leave(outcome, [], ranks)


def _reporter(progress: ProgressMode, ranks: Ranks) -> "Reporter":
    """What shows a run: one rank does."""
    from moe_lab.progress import Silent, for_stderr

    return for_stderr(progress) if ranks.first else Silent()


def _refuse_given(context: typer.Context, options: Mapping[str, str], reason: str) -> None:
    """Raises ConfigError for options on the command line, by argument, that mean nothing there."""
    sources = {name: context.get_parameter_source(name) for name in options}
    given = [name for name, source in sources.items() if source and source.name == "COMMANDLINE"]
    if given:
        raise ConfigError(reason, help=f"leave out {' '.join(options[name] for name in given)}")


def _train_references(
    directory: Path, progress: ProgressMode, stop: StopRequest, ranks: Ranks
) -> None:
    """Those that are not there yet, beside the run, until a stop is asked for."""
    from moe_lab import session

    with ranks.together():
        missing = session.missing_references(directory)
    for resolved in missing:
        if not stop.agree():
            with _reporter(progress, ranks) as reporter:
                session.train(
                    resolved,
                    runs_dir=directory.parent,
                    exact=False,
                    reporter=reporter,
                    stop=stop,
                    ranks=ranks,
                )
        if stop.agree():
            _leave(session.Outcome(directory, stop.exit_code), [], ranks)


def _rules(expressions: list[str] | None, n_experts: int) -> list[Any]:
    """The rules of a gate, refused before any training as far as the run's columns are known."""
    if not expressions:
        return []
    from moe_lab.report import gate, rules

    asked = [rules.parse(text) for text in expressions]
    rules.refuse_baseline(asked, "train has none; use moe-lab check RUN --baseline DIR")
    rules.refuse_unknown(asked, *gate.known_names(n_experts))
    return asked


def _leave(outcome: Any, rules: list[Any], ranks: Ranks) -> NoReturn:
    """Print the directory, once; a run that went to its end is held against the rules."""
    if ranks.first:
        typer.echo(outcome.directory)
    if ranks.first and rules and outcome.exit_code == 0:
        from moe_lab.cli.reading import leave_by_gate
        from moe_lab.report import gate

        leave_by_gate(gate.check(outcome.directory, rules), stderr=True)
    raise typer.Exit(outcome.exit_code)
