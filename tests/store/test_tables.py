import errno
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_lab.errors import ArtefactError, StorageError
from moe_lab.store.disk import DISK, Disk
from moe_lab.store.prefix import read_prefix
from moe_lab.store.system import System
from moe_lab.store.tables import TableWriter, cell, create_table

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
    prefix = writer.sync()
    writer.close()
    expected = b"step,split,cv,dropped\n1,train,0.1,\n2,,inf,nan\n3,,0.5,1e-17\n"
    assert (tmp_path / "cv.csv").read_bytes() == expected
    assert (prefix.length, prefix.sha256) == (len(expected), sha256(expected).hexdigest())


@given(st.floats(), st.integers(-(2**63), 2**63 - 1))
def test_numbers_read_back_exactly(number: float, integer: int) -> None:
    assert cell(integer) == str(integer)
    assert np.array(float(cell(number))).tobytes() == np.array(number).tobytes() or number != number
    assert cell(np.float64(number)) == cell(number)


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
    assert writer.path.read_bytes() == b"step,split,cv,dropped\n"
    writer.flush()
    writer.append({"step": 2})
    writer.close()
    assert writer.path.read_bytes() == b"step,split,cv,dropped\n1,,,\n"


def test_opening_cuts_to_the_committed_length_and_writes_no_second_header(tmp_path: Path) -> None:
    path = written(tmp_path, b"step,cv\n1,0.5\n2,0.5\n3,0.")
    writer = TableWriter(DISK, path, read_prefix(path, len(b"step,cv\n1,0.5\n")))
    writer.append({"cv": 0.25, "step": 2})
    writer.flush()
    writer.close()
    assert path.read_bytes() == b"step,cv\n1,0.5\n2,0.25\n"


class FullFor(System):
    """A disk that takes four bytes and is full, once."""

    def __init__(self) -> None:
        self.wrote: list[int] = []

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        if len(self.wrote) == 1:
            self.wrote.append(0)
            raise OSError(errno.ENOSPC, "No space left on device")
        self.wrote.append(super().write(descriptor, data[: 4 if not self.wrote else None]))
        return self.wrote[-1]


def test_rows_that_were_refused_in_part_are_written_over(tmp_path: Path) -> None:
    path = written(tmp_path, b"step,cv\n")
    writer = TableWriter(Disk(FullFor()), path, read_prefix(path, 8))
    writer.append({"step": 1, "cv": 0.5})
    with pytest.raises(StorageError, match="No space left"):
        writer.flush()
    assert path.read_bytes() == b"step,cv\n1,0."
    prefix = writer.sync()
    writer.close()
    assert path.read_bytes() == b"step,cv\n1,0.5\n"
    assert prefix == read_prefix(path, 14)


class Garbling(System):
    """Turns a bit of every write."""

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        return super().write(descriptor, bytes([data[0] ^ 1, *data[1:]]))


def test_rows_that_do_not_read_back_are_no_commit(tmp_path: Path) -> None:
    path = tmp_path / "cv.csv"
    prefix = create_table(DISK, path, HEADER)
    writer = TableWriter(Disk(Garbling()), path, prefix)
    writer.append({"step": 1})
    with pytest.raises(ArtefactError, match=r"cv\.csv does not read back as it was written"):
        writer.sync()
    writer.close()
