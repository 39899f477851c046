"""Subjects whose loads are given, and what a figure's definition draws, read without our own code."""

from collections import Counter
from collections.abc import Sequence
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from moe_lab.columns import experts
from moe_lab.figures.base import Figure
from moe_lab.figures.subject import Subject

from . import seen

Loads = Sequence[Sequence[float]]
TOKENS = 10_000  # assignments of a row


def subject_of(
    run: Path,
    trained: dict[int, Loads],
    held_out: dict[int, dict[int, Sequence[float]]] | None = None,
    *,
    top_k: int = 1,
    assignments: int = TOKENS,
) -> Subject:
    """Loads by layer, of training from step 1 on and of evaluations by their steps; `run` lends its folder."""
    found = [
        ("train", layer, step, q)
        for layer, rows in trained.items()
        for step, q in enumerate(rows, 1)
    ]
    found += [
        ("eval", layer, step, q)
        for layer, rows in (held_out or {}).items()
        for step, q in rows.items()
    ]
    n_experts = len(found[0][3]) if found else 2
    place = pd.DataFrame(
        [(step, split, layer) for split, layer, step, _ in found],
        columns=["step", "split", "layer"],
    )
    loads = np.array([q for *_, q in found], dtype=float).reshape(-1, n_experts)
    return seen.subject(
        run,
        utilization=pd.concat([place, pd.DataFrame(loads, columns=experts(n_experts))], axis=1),
        cv=place.assign(assignments=assignments, n_eff=[_n_eff(q) for q in loads]),
        config={"moe": {"n_experts": n_experts, "top_k": top_k}},
    )


def _n_eff(load: Sequence[float]) -> float:
    return exp(-sum(q * log(q) for q in load if q > 0))


def tables(figure: Figure) -> list[list[dict[str, Any]]]:
    """The rows of each panel, of those with lists, in the order of panels."""
    spec = figure.spec()
    return [spec["datasets"][(spec | panel)["data"]["name"]] for panel in spec["concat"]]


def titles(figure: Figure) -> list[tuple[str, str]]:
    """Both lines of each panel's title."""
    return [
        (panel["title"]["text"], panel["title"]["subtitle"]) for panel in figure.spec()["concat"]
    ]


def marks(figure: Figure) -> Counter[str]:
    """How many marks of each kind Vega makes of data."""
    return Counter(kind for kind, _ in seen.marks(figure))
