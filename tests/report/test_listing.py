import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import earlier

from moe_lab.report.listing import Entry, entries, parts
from moe_lab.report.pages import Note, Sheet

NOW = datetime(2030, 1, 31, tzinfo=UTC)


def age(**ago: float) -> str:
    created = (NOW - timedelta(**ago)).isoformat()
    (sheet,) = parts([Entry("x", "finished", 1, 1, created=created)], NOW)
    assert isinstance(sheet, Sheet)
    return str(sheet.rows[0][-1])


@pytest.mark.parametrize(
    ("ago", "shown"),
    [
        ({"seconds": 0}, "0 s"),
        ({"seconds": 59}, "59 s"),
        ({"seconds": 60}, "1 min"),
        ({"minutes": 59}, "59 min"),
        ({"minutes": 60}, "1 h"),
        ({"hours": 23}, "23 h"),
        ({"hours": 24}, "1 d"),
        ({"days": 400}, "400 d"),
    ],
)
def test_an_age_is_in_the_largest_unit_of_which_there_is_one(ago: dict[str, float], shown: str):
    assert age(**ago) == shown


def test_a_clock_that_was_put_back_is_no_error():
    assert age(seconds=-5) == "-5 s"


def test_a_run_of_an_earlier_version_is_listed_alike(finished: Path, tmp_path: Path):
    earlier(Path(shutil.copytree(finished, tmp_path / "small")))
    assert entries(tmp_path) == entries(finished.parent)
    assert entries(tmp_path)[0].gap is not None


def test_what_could_not_be_read_stands_below():
    found = parts([Entry("notes", reason="not a run")], NOW)
    assert found == [Note("no runs"), Note("not listed:\nnotes: not a run")]
