"""Where along an axis collapse ends."""

from itertools import product
from typing import Any

import pytest

from moe_lab.plan import Plan, Point
from moe_lab.report.doses import DoseResponse, responses
from moe_lab.statistics import Bracket

from .sweeps_by_hand import plan

ALPHAS = (0.0, 0.001, 0.01, 0.1, 1.0)


def along(key: str, doses: tuple[Any, ...], *seeds: str) -> list[DoseResponse]:
    """Per seed a letter for each dose: c collapsed, . not, blank: not finished."""
    planned = plan([{key: dose} for dose in doses], len(seeds))
    of_points = zip(planned.points, zip(*seeds, strict=True), strict=True)
    return responses(
        planned,
        {p.name: {s: c == "c" for s, c in enumerate(row) if c != " "} for p, row in of_points},
    )


def sentence(key: str, doses: tuple[float, ...], *seeds: str) -> str:
    (found,) = along(key, doses, *seeds)
    return found.sentence()


def test_the_sentence_has_estimate_interval_and_seeds():
    # brackets (.001, .01), (0, .001), (.001, .01): the median is the first, and of three seeds the lowest
    # and the highest have it between them with 1 - 2/2^3 = 75 %
    assert sentence("moe.alpha", ALPHAS, "cc...", "c....", "cc...") == (
        "collapse ends between moe.alpha 0.001 and 0.01 in the median seed; "
        "75 % interval 0 to 0.01 (3 seeds; 95 % needs 6)"
    )


def test_six_seeds_are_enough():
    # 1 - 2/2^6 = 96.875 %
    assert sentence("moe.alpha", ALPHAS, *["cc..."] * 6).endswith(
        "97 % interval 0.001 to 0.01 (6 seeds)"
    )


def test_one_seed_has_no_interval():
    assert sentence("moe.alpha", ALPHAS, "cc...") == (
        "collapse ends between moe.alpha 0.001 and 0.01 in the median seed (1 seed)"
    )


def test_a_lever_that_harms_is_read_downwards():
    # more collapse at the upper half: it ends below the lowest dose that has it
    (found,) = along("moe.init_tilt", (0, 1, 2, 4), "..cc", ".ccc", "..cc")
    assert found.doses == (4, 2, 1, 0)
    assert found.threshold is not None
    assert found.threshold.estimate == Bracket(2, 1)
    assert (
        "between moe.init_tilt 2 and 1 in the median seed; 75 % interval 2 to 0" in found.sentence()
    )


def test_the_middle_dose_decides_no_direction_and_a_tie_is_read_upwards():
    (found,) = along("moe.alpha", (0, 1, 2), "cc.", ".cc", "cc.")
    assert found.doses == (0, 1, 2)
    (tie,) = along("moe.alpha", (0, 1, 2), ".c.")
    assert tie.doses == (0, 1, 2)
    (upper,) = along("moe.alpha", (0, 1, 2), "c.c", "..c")
    assert upper.doses == (2, 1, 0)


def test_doses_are_sorted_as_numbers():
    (found,) = along("train.steps", (100, 9, 20), ".c.")
    assert found.doses == (9, 20, 100)


def test_only_seeds_with_all_doses_count():
    (found,) = along("moe.alpha", (0, 1), "c.", "cc", "c ")
    assert found.seeds == 2
    assert along("moe.alpha", (0, 1), "c ", " c") == []


def test_ends_off_the_axis_are_said():
    assert sentence("moe.alpha", (0.0, 1.0), "c.", "..", "..") == (
        "collapse ends at or before moe.alpha 0 in the median seed; "
        "75 % interval before 0 to 1 (3 seeds; 95 % needs 6)"
    )
    assert sentence("moe.alpha", (0.0, 1.0), "cc", "c.", "cc") == (
        "collapse ends beyond moe.alpha 1, if at all, in the median seed; "
        "75 % interval 0 to beyond 1 (3 seeds; 95 % needs 6)"
    )
    assert sentence("moe.alpha", (0.0, 1.0), "cc", "..") == (
        "collapse may end at any moe.alpha in the median seed; "
        "50 % interval before 0 to beyond 1 (2 seeds; 95 % needs 6)"
    )


def test_nothing_is_said_without_collapse_and_another_thing_if_all_did():
    assert along("moe.alpha", (0.0, 1.0), "..", "..") == []
    assert sentence("moe.alpha", (0.0, 1.0), "cc", "cc") == (
        "every run collapsed, at moe.alpha from 0 to 1 (2 seeds)"
    )


@pytest.mark.parametrize("doses", [("switch", "loss_free"), (True, False), (1.0, None), (1.0,)])
def test_only_several_numbers_are_doses(doses: tuple[Any, ...]):
    assert along("moe.balance", doses, "c" * len(doses)) == []


def test_every_combination_of_the_other_settings_has_its_own():
    settings = [
        {"moe.top_k": k, "moe.balance": b} for b, k in product(("switch", "loss_free"), (1, 2))
    ]
    planned = plan(settings, 1)
    collapsed = {
        p.name: {0: p.name in ("1-switch", "1-loss_free", "2-loss_free")} for p in planned.points
    }
    first, second = responses(planned, collapsed)
    assert first.others == {"moe.balance": "switch"}
    assert first.sentence() == "collapse ends between moe.top_k 1 and 2 in the median seed (1 seed)"
    assert second.others == {"moe.balance": "loss_free"}
    assert second.threshold is None


def test_what_a_swept_source_brings_along_names_no_combination():
    points = [
        Point(f"{source}-{alpha}", {"data.source": source, "moe.alpha": alpha, "data.zipf": zipf})
        for source, zipf in (("domains", 1.2), ("clusters", None))
        for alpha in (0.0, 1.0)
    ]
    planned = Plan(("data.source", "moe.alpha"), tuple(points), (0,), points[0].name)
    found = responses(planned, {p.name: {0: not p.settings["moe.alpha"]} for p in points})
    assert [each.others for each in found] == [
        {"data.source": "domains"},
        {"data.source": "clusters"},
    ]


def test_settings_that_change_together_are_no_axis():
    planned = plan([{"moe.n_experts": 8, "moe.top_k": 1}, {"moe.n_experts": 16, "moe.top_k": 2}], 1)
    assert responses(planned, {p.name: {0: True} for p in planned.points}) == []
