"""A run from outside the loop: begun in a new folder or resumed in its own, ended in one of the ways a run can."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from moe_lab import config, machine, references, resuming
from moe_lab.config import Resolved
from moe_lab.errors import ConfigError, DivergedError, OutOfMemoryError
from moe_lab.experiment import MOMENTS, Experiment, build
from moe_lab.loop import fit
from moe_lab.progress import Facts, Reporter, Story
from moe_lab.report.outcomes import reached
from moe_lab.report.references import found_in
from moe_lab.rows import headers
from moe_lab.signals import StopRequest
from moe_lab.store import layout
from moe_lab.store.commit import State
from moe_lab.store.disk import DISK, Disk
from moe_lab.store.folders import preflight, refuse_existing, resume_command
from moe_lab.store.read import StoredRun
from moe_lab.store.run import Run
from moe_lab.store.space import space


@dataclass(frozen=True)
class Outcome:
    """How a call ended: the run's directory, and 0 or the exit code of what stopped it."""

    directory: Path
    exit_code: int = 0


def train(
    resolved: Resolved,
    *,
    runs_dir: Path,
    exact: bool,
    reporter: Reporter,
    stop: StopRequest | None = None,
    disk: Disk = DISK,
) -> Outcome:
    """Train one run under runs_dir; `exact` refuses a name that exists instead of numbering it.

    stop: what asks for a stop, heeded from the moment that a folder is made; by default signals alone.
    Raises ConfigError, StorageError and OutOfMemoryError before anything is written, DivergedError after.
    """
    settings = resolved.config
    if exact:
        refuse_existing(runs_dir / settings.name)
    machine.prepare(settings.train.threads)
    device = machine.device(settings.train.device, resolved.locate("train.device"))
    with _memory_errors():
        experiment = build(settings, device)
    tables, state = headers(experiment), experiment.state(0, evaluated=False)
    with stop or StopRequest() as stop:
        preflight(runs_dir, _room(experiment, tables, state), disk)
        run = Run.create(
            runs_dir=runs_dir,
            name=settings.name,
            exact=exact,
            config=resolved.raw,
            resolved=resolved.dump(),
            record=_record(experiment),
            tables=tables,
            state=state,
            disk=disk,
        )
        with run:
            run.event("start")
            return _go(experiment, run, resuming.Done(), stop, reporter)


def resume(
    directory: Path,
    overrides: Sequence[str] = (),
    *,
    reporter: Reporter,
    stop: StopRequest | None = None,
    disk: Disk = DISK,
) -> Outcome:
    """Go on from a run's newest intact checkpoint; a finished run is left as it is, unless it is to make more steps.

    overrides: `key=value`, as steps=800. A run that was given more steps equals one that was begun with them if its
    learning rate is constant, and the step that it had ended with is logged and evaluated there, too.
    Raises ConfigError for settings that it did not begin with, but for those that `resuming` lets differ.
    """
    stored = StoredRun(directory)
    if stored.is_recorded and not stored.is_finished:
        raise ConfigError(
            f"{directory} was recorded from another program, which alone can go on",
            help="go on there, with a RouterMonitor on a new directory",
        )
    resolved = None if stored.is_recorded else resuming.settings(stored, overrides)
    if resolved is None:
        reporter.say(f"{directory} is finished: nothing to do")
        return Outcome(directory)
    experiment = _rebuild(stored, resolved)
    with stop or StopRequest() as stop:
        run, state = Run.reopen(directory, disk)  # cuts tables back: after all that can be refused
        with run:
            experiment.restore(state)
            preflight(directory, _room(experiment, headers(experiment), state), disk)
            resuming.tell(run, stored, resolved.config.train, experiment.device, reporter)
            resuming.keep_settings(run, disk, stored, resolved)
            done = resuming.done(stored, state)
            return _go(experiment, run, done, stop, reporter)


def _room(experiment: Experiment, tables: Mapping[str, Sequence[str]], state: State) -> int:
    """Bytes that the rest of a run will take; the optimizer will have two moments of every weight."""
    config = experiment.config
    moments = {f"{m}.{name}": array for m in MOMENTS for name, array in state.model.items()}
    left = config.train.steps - state.step
    rows = (left // config.log.every + left // config.eval.every + 2) * config.model.n_layers
    return space(replace(state, optimizer=moments), tables, rows=rows, keep=config.checkpoint.keep)


def _rebuild(stored: StoredRun, resolved: Resolved) -> Experiment:
    """The parts of a run as they were when it began. Raises ConfigError if its data have changed."""
    machine.prepare(resolved.config.train.threads)
    device = resuming.device(stored, resolved)
    with _memory_errors():
        experiment = build(resolved.config, device)
    if experiment.source.fingerprint != stored.record["data"]["fingerprint"]:
        raise ConfigError(
            f"the data of {stored.directory} have changed since it began",
            help="put the original file back, or start a new run",
        )
    return experiment


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
    experiment: Experiment, run: Run, done: resuming.Done, stop: StopRequest, reporter: Reporter
) -> Outcome:
    """Run the loop, and write down how it ended."""
    steps, settings = experiment.config.train.steps, experiment.config.model_dump(mode="json")
    facts = Facts.of(str(run.directory), settings, experiment.device.type)
    reporter.start(Story(facts, done.step))
    with _endings(run), _memory_errors():
        complete = fit(experiment, run, done, stop=stop, reporter=reporter)
        if complete:
            run.event("finish", step=steps)
            run.finish(_summary(experiment, run))
    for difference in run.differences:
        reporter.say(f"warning: {difference}")
    if complete:
        return Outcome(run.directory)
    run.event("stop", reason=stop.reason, step=run.step)
    run.status("stopped", reason=stop.reason)
    command = resume_command(run.directory)
    why = "" if stop.signal else f" at --{stop.reason}"
    reporter.say(f"stopped after step {run.step}{why}; go on with: {command}")
    return Outcome(run.directory, stop.exit_code)


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
        "determinism": machine.determinism(experiment.device),
        "role": references.role(settings),
        "seed": settings.seed,
        "threads": settings.train.threads,
        "device": experiment.device.type,
        "steps": settings.train.steps,
        "config": settings.model_dump(mode="json"),
        "command": machine.command(),
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
