import shutil
from itertools import combinations
from math import log2
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from metrics.conftest import choices

from moe_lab.figures.base import Absent
from moe_lab.figures.coactivation import LIMIT, Pairs, coactivation
from moe_lab.figures.subject import Subject
from moe_lab.metrics.pairs import coactivation_counts, free_pairs

from .seen import data, figure, subject, visible

# 4 experts of equal load, k = 2: {0, 2} and {1, 3} always together.
TEAMS = np.array([[0, 2], [1, 3]] * 30)


def pairs(chosen: np.ndarray, n_experts: int) -> Pairs:
    counts = coactivation_counts(chosen, n_experts)
    free = free_pairs(counts, top_k=chosen.shape[1])
    assert free is not None
    return Pairs.of(counts, free)


def test_teams_stand_together_and_far_from_what_load_implies():
    found = pairs(TEAMS, 4)
    assert {frozenset(found.experts[:2]), frozenset(found.experts[2:])} == {
        frozenset("02"),
        frozenset("13"),
    }
    rows = {frozenset((row["a"], row["b"])): row for row in found.rows().to_dict("records")}
    # Each of 6 pairs is as likely at equal loads: 60 tokens / 6 = 10 each.
    assert rows[frozenset("02")]["expected"] == pytest.approx(10)
    assert rows[frozenset("02")]["level"] == pytest.approx(log2(31 / 11), abs=0.01)
    assert rows[frozenset("01")]["level"] == -LIMIT  # log2(1/11) = -3.46


def test_shared_tokens_are_counted_for_every_two_experts_once(drawn_subject: Subject):
    shown = data(coactivation(drawn_subject), "a", "b")
    arrays = drawn_subject.frames.arrays(30)
    wanted = []
    for layer in (0, 1):
        sets = [set(row) for row in arrays[f"layer_{layer}.experts"].tolist()]
        for two in combinations(range(4), 2):
            wanted.append((frozenset(map(str, two)), sum(set(two) <= chosen for chosen in sets)))
    found = [(frozenset((row["a"], row["b"])), row["tokens"]) for row in shown]
    assert len(found) == len(wanted)
    assert set(found) == set(wanted)
    assert len(visible(coactivation(drawn_subject), "rect")) == len(wanted)


def test_a_panel_says_what_chance_reads(drawn_subject: Subject):
    titles = [
        part["title"]["subtitle"] for part in figure(coactivation(drawn_subject)).spec()["concat"]
    ]
    last = drawn_subject.frames.router.query("step == 30").set_index("layer")
    assert titles == [
        f"coactivation {last.coactivation[i]:.2f}, by chance {last.coactivation_floor[i]:.2f}"
        for i in (0, 1)
    ]


def test_without_its_table_a_panel_is_titled_by_its_layer(drawn_run: Path):
    table = subject(drawn_run).frames.router.iloc[:0]
    parts = figure(coactivation(subject(drawn_run, router=table))).spec()["concat"]
    assert [part["title"]["text"] for part in parts] == ["layer 0", "layer 1"]


@pytest.mark.parametrize(("top_k", "why"), [(1, "one expert"), (4, "all experts")])
def test_experts_that_cannot_choose_have_no_picture(drawn_run: Path, top_k: int, why: str):
    config = {"moe": {"n_experts": 4, "top_k": top_k}}
    drawn = coactivation(subject(drawn_run, config=config))
    assert isinstance(drawn, Absent)
    assert why in drawn.why


def test_a_run_without_arrays_says_so(drawn_run: Path, tmp_path: Path):
    for name in ("run.json", "status.json"):
        shutil.copy(drawn_run / name, tmp_path)
    drawn = coactivation(subject(tmp_path))
    assert isinstance(drawn, Absent)
    assert "no evaluation" in drawn.why


@given(choices(least_k=2))
def test_every_two_experts_whose_pairs_are_free_have_a_row(drawn: tuple[np.ndarray, int]):
    chosen, n_experts = drawn
    counts = coactivation_counts(chosen, n_experts)
    free = free_pairs(counts, top_k=chosen.shape[1])
    if free is None:
        return
    found = Pairs.of(counts, free)
    assert sorted(map(int, found.experts)) == free.experts.tolist()
    n = len(free.experts)
    rows = found.rows()
    assert len(rows) == n * (n - 1) // 2
    assert rows["level"].abs().max() <= LIMIT
    for row in rows.to_dict("records"):
        assert row["tokens"] == counts[int(row["a"]), int(row["b"])]
