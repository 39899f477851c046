"""Runs that are followed from their folders, which come, grow, are cut back and go."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from moe_lab.job import following
from moe_lab.job.following import Courses
from moe_lab.job.task import Progress, Task
from moe_lab.plan import PlannedRun, Point

Place = Callable[..., None]


class Clock:
    """Stands where it is put."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def task(sweep: Path, seed: int = 0) -> Task:
    return Task(sweep, PlannedRun(Point("p0", {}), seed))


@pytest.fixture
def place(tmp_path: Path, finished: Path) -> Place:
    """Puts a run there with the header and so many rows of its steps."""

    def put(rows: int, seed: int = 0, old: str = "", new: str = "") -> None:
        folder = tmp_path / f"p0-s{seed}"
        if not folder.exists():
            shutil.copytree(finished, folder)
        lines = (finished / "steps.csv").read_text().splitlines(keepends=True)
        text = "".join(lines[: 1 + rows])
        (folder / "steps.csv").write_text(text.replace(old, new) if old else text)

    return put


def test_a_run_is_followed_from_before_it_has_a_folder_to_its_last_row(
    tmp_path: Path, finished: Path, place: Place, clock: Clock
) -> None:
    courses = Courses(clock)
    courses.add([task(tmp_path)])
    told: list[list[Progress]] = []
    for rows in (None, 0, 4, 4, 10):
        if rows is not None:
            place(rows)
        clock.now += following.PAUSE
        told.append(courses.news())
    assert [[news.step for news in look] for look in told] == [[], [], [4], [], [10]]
    (last,) = told[-1]
    row = (finished / "steps.csv").read_text().splitlines()[-1].split(",")
    names = (finished / "steps.csv").read_text().splitlines()[0].split(",")
    cells = dict(zip(names, row, strict=True))
    expected = (float(cells["lm_loss"]), float(cells["n_eff_worst"]))
    assert last == Progress("p0-s0", 10, 10, *expected)


def test_no_look_is_taken_before_its_time(tmp_path: Path, place: Place, clock: Clock) -> None:
    courses = Courses(clock)
    courses.add([task(tmp_path)])
    place(3)
    assert len(courses.news()) == 1
    place(5)
    clock.now += following.PAUSE / 2
    assert courses.news() == []
    clock.now += following.PAUSE / 2
    assert len(courses.news()) == 1


def test_a_run_that_went_back_to_a_checkpoint_is_followed_from_there(
    tmp_path: Path, place: Place, clock: Clock
) -> None:
    courses = Courses(clock)
    courses.add([task(tmp_path)])
    steps = []
    for rows in (6, 4, 4, 7):
        place(rows)
        clock.now += following.PAUSE
        steps.append([news.step for news in courses.news()])
    assert steps == [[6], [], [4], [7]]


@pytest.mark.parametrize(("old", "new"), [("\n3,", "\nx,"), ("lm_loss", "lm_lost")])
def test_what_is_damaged_is_no_news(
    tmp_path: Path, place: Place, clock: Clock, old: str, new: str
) -> None:
    courses = Courses(clock)
    courses.add([task(tmp_path)])
    place(3, 0, old, new)
    assert courses.news() == []


def test_a_run_that_has_ended_is_followed_no_more(
    tmp_path: Path, place: Place, clock: Clock
) -> None:
    courses = Courses(clock)
    courses.add([task(tmp_path, seed) for seed in (0, 1)])
    for seed in (0, 1):
        place(2, seed)
    courses.drop("p0-s0")
    assert [news.run for news in courses.news()] == ["p0-s1"]


def test_one_look_is_at_a_bounded_number_of_runs_and_each_has_its_turn(
    tmp_path: Path, place: Place, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "AT_ONCE", 2)
    courses = Courses(clock)
    courses.add([task(tmp_path, seed) for seed in range(3)])
    for seed in range(3):
        place(1, seed)
    looks = []
    for _ in range(2):
        clock.now += following.PAUSE
        looks.append([news.run for news in courses.news()])
    assert looks == [["p0-s0", "p0-s1"], ["p0-s2"]]
