from pathlib import Path
from typing import Any

import pytest

from moe_lab.report import pages
from moe_lab.report.outcomes import Glance
from moe_lab.report.pages import Note, Sheet
from moe_lab.report.summary import summarize


@pytest.fixture(scope="module")
def found(finished: Path) -> dict[str, Any]:
    return summarize(finished)


def sheet(parts: list[pages.Part], title: str) -> Sheet:
    return next(p for p in parts if isinstance(p, Sheet) and p.header[0].startswith(title))


def test_a_measure_that_no_layer_has_is_left_out(found: dict[str, Any]):
    rows = sheet(list(pages.one(found)), "balance").rows
    assert "cv" in [row[0] for row in rows]
    assert "cv_kept" not in [row[0] for row in rows]  # nothing was dropped


def test_router_measures_stand_beside_balance(found: dict[str, Any]):
    shown = sheet(list(pages.one(found)), "router per layer")
    assert shown.header == ("router per layer", "0", "1", "mean", "worst", "floor")
    assert "nmi" in [row[0] for row in shown.rows]


def test_a_run_of_an_earlier_version_has_no_router_measures(found: dict[str, Any]):
    titles = [p.header[0] for p in pages.one({**found, "router": []}) if isinstance(p, Sheet)]
    assert "balance per layer" in titles
    assert "router per layer" not in titles


def test_only_the_given_layers_are_shown(found: dict[str, Any]):
    parts = list(pages.one(found, [1]))
    assert sheet(parts, "balance").header == ("balance per layer", "1", "mean", "worst", "floor")
    assert Note("1 layers not shown, use --all-layers") in parts


def test_a_weight_that_weighs_nothing_is_blank(found: dict[str, Any]):
    auxiliary = {**found["auxiliary"], "alpha": None}
    rows = dict(sheet(list(pages.one({**found, "auxiliary": auxiliary})), "auxiliary").rows)
    assert rows["alpha"] is None


def test_a_model_without_experts_has_a_dash_and_one_without_a_step_no_verdict(
    found: dict[str, Any],
):
    dense = {**found, "verdict": None, "evidence": [], "balance": [], "router": [], "floors": {}}
    assert next(pages.one(dense)) == Note("small: -  (finished, 10 of 10)", heading=True)
    young = {**dense, "loss": {"ladder": []}}
    assert "no verdict yet" in next(pages.one(young)).text


def table_of(found: dict[str, Any], number: int) -> Sheet:
    runs = [Glance.of({**found, "name": f"run-{i}"}) for i in range(number)]
    sheet_, note = pages.several(runs)
    assert note == Note(pages.ONE_RUN)
    assert isinstance(sheet_, Sheet)
    return sheet_


def test_a_few_runs_stand_side_by_side_and_many_below_each_other(found: dict[str, Any]):
    few, many = table_of(found, pages.SIDE_BY_SIDE), table_of(found, pages.SIDE_BY_SIDE + 1)
    assert few.header == ("", *(f"run-{i}" for i in range(pages.SIDE_BY_SIDE)))
    assert [row[0] for row in many.rows] == [f"run-{i}" for i in range(pages.SIDE_BY_SIDE + 1)]
    shown = dict(zip(many.header, many.rows[0], strict=True))
    assert (shown.pop("run"), shown.pop("state")) == ("run-0", "finished")
    beside = {row[0].strip(): row[1] for row in few.rows if row}
    assert shown.items() <= beside.items()
    assert len(shown) == len(pages.MAIN)  # no setting differs


def test_a_setting_that_differs_is_a_column_of_many_runs(found: dict[str, Any]):
    configs = ({**found["config"], "moe": {**found["config"]["moe"], "alpha": i}} for i in range(9))
    (sheet_, _) = pages.several([Glance.of({**found, "config": config}) for config in configs])
    assert sheet_.header[:3] == ("run", "state", "moe.alpha")
    assert [row[2] for row in sheet_.rows] == list(range(9))


def test_the_worst_layers_are_those_of_lowest_n_eff():
    ends = {0: 3.0, 1: None, 2: 2.0, 3: 9.0}
    evidence = [{"layer": i, "end": end, "lowest": 1.0} for i, end in ends.items()]
    assert pages.worst_layers({"evidence": evidence}, 3) == [1, 2, 0]
