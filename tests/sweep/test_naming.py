import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab.plan import PlannedRun, Point
from moe_lab.sweep.naming import labels, point_names, sweep_name, word
from moe_lab.sweep.seeds import LARGEST

TOP_K = {
    "name": "top_k",
    "score": "softmax",
    "renormalize": False,
    "renormalize_over": "chosen",
    "n_groups": 1,
    "top_groups": 1,
    "jitter": 0.0,
    "noise_law": "gaussian",
    "precision": "float32",
}


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"moe.alpha": 0.0}, "alpha-0"),
        ({"moe.alpha": 0.001}, "alpha-0.001"),
        ({"moe.alpha": 1.0, "moe.top_k": 2}, "alpha-1_top_k-2"),
        ({"moe.alpha": 1e-05}, "alpha-1e-05"),
        ({"moe.capacity_factor": None}, "capacity_factor-null"),
        ({"moe.router.renormalize": True}, "renormalize-true"),
        ({"moe.balance": {"name": "loss_free", "speed": 0.001, "rule": "sign"}}, "balance-loss_free"),
        (
            {"moe.balance": {"name": "loss_free", "speed": 0.01, "rule": "sign"}},
            "balance-loss_free-speed-0.01",
        ),
        ({"moe.router": TOP_K}, "router-top_k"),
        ({"moe.router": {**TOP_K, "score": "sigmoid"}}, "router-top_k-score-sigmoid"),
        ({"model.moe_layers": [0, 1]}, "moe_layers-0-1"),
        ({"model.moe_layers": "all"}, "moe_layers-all"),
        ({"moe.init_tilt": -1.5}, "init_tilt--1.5"),
        ({"data.path": "/a/ü b.txt"}, "path--a---b.txt"),
        ({"eval.every": 5, "log.every": 1}, "eval.every-5_log.every-1"),
    ],
)  # fmt: skip
def test_a_point_is_named_by_its_settings(settings, name):
    assert point_names([settings]) == [name]


def test_points_with_a_long_name_or_one_name_are_numbered():
    fits, long = ({"data.path": "x" * length} for length in (35, 36))  # path- has 5 letters
    assert point_names([fits]) == ["path-" + "x" * 35]
    assert point_names([{"data.path": "y"}, long]) == ["point-000", "point-001"]
    assert point_names([{"data.path": "a b"}, {"data.path": "a/b"}]) == ["point-000", "point-001"]
    assert point_names([{"data.path": "A"}, {"data.path": "a"}]) == ["point-000", "point-001"]
    assert point_names([{"data.path": "x" * 99}] * 1001)[-1] == "point-1000"


def test_large_numbers_and_small_ones_are_not_called_the_same():
    assert (word("", 1e16), word("", 1e-16)) == ("1e16", "1e-16")


VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


@given(
    st.lists(st.fixed_dictionaries({"moe.alpha": VALUES, "data.path": VALUES}), min_size=1),
    st.integers(0, LARGEST),
)
def test_every_run_of_every_point_has_a_name_that_is_allowed_and_its_own(points, seed):
    names = point_names(points)
    runs = [PlannedRun(Point(n, p), seed).name for n, p in zip(names, points, strict=True)]
    assert len({run.casefold() for run in runs}) == len(points)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", run) for run in runs)


def test_a_sweep_is_named_by_its_axes():
    assert sweep_name(["moe.alpha"]) == "sweep-alpha"
    assert sweep_name(["moe.n_experts", "moe.top_k"]) == "sweep-n_experts-top_k"
    assert (
        len(
            sweep_name(
                ["moe.eval_capacity_factor", "moe.capacity_factor", "train.router_lr_factor"]
            )
        )
        == 50
    )


def test_a_label_is_the_last_part_of_a_path_where_that_is_enough():
    paths = ["eval.every", "log.every", "moe.alpha", "seed"]
    assert list(labels(paths).values()) == ["eval.every", "log.every", "alpha", "seed"]
