import numpy as np
import pytest

from moe_lab.figures import style
from moe_lab.figures.ending import Ending, Rows, ending, parts

EVEN, ONE = [0.25] * 4, [1.0, 0.0, 0.0, 0.0]


def rows(*loads: list[float], first: int = 1, assignments: float = 100) -> Rows:
    steps = np.arange(first, first + len(loads))
    shape = np.array(loads, dtype=float).reshape(-1, 4)
    return Rows.known(steps, shape, np.full(len(steps), assignments))


def end_of(*load: float, assignments: float = 1e6) -> Ending:
    return Ending(np.array(load), "", assignments)


def test_the_last_evaluation_is_the_end():
    found = ending(rows(EVEN, ONE, first=0), rows(EVEN, EVEN))
    assert (found.load.tolist(), found.source) == (ONE, "held-out data at step 1")


def test_without_an_evaluation_the_last_tenth_of_training_is():
    # ceil(0.1 * 15) = 2 rows: the mean of EVEN and ONE
    found = ending(rows(), rows(*[ONE] * 13, EVEN, ONE))
    assert found.load.tolist() == [0.625, 0.125, 0.125, 0.125]
    assert found.source == "training, mean of steps 14 to 15"
    assert found.assignments == 200


def test_an_untrained_model_is_the_end_only_before_training():
    untrained = rows(EVEN, first=0)
    assert ending(untrained, rows()).source == "held-out data at step 0"
    assert ending(untrained, rows(ONE)).load.tolist() == ONE
    assert ending(rows(), rows()) is None


def test_rows_are_ordered_and_those_with_a_number_missing_left_out():
    loads = np.array([ONE, EVEN, [np.nan, 1, 0, 0]])
    found = Rows.known(np.array([5, 3, 9]), loads, np.ones(3))
    assert (found.steps.tolist(), found.loads.tolist()) == ([3, 5], [EVEN, ONE])


def test_dead_is_below_a_twentieth_of_the_fair_share_and_not_said_of_few_assignments():
    # fair share 1/4, dead below 0.0125
    load = (0.9622, 0.0126, 0.0125, 0.0124)
    assert end_of(*load).dead.tolist() == [False, False, False, True]
    assert end_of(*load, assignments=80).dead.any()  # 20 an expert
    assert not end_of(*load, assignments=79).dead.any()


def test_equal_loads_rank_by_index():
    assert end_of(0.3, 0.1, 0.3, 0.3).ranked.tolist() == [0, 2, 3, 1]


def test_few_experts_are_all_apart_most_loaded_first_in_the_colour_of_their_index():
    found = parts(end_of(0.1, 0.6, 0.3), apart=2)
    assert [(part.label, part.colour) for part in found] == [
        ("1", style.COLOURS[1]),
        ("2", style.COLOURS[2]),
        ("0", style.COLOURS[0]),
    ]


def test_sixteen_experts_have_sixteen_colours():
    assert len({part.colour for part in parts(end_of(*[1 / 16] * 16), apart=7)}) == 16


@pytest.mark.parametrize("apart", [7, 8])
def test_of_many_the_most_loaded_are_apart_and_the_shares_still_sum_to_one(apart: int):
    load = np.random.default_rng(0).dirichlet(np.full(17, 0.3))
    found = parts(end_of(*load), apart=apart)
    assert len(found) == apart + 1
    assert [int(part.label) for part in found[:-1]] == np.argsort(-load)[:apart].tolist()
    assert found[-1].label == "others"
    assert len(found[-1].experts) == 17 - apart
    assert sum(part.of(load) for part in found) == pytest.approx(1)
