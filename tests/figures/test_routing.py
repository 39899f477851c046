from itertools import pairwise
from math import nan
from pathlib import Path

import numpy as np
import pytest

from moe_lab.figures.base import Absent
from moe_lab.figures.routing import contrast, routing
from moe_lab.figures.streams import GAP, STREAMS, said
from moe_lab.figures.subject import Subject

from .by_hand import marks, subject_of, tables, titles
from .seen import figure

EVEN, UNEVEN = [0.25] * 4, [0.65, 0.005, 0.34, 0.005]


def test_every_expert_has_its_held_out_share_in_words(drawn_run: Path):
    made = figure(routing(subject_of(drawn_run, {0: [EVEN]}, {0: {1: UNEVEN}})))
    (nodes,) = tables(made)
    assert [(node["name"], node["said"]) for node in nodes] == [
        ("expert 0", "65 %"),
        ("expert 1, dead", "0.5 %"),
        ("expert 2", "34 %"),
        ("expert 3, dead", "0.5 %"),
    ]
    assert nodes[0]["fair"] == "fair share 25 %"
    assert nodes[0]["relative"] == 2.6  # 0.65 * 4
    assert "held-out data at step 1" in made.reading


def test_without_an_evaluation_the_caption_says_that_it_is_training(drawn_run: Path):
    made = figure(routing(subject_of(drawn_run, {0: [EVEN] * 10})))
    assert "training, mean of steps 10 to 10" in made.reading


def test_streams_are_as_broad_as_shares_and_nowhere_overlap(drawn_run: Path):
    (nodes,) = tables(figure(routing(subject_of(drawn_run, {0: [UNEVEN]}))))
    for node, share in zip(nodes, UNEVEN, strict=True):
        breadth = np.subtract(node["y2"], node["y"])
        np.testing.assert_allclose(breadth, STREAMS * share, atol=1e-3)
        assert node["bottom"] - node["top"] == pytest.approx(STREAMS * share, abs=1e-3)
    for one, other in pairwise(nodes):
        assert other["y"][0] == pytest.approx(one["y2"][0], abs=1e-3)
        assert other["top"] - one["bottom"] == pytest.approx(GAP, abs=1e-3)


def test_the_dead_are_crosses_and_dashed_lines(drawn_run: Path):
    found = marks(figure(routing(subject_of(drawn_run, {0: [UNEVEN]}))))
    assert found["symbol"] == 2
    assert found["rect"] == 2 + 1  # the living, and the router
    assert found["text"] == 4 + 4 + 2  # shares, names, router, fair share


def test_of_many_experts_seven_are_apart_and_the_others_counted_with_their_dead(drawn_run: Path):
    load = [0.2, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1, 0.06, 0.04, *[0.0] * 11]
    made = figure(routing(subject_of(drawn_run, {0: [load]})))
    (nodes,) = tables(made)
    assert [node["label"] for node in nodes] == ["0", "1", "2", "3", "4", "5", "6", "others"]
    assert (nodes[-1]["name"], nodes[-1]["said"]) == ("13 others,\n11 dead", "10 %")
    assert not nodes[-1]["dead"]
    assert "7 most loaded" in made.reading
    few = figure(routing(subject_of(drawn_run, {0: [load]}, assignments=20)))
    assert tables(few)[0][-1]["name"] == "13 others,\n11 no token"


def test_each_drawn_layer_has_a_panel_titled_with_its_verdict(drawn_subject: Subject):
    made = figure(routing(drawn_subject))
    assert [first for first, _ in titles(made)] == ["layer 0", "layer 1"]
    for layer, (_, second) in enumerate(titles(made)):
        end = drawn_subject.endings[layer]
        assert second == f"{drawn_subject.courses[layer].verdict}, n_eff {end.n_eff:.1f} of 4"
    for table, layer in zip(tables(made), (0, 1), strict=True):
        _, loads = drawn_subject.loads(layer, "eval")
        np.testing.assert_allclose([node["share"] for node in table], loads[-1], rtol=1e-5)


def test_a_contrast_shows_the_worst_layer_of_each_run_under_its_name(
    drawn_run: Path, drawn_subject: Subject
):
    collapsed = subject_of(drawn_run, {0: [EVEN], 1: [[1.0, 0, 0, 0]] * 120})
    made = figure(contrast(collapsed, drawn_subject))
    assert [first for first, _ in titles(made)] == ["drawn", "drawn"]
    assert titles(made)[0][1] == "layer 1 collapsed since step 1, n_eff 1.0 of 4"
    worst = drawn_subject.worst_layer
    assert titles(made)[1][1].startswith(f"layer {worst} ")
    assert {node["run"] for table in tables(made) for node in table} == {"drawn"}
    assert "chosen_run" in str(made.spec()["concat"])


def test_runs_of_other_sizes_can_be_contrasted(drawn_run: Path):
    many = subject_of(drawn_run, {0: [[1 / 40] * 40]})
    assert marks(figure(contrast(many, subject_of(drawn_run, {0: [[0.5, 0.5]]}))))["area"]


def test_without_a_load_it_says_so(drawn_run: Path, drawn_subject: Subject):
    for trained in ({}, {0: [[nan, 1.0]]}):
        nothing = subject_of(drawn_run, trained)
        assert routing(nothing) == Absent(
            "routing", "Where the router sends its tokens", "no load of a MoE layer is logged yet"
        )
        assert isinstance(contrast(drawn_subject, nothing), Absent)


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0, "0 %"),
        (9e-4, "<0.1 %"),
        (1e-3, "0.1 %"),
        (0.0994, "9.9 %"),
        (0.0996, "10 %"),
        (1, "100 %"),
    ],
)
def test_shares_in_words(share: float, words: str):
    assert said(share) == words
