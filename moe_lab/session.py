"""A run from outside the loop: begun in a new folder or resumed in its own, ended in one of the ways a run can."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from moe_lab import config, machine, references, resuming
from moe_lab.config import Resolved
from moe_lab.errors import ConfigError, DivergedError, EngineError, OutOfMemoryError
from moe_lab.experiment import Experiment, build
from moe_lab.loop import fit
from moe_lab.progress import Facts, Reporter, Story
from moe_lab.ranks import ALONE, Ranks
from moe_lab.record import record, room, summary
from moe_lab.report.references import found_in
from moe_lab.rows import headers
from moe_lab.sharing import Begun, opened
from moe_lab.signals import StopRequest
from moe_lab.store import layout
from moe_lab.store.disk import DISK, Disk
from moe_lab.store.folders import preflight, refuse_existing, resume_command
from moe_lab.store.read import StoredRun
from moe_lab.store.run import Run
from moe_lab.store.writer import Writer


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
    ranks: Ranks = ALONE,
) -> Outcome:
    """Train one run under runs_dir; `exact` refuses a name that exists instead of numbering it.

    stop: what asks for a stop, heeded from the moment that a folder is made; by default signals alone.
    ranks: those that all call this, of which the first writes.
    Raises ConfigError, StorageError, OutOfMemoryError before anything is written, DivergedError and EngineError after.
    """
    settings = resolved.config
    with ranks.together():
        if exact and ranks.first:
            refuse_existing(runs_dir / settings.name)
        place = resolved.locate("train.device")
        machine.prepare(settings.train.threads)
        device = machine.device(settings.train.device, place, ranks.local_rank)
        experiment = _build(resolved, device, ranks)

    def begin(open_run: ExitStack) -> Begun:
        tables, state = headers(experiment), experiment.state(0, evaluated=False)
        preflight(runs_dir, room(experiment, tables, state), disk)
        run = Run.create(
            runs_dir=runs_dir,
            name=settings.name,
            exact=exact,
            config=resolved.raw,
            resolved=resolved.dump(),
            record=record(experiment),
            tables=tables,
            state=state,
            disk=disk,
        )
        open_run.enter_context(run).event("start")
        return run, state, resuming.Done()

    with stop or StopRequest(ranks=ranks) as stop, opened(experiment, begin) as (run, done):
        return _go(experiment, run, done, stop, reporter)


def resume(
    directory: Path,
    overrides: Sequence[str] = (),
    *,
    reporter: Reporter,
    stop: StopRequest | None = None,
    disk: Disk = DISK,
    ranks: Ranks = ALONE,
) -> Outcome:
    """Go on from a run's newest intact checkpoint; a finished run is left as it is, unless it is to make more steps.

    overrides: `key=value`, as steps=800. A run that was given more steps equals one that was begun with them if its
    learning rate is constant, and the step that it had ended with is logged and evaluated there, too.
    Raises ConfigError for settings or a number of ranks that it did not begin with, but what `resuming` lets differ.
    """
    with ranks.together():  # all have read when the first goes on to write
        stored = StoredRun(directory)
        resolved = _settings(stored, overrides)
        if resolved is None:
            reporter.say(f"{directory} is finished: nothing to do")
            return Outcome(directory)
        resuming.refuse_other_ranks(stored, ranks)
        experiment = _rebuild(stored, resolved, ranks)

    def begin(open_run: ExitStack) -> Begun:
        run, state = Run.reopen(directory, disk)  # cuts tables back: after all that can be refused
        open_run.enter_context(run)
        experiment.restore(state)
        preflight(directory, room(experiment, headers(experiment), state), disk)
        resuming.tell(run, stored, resolved.config.train, experiment.device, reporter)
        resuming.keep_settings(run, disk, stored, resolved)
        return run, state, resuming.done(state, resuming.elapsed_s(stored))

    with stop or StopRequest(ranks=ranks) as stop, opened(experiment, begin) as (run, done):
        return _go(experiment, run, done, stop, reporter)


def _settings(stored: StoredRun, overrides: Sequence[str]) -> Resolved | None:
    """What a run goes on with; None if it has nothing left to do."""
    if not stored.is_recorded:
        return resuming.settings(stored, overrides)
    if not stored.is_finished:
        raise ConfigError(
            f"{stored.directory} was recorded from another program, which alone can go on",
            help="go on there, with a RouterMonitor on a new directory",
        )
    return None


def _build(resolved: Resolved, device: torch.device, ranks: Ranks) -> Experiment:
    """The parts of a run. Raises ConfigError if a rank would have no sequence, OutOfMemoryError."""
    if (sequences := resolved.config.train.batch_size) < ranks.world_size:
        raise ConfigError(
            f"{ranks.world_size} ranks cannot share 'train.batch_size' {sequences}: each needs a sequence",
            help=f"use at most {sequences} processes, or a larger batch",
            place=resolved.locate("train.batch_size"),
        )
    with _memory_errors():
        return build(resolved.config, device, ranks)


def _rebuild(stored: StoredRun, resolved: Resolved, ranks: Ranks) -> Experiment:
    """The parts of a run as they were when it began. Raises ConfigError if its data have changed."""
    machine.prepare(resolved.config.train.threads)
    experiment = _build(resolved, resuming.device(stored, resolved, ranks), ranks)
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
    experiment: Experiment, run: Writer, done: resuming.Done, stop: StopRequest, reporter: Reporter
) -> Outcome:
    """Run the loop, and write down how it ended; no rank leaves before that is written."""
    steps, settings = experiment.config.train.steps, experiment.config.model_dump(mode="json")
    facts = Facts.of(str(run.directory), settings, experiment.device.type)
    reporter.start(Story(facts, done.step))
    with _endings(run), _memory_errors():
        complete = fit(experiment, run, done, stop=stop, reporter=reporter)
        if complete:
            run.event("finish", step=steps)
        if complete and isinstance(run, Run):  # another rank has no tables to sum up
            run.finish(summary(experiment, run))
    for difference in run.differences:
        reporter.say(f"warning: {difference}")
    if not complete:
        run.event("stop", reason=stop.reason, step=run.step)
        run.status("stopped", reason=stop.reason)
        command = resume_command(run.directory)
        why = "" if stop.signal else f" at --{stop.reason}"
        reporter.say(f"stopped after step {run.step}{why}; go on with: {command}")
    experiment.ranks.gather(0)
    return Outcome(run.directory, 0 if complete else stop.exit_code)


@contextmanager
def _endings(run: Writer) -> Iterator[None]:
    """Status, event and log of a run that ends by an error, which goes on to the caller."""
    try:
        yield
    except EngineError as error:
        run.fail(error)
        command = resume_command(run.directory)
        raise EngineError(
            str(error), help=f"step {run.step} is intact; go on with: {command}"
        ) from error
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
