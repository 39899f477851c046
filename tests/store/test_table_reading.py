"""Tables read back, whole and damaged."""

import os
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_lab.errors import ArtefactError
from moe_lab.store.table_reading import last_numbers, last_row, read_table, whole_rows
from moe_lab.store.tables import cell


def written(folder: Path, data: bytes) -> Path:
    path = folder / "cv.csv"
    path.write_bytes(data)
    return path


def whole(path: Path) -> bytes:
    return b"".join(whole_rows(path))


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_a_table_reads_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float]
) -> None:
    rows = (f"{step},{cell(number)}\n" for step, number in enumerate(numbers))
    path = written(tmp_path_factory.mktemp("run"), f"step,cv\n{''.join(rows)}".encode())
    assert read_table(path)["cv"].to_numpy().tobytes() == np.array(numbers).tobytes()


def test_blank_is_not_a_number_and_counts_stay_whole(tmp_path: Path) -> None:
    frame = read_table(written(tmp_path, b"step,split,cv\n1,train,\n2,eval,0.5\n"))
    assert frame["step"].tolist() == [1, 2]
    assert frame["step"].dtype == np.int64
    assert frame["split"].tolist() == ["train", "eval"]
    assert frame["cv"].isna().tolist() == [True, False]


def test_a_table_cut_anywhere_reads_to_its_last_whole_row(tmp_path: Path) -> None:
    data = b"step,cv\n1,0.25\n2,\n3,0.75\n"
    ends = (8, 15, 18, 25)  # "step,cv\n" 8, "1,0.25\n" 7, "2,\n" 3, "3,0.75\n" 7
    for length in range(8, len(data) + 1):
        end = max(end for end in ends if end <= length)
        assert whole(written(tmp_path, data[:length])) == data[:end]
    for length in range(8):
        with pytest.raises(ArtefactError, match="no header line"):
            whole(written(tmp_path, data[:length]))


@pytest.mark.parametrize("tail", [b"2\n", b"\n", b"\0\0\0\0", b"2,0.5\0\0\0", b"2,0.5,7"])
def test_a_torn_or_short_last_line_is_no_row(tmp_path: Path, tail: bytes) -> None:
    assert whole(written(tmp_path, b"step,cv\n1,0.5\n" + tail)) == b"step,cv\n1,0.5\n"


@pytest.mark.parametrize("row", [b"2", b"2,0.5,0.5", b""])
def test_a_damaged_row_in_the_middle_is_named_by_its_line(tmp_path: Path, row: bytes) -> None:
    path = written(tmp_path, b"step,cv\n1,0.5\n" + row + b"\n3,0.5\n")
    with pytest.raises(ArtefactError, match="under a header of 2") as caught:
        whole(path)
    assert f"{path}:3:1" in caught.value.render()


CV = b"step,split,layer,assignments,cv\n"
ROWS = b"0,eval,0,64,0.5\n1,train,0,64,0.5\n2,train,0,64,0.25\n"
LOADS = b"step,split,layer,expert_00,expert_01\n0,eval,0,0.25,0.75\n"


@pytest.mark.parametrize(
    ("damaged", "line", "wrong"),
    [
        (b"", 0, "has no header line"),
        (CV[:-1], 0, "has no header line"),
        (b"\n" + ROWS, 0, "has no header line"),
        (b"\xef\xbb\xbf" + CV + ROWS, 1, "byte 0xef is in no table"),  # a byte order mark
        (CV.replace(b"cv", b"step") + ROWS, 0, "or two of one name"),
        (CV + ROWS + CV + ROWS, 5, "step is 'step': no whole number from 0 on"),
        ((CV + ROWS).replace(b"\n", b"\r\n"), 1, "byte 0x0d is in no table"),
        (CV + ROWS + b"3,train,0,64,0.5\0\0\n4,train,0,64,1.0\n", 5, "byte 0x00 is in no table"),
        (CV + ROWS + b"3,train,0,64,0,5\n", 5, "row with 6 fields under a header of 5"),
        (CV + b"0,eval,0,64,0.5,9\n" + ROWS, 2, "row with 6 fields under a header of 5"),
        (CV + b"0,eval,0\n" + ROWS, 2, "row with 3 fields under a header of 5"),
        (CV + b"0,eval,0,640,eval,0,64,0.5\n" + ROWS, 2, "row with 8 fields"),  # joined
        (CV + b"\n" + ROWS, 2, "row with 1 fields"),
        (CV + ROWS.replace(b"0.25", b"1e400"), 4, "cv is 1e400: beyond the largest number"),
        (CV + ROWS.replace(b"0.25", b"often"), 4, "cv is 'often': no number"),
        (b"step,n\n1,2\n2," + b"9" * 30 + b"\n", 3, f"n is '{'9' * 30}': no number"),
        (CV + ROWS.replace(b"0.25", b"1_000"), 4, "cv is '1_000': no number"),
        (CV + ROWS.replace(b"0.25", b"NA"), 4, "cv is 'NA': no number"),
        (CV + ROWS.replace(b"0.25", b"True"), 4, "cv is 'True': no number"),
        (CV + ROWS.replace(b"0.25", b'"0.25"'), 4, "byte 0x22 is in no table"),
        (CV + ROWS.replace(b"0.25", b"0.2\xe9"), 4, "byte 0xe9 is in no table"),
        (CV + ROWS.replace(b"2,train", b"2,trian"), 4, "split is 'trian'"),
        (CV + ROWS.replace(b"2,train", b"2,"), 4, "split is ''"),
        (CV + ROWS.replace(b"\n2,", b"\n-2,"), 4, "step is '-2'"),
        (CV + ROWS.replace(b"\n2,", b"\n2.5,"), 4, "step is '2.5'"),
        (CV + ROWS.replace(b"\n2,", b"\n,"), 4, "step is ''"),
        (
            CV + ROWS.replace(b"\n2,", b"\n99999999999999999999,"),
            4,
            "step is '99999999999999999999'",
        ),
        (
            CV + ROWS.replace(b",64,0.25", b",0,0.25"),
            4,
            "assignments is '0': no whole number from 1 on",
        ),
        (CV + ROWS.replace(b"\n1,", b"\n3,"), 4, "step 2 stands after step 3"),
        (CV + ROWS.replace(b"\n2,", b"\n1,"), 4, "this row stands twice"),
        (LOADS + b"1,train,0,0.25,0.85\n", 3, "the loads of a row sum to 1, these to 1.1"),
        (LOADS + b"1,train,0,-0.25,1.25\n", 3, "the loads of a row"),
        (LOADS + b"1,train,0,,1.0\n", 3, "the loads of a row"),
    ],
)
def test_a_damaged_table_is_refused_at_its_line(
    tmp_path: Path, damaged: bytes, line: int, wrong: str
) -> None:
    path = written(tmp_path, damaged)
    with pytest.raises(ArtefactError) as caught:
        read_table(path)
    shown = caught.value.render()
    assert wrong in shown
    assert (f"{path}:{line}:" if line else str(path)) in shown


@pytest.mark.parametrize("tail", [b"3,tra", b"3,train,0,64,0.5", b"\0\0\0\0\0", b"3,train\n"])
def test_rows_before_a_torn_end_are_read_as_they_were_written(tmp_path: Path, tail: bytes) -> None:
    frame = read_table(written(tmp_path, CV + ROWS + tail))
    assert frame["step"].tolist() == [0, 1, 2]
    assert frame["cv"].tolist() == [0.5, 0.5, 0.25]


def test_infinity_is_a_number_where_it_is_written_out(tmp_path: Path) -> None:
    frame = read_table(written(tmp_path, b"step,loss\n1,inf\n2,-inf\n3,nan\n"))
    assert frame["loss"].tolist()[:2] == [np.inf, -np.inf]
    assert np.isnan(frame["loss"][2])


def test_somebody_elses_loop_may_evaluate_twice_after_a_step(tmp_path: Path) -> None:
    path = tmp_path / "eval.csv"
    path.write_bytes(b"step,lm_loss\n1,2.5\n1,2.25\n")
    assert len(read_table(path)) == 2
    assert len(read_table(written(tmp_path, CV + b"1,eval,0,64,0.5\n" * 2))) == 2


def test_a_label_that_is_called_like_an_expert_has_a_loss_and_no_load(tmp_path: Path) -> None:
    path = tmp_path / "eval.csv"
    path.write_bytes(b"step,lm_loss,expert_a_loss,expert_b_loss\n0,2.5,2.25,2.75\n")
    assert len(read_table(path)) == 1


def test_what_is_wrong_in_a_long_line_is_shown_with_little_around_it(tmp_path: Path) -> None:
    names = ",".join(f"c{i}" for i in range(100))
    row = ",".join(["0"] * 70 + ["x"] + ["0"] * 29)
    with pytest.raises(ArtefactError, match="c70 is 'x': no number") as caught:
        read_table(written(tmp_path, f"{names}\n{row}\n".encode()))
    *_, line, carets = caught.value.render().splitlines()
    assert len(line) < 100
    assert line[carets.index("^")] == "x"


@pytest.mark.parametrize(
    ("data", "size", "said"),
    [
        (b"", 10**10, "has 10,000,000,000 bytes; the limit is 1,000,000,000 (table)"),
        (b"", 10**9, "bytes; the limit is 64,000 (table line)"),
        (b"step\n1\n", 10**9, "bytes; the limit is 64,000 (table line)"),
        (b"," * 10_000 + b"\n", 0, "has 10,001 columns; the limit is 10,000 (table columns)"),
        (
            b"a,b\n1," + b"2" * 64_000 + b"\n1,2\n",
            0,
            "64,002 bytes; the limit is 64,000 (table line)",
        ),
    ],
)
def test_a_table_beyond_a_limit_is_refused_with_its_name(
    tmp_path: Path, data: bytes, size: int, said: str
) -> None:
    path = written(tmp_path, data)
    if size:
        os.truncate(path, size)
    with pytest.raises(ArtefactError, match=re.escape(said)):
        read_table(path)


@settings(max_examples=20)
@given(st.integers(0, 50_000), st.integers(0, 40))
def test_rows_are_found_wherever_the_file_is_cut_into_pieces(number: int, cut: int) -> None:
    """Against splitting the file at once: the oracle."""
    data = b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * cut) for i in range(number))
    data = data[: max(4, len(data) - cut)]
    kept = [line for line in data.split(b"\n")[:-1] if line.count(b",") == 1]
    with tempfile.TemporaryDirectory() as folder:
        assert whole(written(Path(folder), data)) == b"".join(line + b"\n" for line in kept)


def test_the_last_numbers_are_none_where_there_is_none(tmp_path: Path) -> None:
    path = written(tmp_path, b"step,lm_loss,gap\n1,2.5,\n2,nan,x\n")
    assert last_numbers(path, ["step", "lm_loss", "nmi"]) == {
        "step": 2,
        "lm_loss": None,
        "nmi": None,
    }
    with pytest.raises(ArtefactError, match="in its last row gap is 'x': no number"):
        last_numbers(path, ["gap"])


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
