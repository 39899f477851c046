"""What a notebook sees of a run."""

import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import rows

from moe_lab import columns
from moe_lab.errors import ArtefactError
from moe_lab.frames import load_run
from moe_lab.store.layout import TABLES


@pytest.mark.parametrize("table", TABLES)
def test_every_table_is_a_frame_with_the_file_s_columns(finished, table):
    frame = getattr(load_run(finished), table)
    written = rows(finished, table)
    assert list(frame.columns) == list(written[0])
    assert len(frame) == len(written)


@pytest.mark.parametrize("table", [*TABLES, "loads", "stability"])
def test_every_column_of_every_frame_is_explained(finished, table):
    run = load_run(finished)
    described = run.describe(table)
    assert list(described.index) == list(getattr(run, table).columns)
    assert described["meaning"].str.len().min() > 0


def test_an_unknown_frame_is_no_frame(finished):
    with pytest.raises(KeyError):
        load_run(finished).describe("losses")


def test_loads_are_the_utilization_one_expert_per_row(finished):
    run = load_run(finished)
    assert list(run.loads.columns) == list(columns.names(columns.LOADS))
    assert len(run.loads) == 4 * len(run.utilization)
    assert run.loads.groupby(["step", "split", "layer"])["load"].sum().to_numpy() == pytest.approx(
        1
    )
    one = run.loads.query("step == 3 and split == 'train' and layer == 1 and expert == 2")
    wide = run.utilization.query("step == 3 and split == 'train' and layer == 1")
    assert one["load"].item() == wide["expert_02"].item()


def test_stability_is_reckoned_from_the_choices_of_held_out_tokens(finished):
    """k = 1: saturation is the share of tokens with their last expert; fluctuation that with another than before."""
    run = load_run(finished)
    assert run.array_steps == [0, 5, 10]
    first, second, last = (run.arrays(step)["layer_1.experts"][:, 0] for step in (0, 5, 10))
    found = run.stability.query("layer == 1").set_index("step")
    assert found["saturation"].tolist() == [np.mean(first == last), np.mean(second == last), 1.0]
    assert np.isnan(found["fluctuation"][0])
    assert found["fluctuation"][5] == np.mean(first != second)
    assert found["fluctuation"][10] == np.mean(second != last)
    assert set(run.stability["saturation_chance"]) == {1 / 4}


def test_a_run_without_choices_has_no_stability(finished, tmp_path):
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", finished, copy], check=True)
    for path in (copy / "router").iterdir():
        path.unlink()
    (copy / "router.csv").unlink()  # as an early version left it
    run = load_run(copy)
    assert run.stability.empty
    assert list(run.stability.columns) == list(columns.names(columns.STABILITY))
    assert run.router.empty
    assert "nmi" in run.router.columns


def test_an_unfinished_run_is_read_as_far_as_it_is(stopped):
    run = load_run(stopped)
    assert run.steps["step"].tolist() == [1, 2, 3, 4, 5, 6]
    assert run.stability["saturation"].iloc[-1] == 1
    assert set(run.verdicts) == {0, 1}


def test_settings_and_record_are_at_hand(finished):
    run = load_run(finished)
    assert run.config["moe"]["n_experts"] == 4
    assert run.record["seed"] == run.config["seed"] == 0
    assert set(run.verdicts.values()) <= {"collapsed", "skewed", "balanced"}


def test_a_run_is_its_own_path(finished):
    run = load_run(str(finished))
    assert os.fspath(run) == str(finished)
    assert load_run(run).directory == finished
    assert str(finished) in repr(run)


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(ArtefactError, match="is not a moe-lab run"):
        load_run(tmp_path)


def test_importing_the_package_imports_neither_torch_nor_pandas():
    program = "import sys, moe_lab; print({'torch', 'pandas'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


def test_the_names_of_the_door_are_found_and_no_others():
    program = (
        "import moe_lab\n"
        "print([callable(getattr(moe_lab, name)) for name in moe_lab.__all__])\n"
        "print(hasattr(moe_lab, 'other'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["[True, True, True, True, True, True]", "False"]
