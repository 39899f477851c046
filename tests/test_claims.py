"""What the project says of its own configs, at five seeds and on real text."""

import json
import os
from collections import Counter
from math import log
from pathlib import Path
from typing import Any

import pytest
from conftest import small_text

from moe_lab import session
from moe_lab.config import load
from moe_lab.progress import Silent
from moe_lab.report.summary import summarize

CONFIGS = Path(__file__).parents[1] / "configs"
SHAKESPEARE = Path(__file__).parent / "data" / "shakespeare.txt"
PAIRED = (0, 1, 2)  # seeds at which the gaps are compared
SELDOM = ("eval.every=400", "checkpoint.every=400")  # neither changes the training
TEXT = os.environ.get("MOE_LAB_TEXT")


def run(runs: Path, config: Path | None, *overrides: str) -> dict[str, Any]:
    """The summary of a run."""
    resolved = load(config, overrides)
    outcome = session.train(resolved, runs_dir=runs, exact=True, reporter=Silent())
    return summarize(outcome.directory)


def shares(summary: dict[str, Any], moment: str) -> list[float]:
    """n_eff / E of every layer."""
    return [course[moment] / course["n_experts"] for course in summary["evidence"]]


def rungs(summary: dict[str, Any]) -> dict[str, float]:
    return {rung["rung"]: rung["loss"] for rung in summary["loss"]["ladder"]}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_the_router_collapses_in_training_and_a_balance_loss_prevents_it(tmp_path: Path, seed: int):
    collapsed, healthy = (
        run(tmp_path, CONFIGS / f"{name}.yaml", f"seed={seed}", *SELDOM)
        for name in ("collapse", "healthy")
    )
    for summary in (collapsed, healthy):
        assert min(shares(summary, "start")) > 0.55  # balanced at first
        assert rungs(summary)["bayes"] < summary["loss"]["lm_loss"] < rungs(summary)["bigram"]
    assert min(shares(collapsed, "end")) < 0.35
    assert min(shares(healthy, "end")) > 0.8
    assert collapsed["verdict"] == "collapsed"
    worst = collapsed["evidence"][collapsed["worst_layer"]]
    assert worst["onsets"][0] > 1
    assert len(worst["onsets"]) > len(worst["recoveries"])
    if seed in PAIRED:
        assert healthy["loss"]["gap"] < collapsed["loss"]["gap"]


def unigram_entropy(text: bytes) -> float:
    counts = Counter(text).values()
    return -sum(n / len(text) * log(n / len(text)) for n in counts)


def test_a_few_dozen_steps_on_text_beat_the_frequencies_of_its_bytes(tmp_path: Path):
    text = SHAKESPEARE.read_bytes()
    size = ("d_model=32", "d_expert=32", "seq_len=32", "batch_size=16")
    summary = run(tmp_path, None, *small_text(SHAKESPEARE, "steps=60", "lr=0.01", *size))
    assert summary["loss"]["lm_loss"] < unigram_entropy(text)
    assert summary["loss"]["gap"] is None
    assert rungs(summary) == {"uniform": log(256)}


@pytest.mark.slow
@pytest.mark.skipif(TEXT is None, reason="MOE_LAB_TEXT names no text of a megabyte or more")
def test_the_text_config_reaches_its_goal(tmp_path: Path):
    summary = run(tmp_path, CONFIGS / "text.yaml", f"data.path={TEXT}", "threads=1")
    assert summary["loss"]["lm_loss"] <= 1.75
    assert json.dumps(summary, allow_nan=False)
