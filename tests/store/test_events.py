import stat
from pathlib import Path

import pytest

from moe_lab.errors import ArtefactError
from moe_lab.store.disk import DISK
from moe_lab.store.events import append_event, cut_torn_event, read_events


@pytest.fixture
def torn(tmp_path: Path) -> Path:
    """A folder with two events, and a third that a kill cut short."""
    append_event(DISK, tmp_path, "start", step=0)
    append_event(DISK, tmp_path, "save", step=2)
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write(b'{"kind')
    return tmp_path


def kinds(directory: Path) -> list[str]:
    return [event["kind"] for event in read_events(directory)]


def test_events_are_read_to_the_last_whole_line(torn: Path) -> None:
    events = read_events(torn)
    assert [(event["kind"], event["step"]) for event in events] == [("start", 0), ("save", 2)]
    assert all(event["time"].endswith("+00:00") for event in events)


def test_a_torn_event_is_cut_before_the_next_is_written(torn: Path) -> None:
    cut_torn_event(DISK, torn)
    append_event(DISK, torn, "end")
    assert kinds(torn) == ["start", "save", "end"]


def test_a_whole_file_is_left_as_it_is(tmp_path: Path) -> None:
    append_event(DISK, tmp_path, "start")
    before = (tmp_path / "events.jsonl").read_bytes()
    cut_torn_event(DISK, tmp_path)
    assert (tmp_path / "events.jsonl").read_bytes() == before


def test_without_a_file_there_are_no_events_and_none_is_made(tmp_path: Path) -> None:
    cut_torn_event(DISK, tmp_path)
    assert read_events(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_events_are_private(torn: Path) -> None:
    assert stat.S_IMODE((torn / "events.jsonl").stat().st_mode) == 0o600


def test_a_damaged_event_is_refused(torn: Path) -> None:
    with (torn / "events.jsonl").open("ab") as file:
        file.write(b"\n")
    with pytest.raises(ArtefactError, match=r"events\.jsonl:\d+ is corrupt"):
        read_events(torn)


def test_what_json_has_no_number_for_is_no_event(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        append_event(DISK, tmp_path, "failed", loss=float("nan"))
    assert read_events(tmp_path) == []
