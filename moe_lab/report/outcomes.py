"""What runs are compared by: a few values of each, stored when it finishes, so that a thousand are read at a glance."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from moe_lab.report import references
from moe_lab.report.references import References
from moe_lab.report.runs import open_run
from moe_lab.report.summary import summarize
from moe_lab.store.read import StoredRun

# Name in files to words in tables, in the order of a table.
SHOWN = {
    "verdict": "verdict",
    "worst_layer": "worst layer",
    "n_eff_start": "  n_eff at step 0",
    "n_eff_lowest": "  n_eff lowest",
    "n_eff_lowest_step": "    at step",
    "n_eff": "  n_eff at the end",
    "collapsed_since": "  collapse since step",
    "lm_loss": "lm_loss",
    "gap": "gap",
    "rho": "rho",
    "nmi": "nmi",
    "cv": "cv, mean over layers",
    "cv_worst": "cv, worst layer",
    "cv_floor": "cv_floor",
    "max_violation": "max_violation, worst layer",
    "dead_experts": "dead_experts, worst layer",
    "dropped": "dropped in training, worst layer",
    "aux_over_lm": "aux_loss / lm_loss",
    "router_grad_share": "router gradient from balance, largest",
    "lm_loss_fall": "fall of lm_loss in the last quarter",
    "balance_fall": "  and of the balance loss, relative",
    "tokens_per_s": "tokens_per_s",
}
OUTCOMES = tuple(name for name in SHOWN if name != "rho")  # rho depends on what lies beside a run


@dataclass(frozen=True)
class Glance:
    """A run as far as it is compared with others."""

    name: str
    directory: Path  # as given
    state: str
    step: int
    steps: int | None  # unknown to a monitor
    config: dict[str, Any]  # nested
    outcomes: dict[str, Any]  # by OUTCOMES; None where the run has none yet
    rho: float | None

    @property
    def seed(self) -> int | None:
        """Of all draws; unknown to a monitor."""
        seed: int | None = self.config["seed"]
        return seed

    @property
    def values(self) -> dict[str, Any]:
        """The outcomes and rho, by the names of SHOWN."""
        return {**self.outcomes, "rho": self.rho}

    @classmethod
    def of(cls, summary: dict[str, Any]) -> Self:
        """A glance at what `summarize` found."""
        kept = ("name", "state", "step", "steps", "config", "rho")
        return cls(
            **{key: summary[key] for key in kept},
            directory=Path(summary["directory"]),
            outcomes=outcomes(summary),
        )


def glances(directories: Sequence[Path]) -> list[Glance]:
    """Runs in the order given; a finished one is read from three small files, any other from its tables.

    Raises ArtefactError if one is no run or a file of it is corrupt.
    """
    known = references.beside(directories)
    return [_glance(*pair) for pair in zip(directories, known, strict=True)]


def outcomes_of(directory: Path) -> dict[str, Any]:
    """OUTCOMES of a finished run, which are all of it that is kept: of ten thousand runs, too.

    Raises ArtefactError as `glances` does.
    """
    return _stored(open_run(directory)) or reached(directory)


def reached(directory: Path) -> dict[str, Any]:
    """OUTCOMES of a run from its tables: what it stores at its end."""
    return outcomes(summarize(directory))


def outcomes(summary: dict[str, Any]) -> dict[str, Any]:
    """OUTCOMES of a full summary, as summary.json has them; None where a run has none yet.

    n_eff and collapsed_since are of the worst layer; cv is the mean over layers; max_violation, dead_experts and
    dropped are the worst of any layer, router_grad_share the largest.
    """
    loss, balance = summary["loss"], {row["layer"]: row for row in summary["balance"]}
    worst, mean = balance.get("worst", {}), balance.get("mean", {})
    course = next(
        (c for c in summary["evidence"] if c["layer"] == summary["worst_layer"]), dict[str, Any]()
    )
    collapses = course.get("onsets", ()) if summary["verdict"] == "collapsed" else ()
    shares = [s for s in summary["auxiliary"]["router_grad_share"].values() if s is not None]
    return {
        "verdict": summary["verdict"],
        "worst_layer": summary["worst_layer"],
        "n_eff_start": course.get("start"),
        "n_eff_lowest": course.get("lowest"),
        "n_eff_lowest_step": course.get("lowest_step"),
        "n_eff": course.get("end"),
        "collapsed_since": collapses[-1] if collapses else None,
        "lm_loss": loss.get("lm_loss"),
        "gap": loss.get("gap"),
        "nmi": loss.get("nmi"),
        "cv": mean.get("cv"),
        "cv_worst": worst.get("cv"),
        "cv_floor": mean.get("cv_floor"),
        "max_violation": worst.get("max_violation"),
        "dead_experts": worst.get("dead_experts"),
        "dropped": worst.get("dropped"),
        "aux_over_lm": summary["auxiliary"]["aux_over_lm"],
        "router_grad_share": max(shares, default=None),
        "lm_loss_fall": summary["auxiliary"]["lm_loss_fall"],
        "balance_fall": summary["auxiliary"]["balance_fall"],
        "tokens_per_s": summary["throughput"].get("tokens_per_s"),
    }


def _glance(directory: Path, known: References) -> Glance:
    run = open_run(directory)
    stored, summary = _stored(run), run.summary
    if summary is None or stored is None:
        return Glance.of(summarize(directory, known))
    return Glance(
        name=run.name,
        directory=directory,
        state=run.state,
        step=summary["steps"],
        steps=run.steps,
        config=run.config,
        outcomes=stored,
        rho=known.rho(run.record.get("role"), stored["lm_loss"]),
    )


def _stored(run: StoredRun) -> dict[str, Any] | None:
    """What a finished run has stored of OUTCOMES; None where it has others, or none."""
    return run.outcomes if run.outcomes.keys() == set(OUTCOMES) else None
