from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab.errors import ArtefactError
from moe_lab.store.disk import DISK
from moe_lab.store.tables import (
    TableWriter,
    cell,
    create_table,
    last_row,
    read_table,
    whole_rows,
)

HEADER = ("step", "split", "cv", "dropped")


def table(folder: Path, *rows: Mapping[str, object]) -> TableWriter:
    path = folder / "cv.csv"
    writer = TableWriter(DISK, path, create_table(DISK, path, HEADER))
    for row in rows:
        writer.append(row)
    return writer


def written(folder: Path, data: bytes) -> Path:
    path = folder / "cv.csv"
    path.write_bytes(data)
    return path


def test_bytes_are_the_header_then_one_line_for_each_row(tmp_path: Path) -> None:
    writer = table(
        tmp_path,
        {"step": 1, "split": "train", "cv": 0.1, "dropped": None},
        {"dropped": float("nan"), "cv": float("inf"), "step": np.int64(2)},  # order of columns
        {"step": 3, "cv": np.float32(0.5), "dropped": np.float64(1e-17)},
    )
    length = writer.sync()
    writer.close()
    expected = b"step,split,cv,dropped\n1,train,0.1,\n2,,inf,nan\n3,,0.5,1e-17\n"
    assert (tmp_path / "cv.csv").read_bytes() == expected
    assert length == len(expected)


@given(st.floats(), st.integers(-(2**63), 2**63 - 1))
def test_numbers_read_back_exactly(number: float, integer: int) -> None:
    assert cell(integer) == str(integer)
    assert np.array(float(cell(number))).tobytes() == np.array(number).tobytes() or number != number
    assert cell(np.float64(number)) == cell(number)


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_a_table_reads_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float]
) -> None:
    writer = table(tmp_path_factory.mktemp("run"), *({"step": 1, "cv": n} for n in numbers))
    writer.flush()
    writer.close()
    assert read_table(writer.path)["cv"].to_numpy().tobytes() == np.array(numbers).tobytes()


def test_blank_is_not_a_number_and_counts_stay_whole(tmp_path: Path) -> None:
    frame = read_table(written(tmp_path, b"step,split,cv\n1,train,\n2,eval,0.5\n"))
    assert frame["step"].tolist() == [1, 2]
    assert frame["step"].dtype == np.int64
    assert frame["split"].tolist() == ["train", "eval"]
    assert frame["cv"].isna().tolist() == [True, False]


def test_a_column_that_was_not_declared_is_a_bug(tmp_path: Path) -> None:
    writer = table(tmp_path)
    with pytest.raises(AssertionError, match="cvv"):
        writer.append({"step": 1, "cvv": 0.1})
    writer.close()


@pytest.mark.parametrize("text", ["a,b", 'a"b', "a\nb", "a\rb"])
def test_text_that_would_split_a_row_is_a_bug(text: str) -> None:
    with pytest.raises(AssertionError):
        cell(text)


def test_rows_are_seen_after_flush_and_dropped_at_close(tmp_path: Path) -> None:
    writer = table(tmp_path, {"step": 1})
    assert whole_rows(writer.path) == b"step,split,cv,dropped\n"
    writer.flush()
    writer.append({"step": 2})
    writer.close()
    assert whole_rows(writer.path) == b"step,split,cv,dropped\n1,,,\n"


def test_opening_cuts_to_the_committed_length_and_writes_no_second_header(tmp_path: Path) -> None:
    path = written(tmp_path, b"step,cv\n1,0.5\n2,0.5\n3,0.")
    writer = TableWriter(DISK, path, len(b"step,cv\n1,0.5\n"))
    writer.append({"cv": 0.25, "step": 2})
    writer.flush()
    writer.close()
    assert path.read_bytes() == b"step,cv\n1,0.5\n2,0.25\n"


def test_a_table_cut_anywhere_reads_to_its_last_whole_row(tmp_path: Path) -> None:
    data = b"step,cv\n1,0.25\n2,\n3,0.75\n"
    ends = (8, 15, 18, 25)  # "step,cv\n" 8, "1,0.25\n" 7, "2,\n" 3, "3,0.75\n" 7
    for length in range(8, len(data) + 1):
        whole = max(end for end in ends if end <= length)
        assert whole_rows(written(tmp_path, data[:length])) == data[:whole]
    for length in range(8):
        with pytest.raises(ArtefactError, match="no header line"):
            whole_rows(written(tmp_path, data[:length]))


@pytest.mark.parametrize("tail", [b"2\n", b"\n", b"\0\0\0\0", b"2,0.5\0\0\0", b"2,0.5,7"])
def test_a_torn_or_short_last_line_is_no_row(tmp_path: Path, tail: bytes) -> None:
    assert whole_rows(written(tmp_path, b"step,cv\n1,0.5\n" + tail)) == b"step,cv\n1,0.5\n"


@pytest.mark.parametrize("row", [b"2", b"2,0.5,0.5", b""])
def test_a_damaged_row_in_the_middle_is_named_by_its_line(tmp_path: Path, row: bytes) -> None:
    path = written(tmp_path, b"step,cv\n1,0.5\n" + row + b"\n3,0.5\n")
    with pytest.raises(ArtefactError, match="under a header of 2") as caught:
        whole_rows(path)
    assert f"{path}:3:1" in caught.value.render()


def test_the_last_row_is_found_from_the_end_alone(tmp_path: Path) -> None:
    rows = b"".join(
        b"%d,train,0.5,\n" % step for step in range(50_000)
    )  # more than is looked through
    path = written(tmp_path, b"step,split,cv,dropped\n" + rows)
    assert last_row(path) == {"step": "49999", "split": "train", "cv": "0.5", "dropped": ""}


@pytest.mark.parametrize("tail", [b"", b"3,eval", b"3,eval,0.5,0.1", b"3,eval,0\n"])
def test_the_last_row_is_the_last_whole_one(tmp_path: Path, tail: bytes) -> None:
    path = written(tmp_path, b"step,split,cv,dropped\n1,eval,0.5,\n2,eval,0.25,\n" + tail)
    assert last_row(path)["step"] == "2"


@pytest.mark.parametrize("data", [b"step,split\n", b"step,split\n1,ev"])
def test_a_table_without_a_whole_row_has_no_last_one(tmp_path: Path, data: bytes) -> None:
    assert last_row(written(tmp_path, data)) == {}


def test_a_last_row_needs_a_header_and_a_plain_file(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="has no header line"):
        last_row(written(tmp_path, b""))
    with pytest.raises(ArtefactError, match="cannot read"):
        last_row(tmp_path / "nowhere.csv")
