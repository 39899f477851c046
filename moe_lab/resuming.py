"""What a run may go on with: the settings that it began with, more steps, and a machine that may be another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from moe_lab import config, machine
from moe_lab.config import Resolved, dump
from moe_lab.config.schema import Train
from moe_lab.errors import ConfigError, Place, Problem
from moe_lab.plan import unequal
from moe_lab.progress import Reporter
from moe_lab.ranks import ALONE, Ranks
from moe_lab.store import layout
from moe_lab.store.commit import State
from moe_lab.store.disk import Disk
from moe_lab.store.folders import resume_command
from moe_lab.store.read import StoredRun, normal
from moe_lab.store.run import Run

STEPS = "train.steps"  # may grow
MAY_DIFFER = (STEPS, "checkpoint.every", "checkpoint.keep")  # all else is in the results


@dataclass(frozen=True)
class Done:
    """Where a loop goes on: its step, whether that was evaluated if it is to be, and the seconds until then."""

    step: int = 0
    evaluated: bool = False
    elapsed_s: float = 0.0


def done(state: State, elapsed_s: float = 0.0) -> Done:
    """Where a run goes on from a checkpoint."""
    evaluated = state.extra.get("evaluated", state.step > 0)  # the first version did not say
    return Done(state.step, evaluated, elapsed_s)


def elapsed_s(stored: StoredRun) -> float:
    """Training time of a run so far."""
    elapsed = stored.table("timing")["elapsed_s"]
    return float(elapsed.iloc[-1]) if len(elapsed) else 0.0


def settings(stored: StoredRun, overrides: Sequence[str] = ()) -> Resolved | None:
    """resolved.yaml of a run, with `key=value` that win over it; None if the run has nothing left to do.

    Raises ConfigError, with all that differs, if a run did not begin with that, but for MAY_DIFFER.
    """
    path = stored.directory / layout.RESOLVED
    resolved = config.load(path, overrides, data_exists=False)
    if refusals := list(_refusals(stored, resolved, Place(str(path)))):
        raise ConfigError.of(refusals)
    if stored.is_finished and resolved.config.train.steps == stored.steps:
        return None
    return config.load(path, overrides)  # looks for the data, which a finished run may have lost


def _refusals(stored: StoredRun, resolved: Resolved, file: Place) -> Iterator[Problem]:
    steps, before = resolved.config.train.steps, stored.steps or 0
    if steps < before:
        message = f"'{STEPS}' is {steps}, but the run was to make {before}: steps can only grow"
        yield Problem(message, resolved.locate(STEPS) or file)
    for key, began, now in unequal(stored.config, normal(resolved.config.model_dump(mode="json"))):
        if key not in MAY_DIFFER:
            message = f"'{key}' is {dump.flow(now)}, but the run began with {dump.flow(began)}"
            remedy = "put it back, or start a new run: only train.steps can change, and only grow"
            yield Problem(message, resolved.locate(key) or file, remedy)


def keep_settings(run: Run, disk: Disk, stored: StoredRun, resolved: Resolved) -> None:
    """Store what a run goes on with; of a finished one that is to make more steps, the summary goes.

    Whenever this is cut off, the next resume goes on with it.
    """
    path, before = run.directory / layout.RESOLVED, stored.steps or 0
    steps = resolved.config.train.steps
    if steps > before:
        run.forget_rows()
    text = dump.to_yaml(resolved.config, _origins(path, resolved)).encode()
    if text != path.read_bytes():
        disk.replace(path, text)
    if steps > before:
        disk.discard(run.directory / layout.SUMMARY)
        disk.sync_folder(run.directory)
        run.event("extend", **{"from": before, "to": steps})


def _origins(path: Path, resolved: Resolved) -> dict[str, str]:
    """The origin of every value: what its line of resolved.yaml says, or the command line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = {}
    for key, origin in resolved.origins.items():
        place = resolved.locate(key)
        said = lines[place.line - 1].rpartition("  # ")[2] if place and place.line else ""
        found[key] = said or origin
    return found


def refuse_other_ranks(stored: StoredRun, ranks: Ranks) -> None:
    """Raises ConfigError unless as many ranks go on with a run as it began with."""
    began = stored.record.get("world_size", 1)
    if began == ranks.world_size:
        return
    raise ConfigError(
        f"{stored.directory} was begun by {began} rank{'s' * (began > 1)}, and {ranks.world_size} would go on with it: "
        "capacity and the scopes of balance losses depend on how a batch is shared, and sums on their order",
        help=f"go on with: {resume_command(stored.directory)}",
    )


def device(stored: StoredRun, resolved: Resolved, ranks: Ranks = ALONE) -> torch.device:
    """The device that a run began on; another one only where the run may choose and that is not there."""
    wanted = resolved.config.train.device if stored.record["device"] == "cuda" else "cpu"
    return machine.device(wanted, resolved.locate("train.device"), ranks.local_rank)


def tell(run: Run, stored: StoredRun, train: Train, on: torch.device, reporter: Reporter) -> None:
    """What a person should know of a run that goes on: damage, another machine, a schedule that was another."""
    changed = machine_differences(stored, on)
    warnings = list(run.skipped)
    if changed:
        warnings.append(f"results will not be bitwise identical: {', '.join(changed)}")
    if run.step and train.steps > (stored.steps or 0) and train.lr_schedule != "constant":
        rates = f"steps 1 to {run.step} had the learning rates of {stored.steps} steps"
        warnings.append(f"train.lr_schedule is {train.lr_schedule}: {rates}")
    for warning in warnings:
        reporter.say(f"warning: {warning}")
    run.event("resume", step=run.step, changed=changed)


def machine_differences(stored: StoredRun, on: torch.device) -> list[str]:
    """What decides the bits of a result and is not as it was when a run began, as `torch 2.13.0 -> 2.12.0`."""
    here = {**machine.describe(on), "device": on.type}
    changed = {key: f"{there} -> {now}" for key, there, now in unequal(stored.record, here)}
    return [f"{k.rpartition('.')[2]} {changed[k]}" for k in machine.DEPENDS_ON if k in changed]
