"""From the folder of a sweep to its numbers."""

from collections.abc import Mapping
from dataclasses import replace

from moe_lab.errors import ArtefactError
from moe_lab.report.outcomes import outcomes_of
from moe_lab.report.sweeps import MARGIN, Analysis, Outcomes, analyse
from moe_lab.store.sweep import RunState, StoredSweep


def read(sweep: StoredSweep, *, margin: float = MARGIN) -> Analysis:
    """A sweep as it is on disk now. A finished run whose files are damaged counts as failed, with the reason."""
    states = sweep.states()
    try:
        seen = _outcomes(sweep, states)
    except ArtefactError:  # one bad file must not hide a thousand good ones
        states = {name: _checked(sweep, found) for name, found in states.items()}
        seen = _outcomes(sweep, states)
    base = sweep.base.config.model_dump()
    chains = sweep.chains() if sweep.plan.rule else []
    return analyse(sweep.name, sweep.plan, base, states, seen, chains, margin=margin)


def _outcomes(sweep: StoredSweep, states: Mapping[str, RunState]) -> dict[str, Outcomes]:
    """Of the finished runs, by name."""
    finished = (found.run for found in states.values() if found.state == "finished")
    return {run.name: outcomes_of(sweep.run_directory(run)) for run in finished}


def _checked(sweep: StoredSweep, found: RunState) -> RunState:
    if found.state == "finished":
        try:
            outcomes_of(sweep.run_directory(found.run))
        except ArtefactError as error:
            return replace(found, state="failed", error=str(error))
    return found
