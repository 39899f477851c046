"""sweep, and resume of one."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from moe_lab.cli.door import app
from moe_lab.cli.launching import Address, LauncherName, LauncherOptions, launcher
from moe_lab.cli.options import (
    FailFast,
    Jobs,
    JobsPerGpu,
    MaxMinutes,
    Progress,
    ProgressMode,
    Retries,
    RetryFailed,
    RunsDir,
    warn,
)


@app.command()
def sweep(
    axes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="AXIS...|FILE",
            help="What is varied: alpha (its default grid), alpha=0,0.1, alpha=log:1e-4:1:9, paired "
            "n_experts:top_k=8:1,16:2, or a sweep file. A single value, steps=200, is the same for all runs.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            "-c",
            help="What every run changes a little; else the file's base, or the packaged config collapse.",
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="N|A,B,...", help="How many seeds, or which; else the file's, or 3."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the sweep; else the file's, or sweep-KEY.")
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    rule: Annotated[
        bool,
        typer.Option(
            "--rule",
            help="Of alpha alone: also follow its tuning rule, and report what that costs.",
        ),
    ] = False,
    jobs: Jobs = "auto",
    jobs_per_gpu: JobsPerGpu = 1,
    launcher_name: LauncherName = "local",
    launcher_opt: LauncherOptions = None,
    address: Address = None,
    retries: Retries = 1,
    retry_failed: RetryFailed = False,
    fail_fast: FailFast = False,
    max_minutes: MaxMinutes = None,
    max_runs: Annotated[int, typer.Option(min=1, help="Refuse more runs than this.")] = 200,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and what it will take; run nothing.")
    ] = False,
    progress: Progress = "auto",
) -> None:
    """Train a grid of settings at several seeds and compare them; started again, it does what is missing."""
    from moe_lab.sweep import grid

    asked = grid.plan(
        axes or [], config=config, seeds=seeds, name=name, rule=rule, max_runs=max_runs
    )
    warn(asked)
    engine = launcher(
        launcher_name,
        launcher_opt,
        address,
        jobs=jobs,
        per_gpu=jobs_per_gpu,
        plan=asked.plan,
        base=asked.base.config,
    )
    if dry_run:
        _print_plan(asked, engine.places)
        return

    from moe_lab.sweep.begin import begin
    from moe_lab.sweep.drive import Policy

    policy = Policy(retries, retry_failed, fail_fast, max_minutes)
    _go_on(begin(asked, runs_dir), engine, progress, policy)


def resume_sweep(
    directory: Path, made_by: Callable[..., Any], progress: ProgressMode, policy: Any
) -> NoReturn:
    """Go on with a sweep as it was planned; made_by: a launcher for a plan and its base config."""
    from moe_lab.store.sweep import StoredSweep

    stored = StoredSweep(directory)
    engine = made_by(plan=stored.plan, base=stored.base.config)
    _go_on(stored, engine, progress, policy)


def _go_on(stored: Any, engine: Any, progress: ProgressMode, policy: Any) -> NoReturn:
    """Run what a sweep lacks, print its report, and leave with its exit code."""
    from moe_lab.progress.sweeps import for_sweep
    from moe_lab.store.folders import resume_command
    from moe_lab.sweep.drive import FAILED, drive

    with for_sweep(progress) as reporter:
        code = drive(stored, engine, reporter, policy)
    _report(stored)
    command = resume_command(stored.directory)
    if code == FAILED:
        typer.echo(f"runs failed; try them again with: {command} --retry-failed", err=True)
    elif code:
        typer.echo(f"stopped; go on with: {command}", err=True)
    typer.echo(stored.directory)
    raise typer.Exit(code)


def _report(stored: Any) -> None:
    """The table on stdout, and the two CSVs beside the runs."""
    from moe_lab.report import render, sweep_pages, sweep_reading, sweep_tables

    found = sweep_reading.read(stored)
    stored.write_tables(runs=sweep_tables.runs_csv(found), points=sweep_tables.to_csv(found))
    render.show(sweep_pages.parts(found), render.console())


def _print_plan(asked: Any, jobs: int | None) -> None:
    """Every point with what one run of it takes, and the time for all."""
    from moe_lab.report import render
    from moe_lab.sweep.outlook import parts

    render.show(parts(asked, jobs), render.console())
