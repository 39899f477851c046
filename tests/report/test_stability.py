"""Choices over time, from the arrays of a real run."""

from pathlib import Path

import numpy as np
import pytest
from conftest import Cli

from moe_lab.report.stability import rows
from moe_lab.store.read import StoredRun


def experts(run: Path, step: int, layer: int) -> list[list[int]]:
    with np.load(run / "router" / f"step-{step:08d}.npz") as arrays:
        return arrays[f"layer_{layer}.experts"].tolist()


def test_each_evaluation_is_compared_with_the_last_and_with_the_one_before(finished: Path):
    found = rows(StoredRun(finished))
    assert [(row["step"], row["layer"]) for row in found] == [
        (step, layer) for step in (0, 5, 10) for layer in (0, 1)
    ]
    for row in found:
        own, last = (experts(finished, step, row["layer"]) for step in (row["step"], 10))
        same = sum(a == b for a, b in zip(own, last, strict=True))
        assert row["saturation"] == pytest.approx(same / len(own))
        assert row["saturation_chance"] == 1 / 4
        if row["step"] == 0:
            assert row["fluctuation"] is None
        else:
            before = experts(finished, row["step"] - 5, row["layer"])
            moved = sum(a[0] != b[0] for a, b in zip(before, own, strict=True))
            assert row["fluctuation"] == pytest.approx(moved / len(own))
    assert [row["saturation"] for row in found[-2:]] == [1, 1]


def test_the_report_shows_their_mean_over_layers(finished: Path, cli: Cli):
    said = cli("report", finished).stdout
    lines = said[said.index("choices by step") :].splitlines()[2:5]
    assert [line.split()[0] for line in lines] == ["0", "5", "10"]
    first = np.mean([row["saturation"] for row in rows(StoredRun(finished))[:2]])
    assert float(lines[0].split()[1]) == pytest.approx(first, rel=1e-3)
    assert "stability,saturation at step 5,1," in cli("report", finished, "--format", "csv").stdout
