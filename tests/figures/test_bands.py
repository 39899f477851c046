"""Means over seeds with intervals, step by step."""

from math import sqrt
from pathlib import Path

import pandas as pd
import pytest

from moe_lab.figures import bands
from moe_lab.frames import load_run

from .arms_by_hand import by_hand, found

T_OF_THREE = 4.302653  # 97.5 % quantile of Student's t with 2 degrees of freedom


def table(values: dict[str, list[float]]) -> pd.DataFrame:
    """One arm: by run, its values at the steps 1, 2, …"""
    return pd.DataFrame(
        {
            "panel": "",
            "series": "a",
            "point": "p",
            "run": run,
            "seed": seed,
            "step": step,
            "value": v,
        }
        for seed, (run, of_run) in enumerate(values.items())
        for step, v in enumerate(of_run, start=1)
    )


def means(rows: pd.DataFrame, most: int = bands.MEANS) -> pd.DataFrame:
    both = bands.over_seeds(rows, most)
    return both[both["kind"] == "mean"].reset_index()


def test_a_band_is_the_t_interval_of_the_mean():
    found = means(table({"s0": [1.0], "s1": [2.0], "s2": [6.0]})).iloc[0]
    # mean 9/3 = 3; s = sqrt((4 + 1 + 9) / 2) = sqrt 7; half = t * s / sqrt n
    half = T_OF_THREE * sqrt(7) / sqrt(3)
    assert (found["value"], found["n"]) == (3, 3)
    assert found["low"] == pytest.approx(3 - half)
    assert found["high"] == pytest.approx(3 + half)


def test_a_run_counts_once_in_a_bin():
    found = means(table({"s0": [1.0, 3.0], "s1": [2.0, 6.0]}), most=1).iloc[0]
    # runs: (1 + 3) / 2 = 2 and (2 + 6) / 2 = 4; not the four values
    assert (found["value"], found["n"], found["step"]) == (3, 2, 1.5)


def test_one_seed_has_no_band_and_keeps_its_name():
    both = bands.over_seeds(table({"s0": [1.0, 3.0]}))
    assert list(both["kind"]) == ["mean", "mean"]
    assert both["low"].isna().all()
    assert list(both["run"]) == ["s0", "s0"]


def test_runs_lie_under_their_mean():
    both = bands.over_seeds(table({"s0": [1.0, 3.0], "s1": [2.0, 6.0]}))
    single = both[both["kind"] == "run"]
    assert sorted(single["value"]) == [1, 2, 3, 6]
    assert set(single["run"]) == {"s0", "s1"}


def test_a_seed_that_ended_early_leaves_the_others():
    found = means(table({"s0": [1.0, 3.0], "s1": [2.0]}))
    assert list(found["n"]) == [2, 1]


def test_many_steps_are_few_bins():
    rows = table({f"s{seed}": [float(step) for step in range(997)] for seed in range(3)})
    found = bands.over_seeds(rows)
    assert (found["kind"] == "mean").sum() <= bands.MEANS
    assert (found["kind"] == "run").sum() <= 3 * bands.MEANS


def test_differences_are_paired_by_seed_and_step(drawn_run: Path):
    arms = by_hand(load_run(drawn_run), [({"moe.alpha": a}, [found()] * 2) for a in (0.0, 0.1)])
    base = table({"b0": [1.0, 2.0], "b1": [5.0, 7.0]}).assign(point="p0")
    other = table({"o0": [1.5, 2.0], "o1": [5.0, 6.0]}).assign(point="p1")
    difference = bands.paired(arms, pd.concat([base, other]))
    # 1.5 - 1, 2 - 2, 5 - 5, 6 - 7
    assert list(difference["value"]) == [0.5, 0, 0, -1]
    assert set(difference["point"]) == {"p1"}


def test_a_scale_holds_every_value_and_what_must_be_on_it():
    rows = pd.DataFrame({"value": [2.0, 4.0]})
    low, high = bands.fitting(rows, include=(0.0, 8.0))["scale"]["domain"]
    assert low < 0
    assert high > 8


def test_a_wide_range_above_zero_is_logarithmic():
    assert bands.fitting(pd.DataFrame({"value": [0.1, 10.0]}))["scale"]["type"] == "log"
    for values in ([0.0, 10.0], [1.0, 10.0]):
        scale = bands.fitting(pd.DataFrame({"value": values}))["scale"]
        assert "type" not in scale.to_dict()


@pytest.mark.parametrize(("low", "high"), [(0.04, 3), (0.4, 3.2), (0.9, 1.1), (1e-6, 1e6)])
def test_a_logarithmic_axis_has_a_number(low: float, high: float):
    axis = bands.fitting(pd.DataFrame({"value": [low, high]}), log=True)["axis"]
    assert axis["values"]
