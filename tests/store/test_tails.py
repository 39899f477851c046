"""What a resumed run computes again is compared with what it had, and neither is lost."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from moe_lab.store import Run, StoredRun

from .conftest import new_run, state_at, train_to

HEADERS = {"steps": ("step", "loss"), "cv": ("step", "split", "cv"), "timing": ("step", "ms")}


def tails(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (directory / "tail").glob("*")}


@pytest.fixture
def cut(runs: Path) -> Path:
    """A run of five steps, killed after the commit of step 2 (16 bytes of header and rows: 10 + 6 + 6)."""
    with new_run(runs, tables=HEADERS) as run:
        train_to(run, start=1, stop=2)
        for step in (3, 4, 5):
            run.append("steps", {"step": step, "loss": 1 / step})
            run.append("timing", {"step": step, "ms": 0.5})
            run.flush()
    return run.directory


ROWS = b"3,0.3333333333333333\n4,0.25\n5,0.2\n"


def test_rows_beyond_the_commit_are_set_aside_but_not_those_of_the_clock(cut: Path) -> None:
    offset = len(b"step,loss\n1,1.0\n2,0.5\n")
    before = (cut / "timing.csv").read_bytes()
    Run.reopen(cut)[0].close()
    assert tails(cut) == {f"steps-{offset}.csv": ROWS}
    assert (cut / "steps.csv").read_bytes() == b"step,loss\n1,1.0\n2,0.5\n"
    assert before == b"step,ms\n3,0.5\n4,0.5\n5,0.5\n"
    assert (cut / "timing.csv").read_bytes() == b"step,ms\n"


def test_rows_that_come_by_again_go_at_the_commit(cut: Path) -> None:
    run, _ = Run.reopen(cut)
    with run:
        train_to(run, start=3, stop=5)
        assert tails(cut)  # the commit of step 4 has not reached them
        train_to(run, start=6, stop=6)
    assert run.differences == []
    assert not (cut / "tail").exists()
    assert "nondeterminism" not in [event["kind"] for event in StoredRun(cut).events]


def test_the_first_row_that_differs_is_told_once_and_both_stay(cut: Path) -> None:
    run, _ = Run.reopen(cut)
    with run:
        for step in (3, 4, 5, 6):
            run.append("steps", {"step": step, "loss": 1 / step + (step > 3)})
        for step in (5, 6):
            run.commit(state_at(step), keep=9)
    assert run.differences == ["steps.csv: step 4 came out otherwise than before"]
    assert list(tails(cut).values()) == [ROWS]
    events: list[dict[str, Any]] = StoredRun(cut).events
    told = [(event["kind"], event["table"], event["step"]) for event in events]
    assert told == [("nondeterminism", "steps", 4)]
    again, _ = Run.reopen(cut)  # behind its commit, it counts no more
    with again:
        again.commit(state_at(7), keep=9)
    assert again.differences == []
    assert list(tails(cut).values()) == [ROWS]


def test_a_kill_before_the_rows_have_come_by_again_loses_none(cut: Path) -> None:
    for stop in (2, 3, 4):
        run, state = Run.reopen(cut)
        assert state.step == 2
        for step in range(3, stop + 1):
            run.append("steps", {"step": step, "loss": 1 / step})
        run.flush()
        run.close()  # as a kill does
        assert list(tails(cut).values()) == [ROWS]


def test_a_kill_between_setting_aside_and_cutting_loses_nothing(cut: Path) -> None:
    whole = Path(shutil.copytree(cut, cut.with_name("y")))
    Run.reopen(cut)[0].close()
    shutil.copytree(cut / "tail", whole / "tail")  # and its tables are not cut
    Run.reopen(whole)[0].close()
    assert tails(whole) == tails(cut)


def test_more_rows_of_the_same_place_replace_fewer(cut: Path) -> None:
    run, _ = Run.reopen(cut)
    with run:
        for step in (3, 4, 5, 6):
            run.append("steps", {"step": step, "loss": 1 / step})
        run.flush()
    Run.reopen(cut)[0].close()
    assert list(tails(cut).values()) == [ROWS + b"6,0.16666666666666666\n"]


def test_an_older_commit_is_compared_with_all_that_was_set_aside(cut: Path) -> None:
    Run.reopen(cut)[0].close()  # rows 3 to 5 lie in tail/
    shutil.rmtree(cut / "checkpoints/step-00000002")
    run, state = Run.reopen(cut)
    with run:
        assert state.step == 0
        assert tails(cut) == {
            "steps-10.csv": b"1,1.0\n2,0.5\n",
            "steps-22.csv": ROWS,
            "cv-14.csv": (cut / "tail/cv-14.csv").read_bytes(),
        }
        for step in range(1, 6):
            run.append("steps", {"step": step, "loss": 1 / step})
            run.append("cv", {"step": step, "split": "train", "cv": step / 3})
        run.commit(state_at(5), keep=2)
    assert run.differences == []
    assert not (cut / "tail").exists()


@pytest.mark.parametrize("torn", [b"6,0.1", b"6,0.1\0\0\0", b"6,\0\0\0\n7,0.2\n"])
def test_what_a_kill_or_a_power_cut_tore_is_no_difference(cut: Path, torn: bytes) -> None:
    with (cut / "steps.csv").open("ab") as table:
        table.write(torn)
    run, _ = Run.reopen(cut)
    with run:
        assert list(tails(cut).values()) == [ROWS + torn]
        train_to(run, start=3, stop=8)
    assert run.differences == []
    assert not (cut / "tail").exists()


def test_what_a_kill_left_of_equal_rows_goes_when_the_run_is_reopened(cut: Path) -> None:
    Run.reopen(cut)[0].close()
    left = tails(cut)
    run, _ = Run.reopen(cut)
    with run:
        train_to(run, start=3, stop=6)
    (cut / "tail").mkdir(mode=0o700)
    for name, data in left.items():
        (cut / "tail" / name).write_bytes(data)
    Run.reopen(cut)[0].close()
    assert not (cut / "tail").exists()


def test_foreign_names_are_neither_read_nor_deleted(cut: Path) -> None:
    (cut / "tail").mkdir()
    for name in ("mine.csv", "eval-5.csv"):  # the run has no table of that name
        (cut / "tail" / name).write_bytes(b"?\n")
    run, _ = Run.reopen(cut)
    with run:
        train_to(run, start=3, stop=6)
    assert tails(cut) == {"mine.csv": b"?\n", "eval-5.csv": b"?\n"}


def test_rows_of_other_settings_are_forgotten_without_a_word(cut: Path) -> None:
    run, _ = Run.reopen(cut)
    with run:
        run.forget_rows()
        assert not (cut / "tail").exists()
        for step in (3, 4, 5, 6):
            run.append("steps", {"step": step, "loss": 9})
        run.commit(state_at(6), keep=9)
    assert run.differences == []
