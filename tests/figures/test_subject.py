from math import nan
from pathlib import Path

import numpy as np
import pytest

from moe_lab.figures.subject import LAYERS, Subject

from .by_hand import subject_of

EVEN, ONE, HALF = [0.25] * 4, [1.0, 0, 0, 0], [0.5, 0.5, 0, 0]


def test_a_run_is_called_by_its_folder(drawn_subject: Subject):
    assert drawn_subject.name == "drawn"
    assert (drawn_subject.n_experts, drawn_subject.top_k) == (4, 2)


def test_loads_are_the_rows_of_one_layer_and_split(drawn_subject: Subject):
    steps, loads = drawn_subject.loads(1, "eval")
    assert steps.tolist() == [0, 10, 20, 30]
    np.testing.assert_allclose(loads.sum(axis=1), 1)


def test_all_layers_are_drawn_or_those_of_lowest_n_eff(drawn_run: Path):
    few = subject_of(drawn_run, {3: [EVEN], 0: [ONE]})
    assert (few.layers, few.hidden) == ([0, 3], "")
    many = subject_of(drawn_run, {layer: [EVEN if layer < 3 else HALF] for layer in range(9)})
    assert many.layers == [3, 4, 5, 6, 7, 8]
    assert len(many.layers) == LAYERS
    assert many.hidden == " 6 of 9 MoE layers: those of lowest n_eff."


def test_the_worst_layer_has_the_lowest_n_eff_at_the_end(drawn_run: Path):
    run = subject_of(drawn_run, {0: [ONE, EVEN], 1: [EVEN, HALF]}, {0: {2: EVEN}, 1: {2: HALF}})
    assert run.worst_layer == 1


def test_an_onset_is_marked_with_its_step(drawn_run: Path):
    run = subject_of(drawn_run, {0: [EVEN] * 20 + [ONE] * 120, 1: [EVEN] * 140})
    (onset,) = run.onsets
    assert onset["layer"] == 0
    assert onset["step"] > 20
    assert onset["mark"] == f"collapse at {onset['step']}"


def test_a_layer_without_any_whole_row_is_not_drawn(drawn_run: Path):
    run = subject_of(drawn_run, {0: [[nan] * 4], 1: [EVEN]})
    assert list(run.trained) == list(run.endings) == [1]


@pytest.mark.parametrize("trained", [{}, {0: []}])
def test_nothing_logged_is_nothing_to_draw(drawn_run: Path, trained: dict):
    run = subject_of(drawn_run, trained)
    assert (run.layers, run.trained, run.endings, run.onsets, run.hidden) == ([], {}, {}, [], "")
