"""One run as plain numbers: what its report shows and what `--format json` prints."""

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moe_lab.report import diagnosis
from moe_lab.store.read import StoredRun

if TYPE_CHECKING:
    import pandas as pd

LAST = 0.1  # share of the steps that a training value is averaged over
BALANCE = (
    "cv",
    "cv_floor",
    "max_violation",
    "n_eff",
    "entropy",
    "collapse_index",
    "dead_experts",
    "dropped",
    "router_entropy",
    "margin",
    "router_ties",
)
LOWEST_IS_WORST = ("n_eff", "entropy")
ONLY_MEAN = ("cv_floor", "router_entropy", "margin")  # neither end is worse


def summarize(directory: Path) -> dict[str, Any]:
    """Everything a report says about a run, finished or not, read to its last whole row.

    Raises ArtefactError if it is no run or a file of it is corrupt.
    """
    run = StoredRun(directory)
    config, record = run.config, run.record
    tables = {name: run.table(name) for name in ("utilization", "cv", "steps", "eval", "timing")}
    courses = diagnosis.courses(tables["utilization"], tables["cv"], config["moe"]["top_k"])
    worst = diagnosis.worst(courses)
    done = int(tables["timing"]["step"].max()) if len(tables["timing"]) else 0
    return {
        "name": run.name,
        "directory": str(directory),
        "state": _state(run),
        "step": done,
        "steps": config["train"]["steps"],
        "verdict": worst.verdict if worst else None,
        "evidence": [vars(course) | {"sentence": course.sentence()} for course in courses],
        "worst_layer": worst.layer if worst else None,
        "loss": _loss(tables["eval"], record),
        "balance": _balance(tables["cv"]),
        "auxiliary": _auxiliary(run.table("aux_loss"), tables["steps"], config),
        "throughput": _throughput(tables["timing"]),
        "provenance": _provenance(record),
        "config": config,
    }


def _state(run: StoredRun) -> str:
    """The state in status.json, unless it says running and no process writes the run."""
    state = str(run.status["state"])
    return "interrupted" if state == "running" and not run.is_alive else state


def _loss(evaluations: "pd.DataFrame", record: dict[str, Any]) -> dict[str, Any]:
    ladder = record["data"]["ladder"]
    if evaluations.empty:
        return {"ladder": ladder}
    last = {name: _plain(value) for name, value in evaluations.iloc[-1].items()}
    return last | {"ladder": ladder}


def _balance(cv: "pd.DataFrame") -> list[dict[str, Any]]:
    """Per layer the last evaluation, but drops as in training; then mean and worst over layers."""
    evaluated = cv[cv["split"] == "eval"]
    if evaluated.empty:
        return []
    last = evaluated[evaluated["step"] == evaluated["step"].max()].set_index("layer")
    rows = last[list(BALANCE)].assign(dropped=_recent(cv, "dropped"))
    layers = [{"layer": int(str(i)), **_plain_row(row)} for i, row in rows.iterrows()]
    mean = _plain_row(rows.mean())
    worst = _plain_row(rows.max()) | {name: _plain(rows[name].min()) for name in LOWEST_IS_WORST}
    return [
        *layers,
        {"layer": "mean", **mean},
        {"layer": "worst", **worst, **dict.fromkeys(ONLY_MEAN)},
    ]


def _recent(table: "pd.DataFrame", column: str) -> "pd.Series":
    """Per layer the mean of a column over the last steps of training."""
    rows = _last_steps(table[table["split"] == "train"])
    means: pd.Series = rows.groupby("layer")[column].mean()
    return means


def _last_steps(table: "pd.DataFrame") -> "pd.DataFrame":
    rows: pd.DataFrame = table[table["step"] > (1 - LAST) * table["step"].max()]
    return rows


def _auxiliary(
    aux: "pd.DataFrame", steps: "pd.DataFrame", config: dict[str, Any]
) -> dict[str, Any]:
    """How large the balance losses are beside the task's, in value and in the router's gradient."""
    recent = _last_steps(steps)
    measured = aux[aux["grad_task"].notna()]
    share = measured["grad_balance"] / (measured["grad_balance"] + measured["grad_task"])
    layers = share.groupby(measured["layer"]).last()
    return {
        "balance": config["moe"]["balance"]["name"],
        "alpha": config["moe"]["alpha"],
        "aux_over_lm": _plain((recent["aux_loss"] / recent["lm_loss"]).mean()),
        "router_grad_share": {str(layer): _plain(value) for layer, value in layers.items()},
        "router_grad_step": int(measured["step"].max()) if len(measured) else None,
    }


def _throughput(timing: "pd.DataFrame") -> dict[str, Any]:
    if timing.empty:
        return {}
    return {
        "tokens_per_s": _plain(timing["tokens_per_s"].median()),
        "step_ms": _plain(timing["step_ms"].median()),
        "elapsed_s": _plain(timing["elapsed_s"].iloc[-1]),
        "memory_mb": _plain(timing["memory_mb"].max()),
    }


def _provenance(record: dict[str, Any]) -> dict[str, Any]:
    kept = ("seed", "device", "threads", "versions", "host", "git", "parameters", "command")
    return {key: record[key] for key in (*kept, "created", "id")} | {
        "data_fingerprint": record["data"]["fingerprint"]
    }


def _plain_row(row: "pd.Series") -> dict[str, float | None]:
    return {str(name): _plain(value) for name, value in row.items()}


def _plain(value: Any) -> float | None:
    """A number for JSON, which has no nan and no inf; a blank cell is None."""
    return float(value) if isfinite(value) else None
