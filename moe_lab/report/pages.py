"""What a report consists of, before it is a terminal's table, Markdown or anything else."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

from moe_lab import escape
from moe_lab.report import compare, replicates
from moe_lab.report.layers import LAST
from moe_lab.report.outcomes import SHOWN, Glance

Summary = dict[str, Any]
ONE_RUN = "One seed is an anecdote: a difference between two runs carries no interval."
READING = (
    "floor: what uniformly random routing of as many tokens reads, by sampling alone. It tells noise\n"
    "from imbalance, not harmless from harmful.\n"
    f"dropped: mean over the last {LAST:.0%} of training steps; all else: last evaluation, without noise,\n"
    "or without any evaluation the same mean."
)
THIS = "this run"
SIDE_BY_SIDE = 6  # runs; more of them stand below each other, with their main outcomes
MAIN = (
    *("verdict", "worst_layer", "n_eff", "lm_loss", "gap"),
    *("cv_worst", "max_violation", "dead_experts"),
)
NOTES = {
    "gap": "exact mean KL divergence from the Bayes predictor",
    "nmi": "1: the expert tells the domain",
}


@dataclass(frozen=True)
class Note:
    """A line of text, or several."""

    text: str
    heading: bool = False


@dataclass(frozen=True)
class Sheet:
    """A table: its first column names the rows. A row without cells divides what stands above from what follows."""

    header: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    spare: tuple[
        str, ...
    ] = ()  # columns that a narrow terminal is not shown, the first to go first


Part = Note | Sheet


def one(summary: Summary, layers: Collection[int] | None = None) -> Iterator[Part]:
    """A single run; of its MoE layers all, or the given ones."""
    progress = _progress(*(summary[key] for key in ("state", "step", "steps")))
    yield Note(f"{escape.line(summary['name'])}: {_verdict(summary)}  ({progress})", heading=True)
    evidence = [c for c in summary["evidence"] if layers is None or c["layer"] in layers]
    if evidence:
        yield Note("\n".join(f"  {course['sentence']}" for course in evidence))
    yield _loss(summary["loss"])
    if summary["references"]:
        yield _references(summary)
    if sheets := layered(summary, layers):
        yield from sheets
        yield Note(READING)
    if hidden := len(summary["evidence"]) - len(evidence):
        yield Note(f"{hidden} layers not shown, use --all-layers")
    if summary["stability"]:
        yield _stability(summary["stability"])
    yield _auxiliary(summary["auxiliary"])
    yield _pairs("throughput (median)", summary["throughput"])
    yield _pairs("provenance", dict(compare.flat(summary["provenance"])))


def several(runs: Sequence[Glance]) -> Iterator[Part]:
    """Runs compared: first what was asked of them, then what came of it."""
    if replicates.are_replicated(runs):
        header, rows = replicates.rows(runs)
        yield Sheet(header, tuple(rows))
        yield Note(replicates.READING)
        return
    yield _side_by_side(runs) if len(runs) <= SIDE_BY_SIDE else _below_each_other(runs)
    yield Note(ONE_RUN)


def _side_by_side(runs: Sequence[Glance]) -> Sheet:
    asked = compare.differences(runs)
    return Sheet(
        ("", *(run.name for run in runs)),
        (
            ("steps", *(_progress(run.state, run.step, run.steps) for run in runs)),
            *((key, *values) for key, values in asked.items()),
            (),
            *((words, *(run.values[name] for run in runs)) for name, words in SHOWN.items()),
        ),
    )


def _below_each_other(runs: Sequence[Glance]) -> Sheet:
    asked = compare.differences(runs)
    rows = (
        (
            run.name,
            "finished" if run.state == "finished" else _progress(run.state, run.step, run.steps),
            *(values[i] for values in asked.values()),
            *(run.values[name] for name in MAIN),
        )
        for i, run in enumerate(runs)
    )
    return Sheet(("run", "state", *asked, *(SHOWN[name].strip() for name in MAIN)), tuple(rows))


def layered(summary: Summary, layers: Collection[int] | None = None) -> list[Sheet]:
    """What is measured per layer. Measures stand below each other: they are too many for a terminal's width."""
    floors = summary["floors"]
    balance = [{**row} for row in summary["balance"]]
    for row in balance:
        row.pop("cv_floor", None)  # stands in the column of floors
    tables = {"balance per layer": balance, "router per layer": summary["router"]}
    return [_layers(title, rows, floors, layers) for title, rows in tables.items() if rows]


def worst_layers(summary: Summary, number: int) -> list[int]:
    """The layers of lowest n_eff at the end, or else of lowest at all."""
    ends = {c["layer"]: c["end"] or c["lowest"] or 0.0 for c in summary["evidence"]}
    return sorted(ends, key=ends.__getitem__)[:number]


def _layers(
    title: str,
    rows: Sequence[dict[str, Any]],
    floors: dict[str, float],
    layers: Collection[int] | None,
) -> Sheet:
    kept = [
        r for r in rows if layers is None or isinstance(r["layer"], str) or r["layer"] in layers
    ]
    measured = [n for n in rows[0] if n != "layer" and any(row[n] is not None for row in rows)]
    header = (title, *(str(row["layer"]) for row in kept), "floor")
    lines = ((name, *(row[name] for row in kept), floors.get(name)) for name in measured)
    return Sheet(header, tuple(lines))


def _verdict(summary: Summary) -> str:
    """Of the worst layer; a dash for a model without experts."""
    dense = not summary["evidence"] and "lm_loss" in summary["loss"]
    return summary["verdict"] or ("-" if dense else "no verdict yet")


def _progress(state: str, step: int, steps: int | None) -> str:
    return f"{state}, {step}" + (f" of {steps}" if steps else " steps")


def _loss(loss: dict[str, Any]) -> Sheet:
    """Loss beside the rungs that need no training, worst first, then all else that an evaluation found."""
    rows: list[tuple[Any, ...]] = [
        (rung["rung"], rung["loss"], f"+/- {rung['error']:.4g}" if rung["error"] else "")
        for rung in loss["ladder"]
    ]
    if "lm_loss" in loss:
        nats = loss["lm_loss"]
        rows.append(("lm_loss", nats, f"held-out, step {loss['step']:.0f}"))
        bits = None if nats is None else nats / log(2)
        rows.append(("  in bits", bits, "per token (text: per byte)"))
        others = (name for name in loss if name not in ("ladder", "step", "lm_loss"))
        rows += [(name, loss[name], NOTES.get(name, "")) for name in others]
    return Sheet(("loss, nats per token", "", ""), tuple(rows))


def _references(summary: Summary) -> Sheet:
    """Reference runs from the best to the worst, and this run's place between them."""
    own = summary["loss"]["lm_loss"]
    ranked = sorted({**summary["references"], THIS: own}.items(), key=lambda item: item[1])
    rho = (("rho", summary["rho"], "0: as `single`, total collapse; 1: as `domain`, the truth"),)
    rows = tuple((arm, value, f"{value - own:+.4g}") for arm, value in ranked)
    return Sheet(("lm_loss of references, same seed", "", "to this run"), (*rows, (), *rho))


def _stability(rows: Sequence[dict[str, Any]]) -> Sheet:
    """Means over layers at each evaluation."""

    def mean(step: int, name: str) -> float | None:
        known = [row[name] for row in rows if row["step"] == step and row[name] is not None]
        return sum(known) / len(known) if known else None

    names = ("saturation", "saturation_chance", "fluctuation")
    steps = dict.fromkeys(row["step"] for row in rows)
    lines = ((step, *(mean(step, name) for name in names)) for step in steps)
    return Sheet(("choices by step, mean over layers", *names), tuple(lines))


def _auxiliary(auxiliary: dict[str, Any]) -> Sheet:
    shares = auxiliary["router_grad_share"]
    words = ", ".join(f"layer {layer} {_percent(share) or '-'}" for layer, share in shares.items())
    measured = auxiliary["router_grad_step"]
    step = "" if measured is None else f", step {measured}"
    pairs = {
        "balance": auxiliary["balance"],
        "alpha": auxiliary["alpha"],
        "aux_loss / lm_loss": _percent(auxiliary["aux_over_lm"]),
        f"share of router gradient{step}": words or None,
    }
    return _pairs("auxiliary loss", pairs)


def _pairs(title: str, pairs: dict[str, Any]) -> Sheet:
    return Sheet((title, ""), tuple(pairs.items()))


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.2%}"
