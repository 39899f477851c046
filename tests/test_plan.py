import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab.plan import Plan, PlannedRun, Point

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)
POINTS = st.builds(Point, st.text(), st.dictionaries(st.text(), VALUES, max_size=3))
PLANS = st.builds(
    Plan,
    keys=st.lists(st.text(), max_size=3).map(tuple),
    points=st.lists(POINTS, max_size=3).map(tuple),
    seeds=st.lists(st.integers(0, 2**63 - 1), max_size=3).map(tuple),
    baseline=st.text(),
    rule=st.booleans(),
)
AB = (Point("a", {"moe.alpha": 0.0}), Point("b", {"moe.alpha": 0.1, "train.threads": 3}))


def plan(**changes: Any) -> Plan:
    return Plan(
        **{"keys": ("moe.alpha",), "points": AB, "seeds": (7, 3), "baseline": "a"} | changes
    )


@given(PLANS)
def test_a_plan_reads_back_from_json(plan: Plan) -> None:
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@pytest.mark.parametrize("part", ["keys", "points", "seeds", "baseline", "rule"])
def test_a_plan_that_lacks_a_part_is_none(part: str) -> None:
    stored = plan().to_json()
    del stored[part]
    with pytest.raises(KeyError, match=part):
        Plan.from_json(stored)


def test_runs_go_seed_by_seed_so_that_replicates_become_whole_one_after_another() -> None:
    assert [run.name for run in plan().runs] == ["a-s7", "b-s7", "a-s3", "b-s3"]


def test_a_run_changes_the_settings_of_its_point_the_seed_and_the_name() -> None:
    run = PlannedRun(AB[1], 7)
    assert run.settings == {"moe.alpha": 0.1, "train.threads": 3, "seed": 7, "name": "b-s7"}
    assert AB[1].settings == {"moe.alpha": 0.1, "train.threads": 3}


@pytest.mark.parametrize(("base", "most"), [(1, 3), (4, 4)])
def test_most_threads_are_those_of_a_point_or_of_the_base(base: int, most: int) -> None:
    assert plan().most_threads(base) == most  # a has the base's, b has 3
    assert plan(points=AB[1:]).most_threads(base) == 3
