"""Where a loss stands between reference runs of the same configuration and seed.

The loss is lm_loss on the same held-out tokens. The gap would not do: it is the divergence from a predictor that is not
told the domain, and grows when a router that is told it makes the model know more than that.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moe_lab.errors import ArtefactError
from moe_lab.store import layout
from moe_lab.store.read import StoredRun, is_finished
from moe_lab.store.tables import last_row

WORST, BEST = "single", "domain"  # between which efficiency is measured


@dataclass(frozen=True)
class Reference:
    """A finished reference run."""

    role: Mapping[str, Any]  # of run.json
    lm_loss: float  # of the last evaluation


def found_in(runs_dir: Path) -> list[Reference]:
    """The finished reference runs of a folder; what cannot be read is none."""
    beside = (path for path in runs_dir.iterdir() if not path.name.startswith("."))
    read = (_read(path) for path in sorted(beside) if path.is_dir() and is_finished(path))
    return [reference for reference in read if reference]


def losses(role: Mapping[str, Any], references: Iterable[Reference]) -> dict[str, float]:
    """The loss of each reference that a run with this role can be compared with, by assignment."""
    return {
        str(reference.role["reference"]): reference.lm_loss
        for reference in references
        if _matches(role, reference.role)
    }


def efficiency(loss: float, references: Mapping[str, float]) -> float | None:
    """Routing efficiency (L_single - L)/(L_single - L_domain): 0 as total collapse, 1 as routing by the true domain.

    None without both references, or where the domains are not worth knowing: L_domain >= L_single.
    """
    if WORST not in references or BEST not in references:
        return None
    worth = references[WORST] - references[BEST]
    return (references[WORST] - loss) / worth if worth > 0 else None


def _matches(role: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Same data, model, seed and gates; a dense model has no gates."""
    if other["reference"] == "dense":
        return bool(role["comparable_dense"] == other["comparable_dense"])
    return bool(role["comparable"] == other["comparable"] and role["gate"] == other["gate"])


def _read(directory: Path) -> Reference | None:
    try:
        role = StoredRun(directory).record.get("role")
        if not role or role["reference"] is None:
            return None
        return Reference(role, float(last_row(layout.table(directory, "eval"))["lm_loss"]))
    except ArtefactError:
        return None
