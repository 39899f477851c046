"""Where a loss stands between reference runs of the same configuration and seed.

The loss is lm_loss on the same held-out tokens. The gap would not do: it is the divergence from a predictor that is not
told the domain, and grows when a router that is told it makes the model know more than that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from moe_lab.errors import ArtefactError
from moe_lab.report.runs import open_run
from moe_lab.store import files, layout
from moe_lab.store.read import StoredRun, is_finished
from moe_lab.store.table_reading import last_numbers

WORST, BEST = "single", "domain"  # between which efficiency is measured
DENSE = "dense"


@dataclass(frozen=True)
class Reference:
    """A finished reference run."""

    role: Mapping[str, Any]  # of run.json
    lm_loss: float  # of the last evaluation


@dataclass(frozen=True)
class References:
    """The finished reference runs of a folder."""

    runs: tuple[Reference, ...] = ()

    def losses(self, role: Mapping[str, Any]) -> dict[str, float]:
        """The loss of each reference that a run with this role can be compared with, by assignment."""
        fitting = (self._by_key.get(_key(role, dense=dense), {}) for dense in (False, True))
        return {name: loss for losses in fitting for name, loss in losses.items()}

    def rho(self, role: Mapping[str, Any] | None, loss: float | None) -> float | None:
        """Routing efficiency of a run; None for one without a loss or of a version, or loop, that gives no role."""
        return None if role is None or loss is None else efficiency(loss, self.losses(role))

    @cached_property
    def _by_key(self) -> dict[tuple[str, ...], dict[str, float]]:
        found: dict[tuple[str, ...], dict[str, float]] = {}
        for reference in self.runs:
            name = str(reference.role["reference"])
            key = _key(reference.role, dense=name == DENSE)
            found.setdefault(key, {})[name] = reference.lm_loss
        return found


NONE = References()


def beside(directories: Sequence[Path]) -> list[References]:
    """What lies beside each run; every folder is searched once."""
    folders = [directory.resolve().parent for directory in directories]
    known = {folder: found_in(folder) for folder in dict.fromkeys(folders)}
    return [known[folder] for folder in folders]


def found_in(runs_dir: Path) -> References:
    """The finished reference runs of a folder; what cannot be read is none."""
    try:
        shown = [path for path in files.entries(runs_dir) if not path.name.startswith(".")]
    except (OSError, ArtefactError):
        return NONE
    read = (_read(path) for path in shown if path.is_dir() and is_finished(path))
    return References(tuple(reference for reference in read if reference))


def efficiency(loss: float, references: Mapping[str, float]) -> float | None:
    """Routing efficiency (L_single - L)/(L_single - L_domain): 0 as total collapse, 1 as routing by the true domain.

    None without both references, or where the domains are not worth knowing: L_domain >= L_single.
    """
    if WORST not in references or BEST not in references:
        return None
    worth = references[WORST] - references[BEST]
    return (references[WORST] - loss) / worth if worth > 0 else None


def _key(role: Mapping[str, Any], *, dense: bool) -> tuple[str, ...]:
    """What a run shares with its references: data, model, seed and gates; a dense model has no gates."""
    return (role["comparable_dense"],) if dense else (role["comparable"], role["gate"])


def _read(directory: Path) -> Reference | None:
    try:
        role = StoredRun(directory).record.get("role")
        if not isinstance(role, dict) or role.get("reference") is None:
            return None
        run = open_run(directory)
        loss = run.outcomes.get("lm_loss")
        if loss is None:
            loss = last_numbers(layout.table(directory, "eval"), ["lm_loss"])["lm_loss"]
        return None if loss is None else Reference(role, loss)
    except ArtefactError:
        return None
