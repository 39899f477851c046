from pathlib import Path
from typing import Any

import pytest

from moe_lab.config import load
from moe_lab.sweep.differences import differences
from moe_lab.sweep.grid import Grid, plan

HERE = ["alpha=0,0.01", "top_k=1,2"]


def compared(stored: Grid, texts: list[str], **asked: Any) -> list[str]:
    return differences(stored.plan, stored.base.config, plan(texts, **asked))


@pytest.mark.parametrize(
    "texts",
    [
        HERE,
        ["top_k=2,1", "alpha=0.01,0"],
        [*HERE, "name=other"],
        [*HERE, "train.steps=400"],
        ["alpha:top_k=0:1,0.01:1,0:2,0.01:2"],
    ],
)
def test_the_same_runs_are_the_same_sweep(texts):
    assert compared(plan(HERE), texts) == []


@pytest.mark.parametrize(
    ("texts", "asked", "lines"),
    [
        (HERE, {"seeds": "5"}, ["seeds: 0 1 2 there, 0 1 2 3 4 here"]),
        (
            ["alpha=0,0.01,0.1", "top_k=1,2"],
            {},
            ["moe.alpha: 0 0.01 there, 0 0.01 0.1 here"],
        ),
        (
            ["alpha=0,0.01", "noise=0,1"],
            {},
            ["moe.top_k: 1 2 there, not swept here", "moe.noise: not swept there, 0 1 here"],
        ),
        (
            ["alpha:top_k=0:1,0.01:2,0.01:1"],
            {},
            ["points: alpha-0_top_k-2 there, none more here"],
        ),
        ([*HERE, "steps=100"], {}, ["train.steps: 400 there, 100 here"]),
        (
            [*HERE, "steps=100", "router={name: top_k, score: sigmoid}", "capacity_factor=2"],
            {"seeds": "1,2"},
            [
                "moe.capacity_factor: null there, 2 here",
                "moe.router: top_k there, top_k score=sigmoid here",
                "train.steps: 400 there, 100 here",
                "seeds: 0 1 2 there, 1 2 here",
            ],
        ),
    ],
)
def test_every_difference_is_a_line(texts, asked, lines):
    assert compared(plan(HERE), texts, **asked) == lines


def test_the_rule_counts():
    assert compared(plan(["alpha"]), ["alpha"], rule=True) == ["rule: no there, yes here"]


def test_another_base_counts_in_what_it_does_not_sweep(tmp_path: Path):
    (tmp_path / "x.yaml").write_text("name: x\nmoe: {alpha: 0, noise: 0.5}")
    found = compared(plan(["alpha=0,1"]), ["alpha=0,1"], config=tmp_path / "x.yaml")
    assert found == ["moe.noise: 0 there, 0.5 here"]
    (tmp_path / "y.yaml").write_text("name: y\nmoe: {alpha: 1}")
    found = compared(plan(["alpha=0,1"]), ["alpha=0,1"], config=tmp_path / "y.yaml")
    assert found == ["baseline: moe.alpha=0 there, moe.alpha=1 here"]


def test_a_stored_base_is_the_same_as_the_one_that_was_stored(tmp_path: Path):
    grid = plan(["balance=switch,loss_free", "moe_layers=[1],all"])
    (tmp_path / "base.yaml").write_text(grid.base.dump())
    assert differences(grid.plan, load(tmp_path / "base.yaml").config, grid) == []
    other = plan(["balance=switch,importance", "moe_layers=[1],all"])
    assert differences(grid.plan, grid.base.config, other) == [
        "moe.balance: switch loss_free there, switch importance here"
    ]
