"""One run as plain numbers: what its report shows and what `--format json` prints."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moe_lab import metrics
from moe_lab.report import diagnosis, layers, references, runs, stability, trends
from moe_lab.report.layers import plain
from moe_lab.report.references import References

if TYPE_CHECKING:
    import pandas as pd


def summarize_all(directories: Sequence[Path]) -> list[dict[str, Any]]:
    """The summaries of several runs."""
    known = references.beside(directories)
    return [summarize(*pair) for pair in zip(directories, known, strict=True)]


def summarize(directory: Path, known: References = references.NONE) -> dict[str, Any]:
    """Everything a report says about a run, finished or not, read to its last whole row.

    Raises ArtefactError if it is no run or a file of it is corrupt.
    """
    run = runs.open_run(directory)
    config, record = run.config, run.record
    names = ("utilization", "cv", "steps", "eval", "timing", "aux_loss")
    tables = {name: runs.read(run, name) for name in names}
    courses = diagnosis.courses(tables["utilization"], tables["cv"], config["moe"]["top_k"])
    worst = diagnosis.worst(courses)
    done = int(tables["timing"]["step"].max()) if len(tables["timing"]) else 0
    return {
        "name": run.name,
        "directory": str(directory),
        "state": run.state,
        "step": done,
        "steps": run.steps,  # unknown to a monitor
        "verdict": worst.verdict if worst else None,
        "evidence": [vars(course) | {"sentence": course.sentence()} for course in courses],
        "worst_layer": worst.layer if worst else None,
        "loss": _loss(tables["eval"], record),
        **_between(tables["eval"], record, known),
        "floors": _floors(tables["cv"], config["moe"]),
        "balance": layers.balance(tables["cv"]),
        "router": layers.router(runs.read(run, "router")) if run.has_table("router") else [],
        "stability": stability.rows(run),
        "auxiliary": _auxiliary(tables["aux_loss"], tables["steps"], config),
        "throughput": _throughput(tables["timing"]),
        "provenance": _provenance(record),
        "config": config,
    }


def _loss(evaluations: "pd.DataFrame", record: dict[str, Any]) -> dict[str, Any]:
    ladder = record["data"]["ladder"]
    if evaluations.empty:
        return {"ladder": ladder}
    last = {name: plain(value) for name, value in evaluations.iloc[-1].items()}
    return last | {"ladder": ladder}


def _between(
    evaluations: "pd.DataFrame", record: dict[str, Any], known: References
) -> dict[str, Any]:
    """What reference runs of the same configuration and seed reached, and routing efficiency between them."""
    if record.get("role") is None or evaluations.empty or "lm_loss" not in evaluations:
        return {"references": {}, "rho": None}
    role, loss = record["role"], float(evaluations["lm_loss"].iloc[-1])
    return {"references": known.losses(role), "rho": known.rho(role, loss)}


def _floors(cv: "pd.DataFrame", moe: dict[str, Any]) -> dict[str, float]:
    """What uniformly random routing of as many tokens as the measures are of reads."""
    assignments = layers.measured(cv)["assignments"]
    if assignments.empty:
        return {}
    tokens = int(assignments.iloc[0]) // moe["top_k"]
    return metrics.floors(moe["n_experts"], moe["top_k"], tokens)


def _auxiliary(
    aux: "pd.DataFrame", steps: "pd.DataFrame", config: dict[str, Any]
) -> dict[str, Any]:
    """How large the balance losses are beside the task's, in value and in the router's gradient."""
    recent = layers.last_steps(steps)
    measured = aux[aux["grad_task"].notna()]
    share = measured["grad_balance"] / (measured["grad_balance"] + measured["grad_task"])
    shares = share.groupby(measured["layer"]).last()
    name = config["moe"].get("balance", {}).get("name")  # a monitor does not know it
    return {
        "balance": name,
        # a balancer without a loss is weighed by nothing
        "alpha": config["moe"]["alpha"] if f"{name}_raw" in aux else None,
        **trends.falls(steps, aux, name),
        "aux_over_lm": plain((recent["aux_loss"] / recent["lm_loss"]).mean()),
        "router_grad_share": {str(layer): plain(value) for layer, value in shares.items()},
        "router_grad_step": int(measured["step"].max()) if len(measured) else None,
    }


def _throughput(timing: "pd.DataFrame") -> dict[str, Any]:
    if timing.empty:
        return {}
    return {
        "tokens_per_s": plain(timing["tokens_per_s"].median()),
        "step_ms": plain(timing["step_ms"].median()),
        "elapsed_s": plain(timing["elapsed_s"].iloc[-1]),
        "memory_mb": plain(timing["memory_mb"].max()),
    }


def _provenance(record: dict[str, Any]) -> dict[str, Any]:
    kept = ("seed", "device", "threads", "versions", "host", "git", "parameters", "command")
    return {key: record[key] for key in (*kept, "created", "id")} | {
        "data_fingerprint": record["data"]["fingerprint"]
    }
