from pathlib import Path

from moe_lab.store.disk import Disk
from moe_lab.sweep.begin import begin
from moe_lab.sweep.grid import plan

from .conftest import Slower


def test_of_two_processes_that_make_a_sweep_the_slower_one_goes_on_with_the_others(
    tmp_path: Path,
) -> None:
    asked = plan(["alpha=0,1"])
    made = []
    slower = Slower(asked.name, lambda directory: made.append(begin(asked, tmp_path)))
    found = begin(asked, tmp_path, Disk(slower))
    assert [sweep.created for sweep in made] == [found.created]
    assert [path.name for path in tmp_path.iterdir()] == [asked.name]
