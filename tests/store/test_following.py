"""Tables that grow, are cut back, torn and damaged while they are followed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab.errors import ArtefactError
from moe_lab.store.following import MARK, PIECE, CutBack, TableFollower
from moe_lab.store.table_reading import whole_rows

ROWS = [f"{step},{step / 7!r}\n".encode() for step in range(1, 41)]
TABLE = b"step,cv\n" + b"".join(ROWS)


def written(folder: Path, data: bytes) -> Path:
    path = folder / "cv.csv"
    path.write_bytes(data)
    return path


def text(rows: list[list[str]]) -> bytes:
    return b"".join(",".join(cells).encode() + b"\n" for cells in rows)


@given(st.lists(st.integers(8, len(TABLE)), max_size=20))
def test_a_table_read_while_it_grows_is_the_table_read_at_once(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int]
) -> None:
    path = written(tmp_path_factory.mktemp("run"), TABLE[:8])
    follower = TableFollower(path)
    found = b""
    for length in [*sorted(lengths), len(TABLE)]:
        path.write_bytes(TABLE[:length])
        found += text(follower.read())
        assert b"step,cv\n" + found == b"".join(whole_rows(path))
    assert follower.names == ["step", "cv"]
    assert found == TABLE[8:]
    assert follower.read() == []


def test_rows_that_are_longer_than_a_piece_and_the_mark_are_told_once(tmp_path: Path) -> None:
    header = ",".join(["step", *(f"expert_{i}" for i in range(2000))])
    rows = [",".join([str(step), *["0.0005"] * 2000]) for step in range(1, 101)]
    data = "".join(f"{line}\n" for line in [header, *rows]).encode()
    assert len(data) > PIECE > len(rows[0]) > MARK
    follower = TableFollower(written(tmp_path, data))
    found = follower.read()
    assert follower.has_more
    while follower.has_more:
        found += follower.read()
    assert text(found) == data.partition(b"\n")[2]


def test_a_table_that_lost_rows_is_cut_back_and_one_that_lost_a_torn_row_is_not(tmp_path: Path):
    path = written(tmp_path, TABLE[:100] + b"7,")
    follower = TableFollower(path)
    read = 8 + len(text(follower.read()))
    path.write_bytes(TABLE[:read])
    assert follower.read() == []
    path.write_bytes(TABLE[: read - 1])
    with pytest.raises(CutBack):
        follower.read()


def test_rows_that_came_back_are_not_told_again_unless_they_are_others(tmp_path: Path) -> None:
    path = written(tmp_path, TABLE[:100])
    follower = TableFollower(path)
    before = text(follower.read())
    path.write_bytes(TABLE)  # cut back and computed again between two looks
    assert before + text(follower.read()) == TABLE[8:]
    path.write_bytes(TABLE[:-4] + b"9" + TABLE[-3:] + b"41,1.0\n")
    with pytest.raises(CutBack):
        follower.read()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (b"1,0.5\n2\n3,0.5\n", "row with 1 fields under a header of 2"),
        (b"1,0.5,7\n", "row with 3 fields"),
        (b"1,0.5\n\0,1\n", "byte 0x00 is in no table"),
        (b"1," + b"0" * 70_000, "the limit is 64,000"),
    ],
)
def test_a_damaged_row_is_refused_with_its_line(tmp_path: Path, damage: bytes, message: str):
    follower = TableFollower(written(tmp_path, b"step,cv\n" + damage))
    with pytest.raises(ArtefactError) as caught:
        follower.read()
    assert message in caught.value.render()
    assert f"{tmp_path}/cv.csv:" in caught.value.render()


@pytest.mark.parametrize("tail", [b"2\n", b"\n", b"\0\0\0\0", b"2,0.5\0\0\0", b"2,0.5,7"])
def test_a_torn_or_short_last_line_waits(tmp_path: Path, tail: bytes) -> None:
    follower = TableFollower(written(tmp_path, b"step,cv\n1,0.5\n" + tail))
    assert follower.read() == [["1", "0.5"]]
    assert follower.read() == []
    assert not follower.has_more


def test_a_table_that_goes_away_or_is_a_link_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, TABLE)
    follower = TableFollower(path)
    follower.read()
    path.rename(tmp_path / "other.csv")
    with pytest.raises(ArtefactError, match="No such file"):
        follower.read()
    path.symlink_to(tmp_path / "other.csv")
    with pytest.raises(ArtefactError, match="not a plain file"):
        follower.read()
