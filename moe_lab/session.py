"""A run from outside the loop: begun in a new folder or resumed in its own, ended in one of the ways a run can."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from moe_lab import config, machine, references
from moe_lab.config import Resolved
from moe_lab.errors import ConfigError, DivergedError, OutOfMemoryError
from moe_lab.experiment import Experiment, build
from moe_lab.loop import fit
from moe_lab.progress import Reporter
from moe_lab.report.outcomes import reached
from moe_lab.report.references import found_in
from moe_lab.rows import headers
from moe_lab.signals import StopRequest
from moe_lab.store import layout
from moe_lab.store.folders import refuse_existing, resume_command
from moe_lab.store.read import StoredRun
from moe_lab.store.run import Run


@dataclass(frozen=True)
class Outcome:
    """How a call ended: the run's directory, and 0 or the exit code of the signal that stopped it."""

    directory: Path
    exit_code: int = 0


def train(resolved: Resolved, *, runs_dir: Path, exact: bool, reporter: Reporter) -> Outcome:
    """Train one run under runs_dir; `exact` refuses a name that exists instead of numbering it.

    Raises ConfigError, StorageError and OutOfMemoryError before anything is written, DivergedError after.
    """
    settings = resolved.config
    if exact:
        refuse_existing(runs_dir / settings.name)
    machine.prepare(settings.train.threads)
    device = machine.device(settings.train.device, resolved.locate("train.device"))
    with _memory_errors():
        experiment = build(settings, device)
    run = Run.create(
        runs_dir=runs_dir,
        name=settings.name,
        exact=exact,
        config=resolved.raw,
        resolved=resolved.dump(),
        record=_record(experiment),
        tables=headers(experiment),
        state=experiment.state(0),
    )
    with run:
        run.event("start")
        return _go(experiment, run, done=0, elapsed_s=0.0, reporter=reporter)


def resume(directory: Path, *, reporter: Reporter) -> Outcome:
    """Go on from a run's newest intact checkpoint; a finished run is left as it is."""
    stored = StoredRun(directory)
    if stored.is_finished:
        reporter.say(f"{directory} is finished: nothing to do")
        return Outcome(directory)
    if stored.is_recorded:
        raise ConfigError(
            f"{directory} was recorded from another program, which alone can go on",
            help="go on there, with a RouterMonitor on a new directory",
        )
    settings = config.load(directory / layout.RESOLVED).config
    machine.prepare(settings.train.threads)
    device = machine.device(stored.record["device"])
    with _memory_errors():
        experiment = build(settings, device)
    if experiment.source.fingerprint != stored.record["data"]["fingerprint"]:
        raise ConfigError(
            f"the data of {directory} have changed since it began",
            help="put the original file back, or start a new run",
        )
    run, state = Run.reopen(directory)  # cuts tables back: after all that can be refused
    with run:
        experiment.restore(state)
        for problem in run.skipped:
            reporter.say(f"warning: {problem}")
        run.event("resume", step=state.step)
        elapsed = stored.table("timing")["elapsed_s"]
        elapsed_s = float(elapsed.iloc[-1]) if len(elapsed) else 0.0
        return _go(experiment, run, done=state.step, elapsed_s=elapsed_s, reporter=reporter)


def missing_references(directory: Path) -> list[Resolved]:
    """The configs of a run's references that its folder has no finished run of yet."""
    path = directory / layout.RESOLVED
    asked = references.settings(config.load(path).config)
    role = StoredRun(directory).record["role"]
    there = found_in(directory.resolve().parent).losses(role)
    return [
        config.load(path, list(changes)) for name, changes in asked.items() if name not in there
    ]


def _go(
    experiment: Experiment, run: Run, *, done: int, elapsed_s: float, reporter: Reporter
) -> Outcome:
    """Run the loop, and write down how it ended."""
    steps = experiment.config.train.steps
    reporter.start(str(run.directory), done, steps)
    with StopRequest() as stop, _endings(run), _memory_errors():
        fit(experiment, run, done=done, elapsed_s=elapsed_s, stop=stop, reporter=reporter)
        if run.step == steps:
            run.event("finish", step=steps)
            run.finish(_summary(experiment, run))
    if stop.signal and run.step < steps:
        run.event("stop", signal=stop.signal.name, step=run.step)
        run.status("stopped", reason=stop.signal.name)
        command = resume_command(run.directory)
        reporter.say(f"stopped after step {run.step}; go on with: {command}")
        return Outcome(run.directory, stop.exit_code)
    return Outcome(run.directory)


@contextmanager
def _endings(run: Run) -> Iterator[None]:
    """Status, event and log of a run that ends by an error, which goes on to the caller."""
    try:
        yield
    except DivergedError as error:
        run.event("diverged", reason=str(error))
        run.status("diverged", reason=str(error))
        run.log(error.render())
        raise
    except Exception as error:
        run.fail(error)
        raise


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Failed allocations as OutOfMemoryError; torch raises a bare RuntimeError on the CPU."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        exhausted = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not exhausted and "can't allocate memory" not in str(error):
            raise
        raise OutOfMemoryError(
            "out of memory",
            help="make train.batch_size, model.d_expert or moe.n_experts smaller",
        ) from error


def _record(experiment: Experiment) -> dict[str, Any]:
    """run.json, but for what the store adds."""
    source, settings = experiment.source, experiment.config
    parameters = {name: p.numel() for name, p in experiment.model.named_parameters()}
    experts = sum(n for name, n in parameters.items() if ".experts." in name)
    active = settings.moe.top_k / settings.moe.n_experts
    return {
        **machine.describe(experiment.device),
        "role": references.role(settings),
        "seed": settings.seed,
        "threads": settings.train.threads,
        "device": experiment.device.type,
        "steps": settings.train.steps,
        "config": settings.model_dump(mode="json"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "parameters": {
            "total": sum(parameters.values()),
            "active": round(sum(parameters.values()) - experts * (1 - active)),
        },
        "data": {
            "fingerprint": source.fingerprint,
            "domains": list(source.domains),
            "vocab_size": source.vocab_size,
            "eval_tokens": int(experiment.probe.known.tokens.size),
            "ladder": [
                {"rung": rung.name, "loss": rung.loss, "error": rung.error}
                for rung in source.ladder()
            ],
        },
    }


def _summary(experiment: Experiment, run: Run) -> dict[str, Any]:
    """summary.json: each layer's verdict, and what the tables say, by which runs are compared."""
    layers = {str(layer): watch.outcome() for layer, watch in experiment.watches.items()}
    return {
        "steps": experiment.config.train.steps,
        "layers": layers,
        "outcomes": reached(run.directory),
    }
