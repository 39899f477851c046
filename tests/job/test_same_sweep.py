"""Whether two hosts mean the same folder."""

import shutil
from pathlib import Path

import pytest
from conftest import MakeSweep

from moe_lab.errors import StorageError
from moe_lab.job.same_sweep import plan_of, refuse_other

ONE = [{"moe.alpha": 0.0}]


def test_the_same_sweep_is_known_wherever_it_is_reached(
    make_sweep: MakeSweep, tmp_path: Path
) -> None:
    sweep = make_sweep(ONE).directory
    (tmp_path / "elsewhere").symlink_to(sweep)
    refuse_other(tmp_path / "elsewhere", plan_of(sweep))


def test_another_sweep_in_its_place_is_refused(make_sweep: MakeSweep, tmp_path: Path) -> None:
    sweep = make_sweep(ONE).directory
    plan = plan_of(sweep)
    shutil.rmtree(sweep)
    with pytest.raises(StorageError) as caught:
        refuse_other(sweep, plan)
    assert "is not the driver's sweep on the node" in str(caught.value)
    other = make_sweep([{"moe.alpha": 0.1}]).directory
    assert other == sweep
    with pytest.raises(StorageError, match="is not the driver's sweep"):
        refuse_other(other, plan)
