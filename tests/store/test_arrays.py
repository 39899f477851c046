import io
import zipfile

import numpy as np
import pytest

from moe_lab.errors import ArtefactError
from moe_lab.store import layout
from moe_lab.store.arrays import array_steps, cut_arrays, read_arrays, write_arrays
from moe_lab.store.disk import DISK

ARRAYS = {
    "layer_0.experts": np.array([[1], [2]], np.uint8),
    "gap_by_position": np.array([0.1, np.nan, 1e-300]),
}


def test_arrays_read_back_as_they_were(tmp_path):
    write_arrays(DISK, tmp_path, 50, ARRAYS)
    found = read_arrays(tmp_path, 50)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert (found[name].dtype, found[name].tobytes()) == (array.dtype, array.tobytes())


def test_equal_arrays_are_equal_bytes_and_private(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_arrays(DISK, tmp_path / folder, 1, ARRAYS)
    one, other = (layout.arrays(tmp_path / folder, 1) for folder in ("a", "b"))
    assert one.read_bytes() == other.read_bytes()
    assert one.stat().st_mode & 0o077 == 0


def test_a_second_writing_replaces_the_first_and_what_a_kill_left(tmp_path):
    write_arrays(DISK, tmp_path, 1, ARRAYS)
    (tmp_path / layout.ARRAYS / ".step-00000001.npz.new").write_bytes(b"half")
    write_arrays(DISK, tmp_path, 1, {"x": np.zeros(3)})
    assert list(read_arrays(tmp_path, 1)) == ["x"]
    assert [path.name for path in (tmp_path / layout.ARRAYS).iterdir()] == ["step-00000001.npz"]


def test_steps_are_ascending_and_foreign_names_are_none(tmp_path):
    assert array_steps(tmp_path) == []
    for step in (100, 5, 100_000_000):
        write_arrays(DISK, tmp_path, step, ARRAYS)
    for name in ("step-5.npz", "step-00000007.npy", "notes.npz"):
        (tmp_path / layout.ARRAYS / name).write_bytes(b"")
    (tmp_path / layout.ARRAYS / "step-00000009.npz").symlink_to("step-00000005.npz")
    assert array_steps(tmp_path) == [5, 100, 100_000_000]


def test_what_is_after_a_step_is_cut(tmp_path):
    for step in (0, 50, 51, 100):
        write_arrays(DISK, tmp_path, step, ARRAYS)
    cut_arrays(DISK, tmp_path, 50)
    assert array_steps(tmp_path) == [0, 50]


def test_missing_torn_and_hostile_files_are_refused(tmp_path):
    with pytest.raises(ArtefactError, match="cannot read"):
        read_arrays(tmp_path, 1)
    write_arrays(DISK, tmp_path, 1, ARRAYS)
    path = layout.arrays(tmp_path, 1)
    whole = path.read_bytes()
    start = whole.index(b"layer_0.experts.npy") + 60  # inside the compressed data
    flipped = [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in range(start, start + 30)]
    for damaged in (b"", b"PK", whole[: len(whole) // 2], *flipped):
        path.write_bytes(damaged)
        with pytest.raises(ArtefactError, match="is damaged"):
            read_arrays(tmp_path, 1)


def test_pickles_are_not_loaded(tmp_path):
    (tmp_path / layout.ARRAYS).mkdir()
    np.savez(layout.arrays(tmp_path, 1), x=np.array([print], dtype=object))
    with pytest.raises(ArtefactError, match=r"damaged: 'x\.npy' is no array of numbers"):
        read_arrays(tmp_path, 1)


def test_a_small_file_that_unpacks_to_more_than_memory_is_refused(tmp_path):
    (tmp_path / layout.ARRAYS).mkdir()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", b"")
    data = bytearray(buffer.getvalue())
    size = data.rindex(b"PK\1\2") + 24  # of the unpacked member, in the directory at the end
    data[size : size + 4] = (2**32 - 2).to_bytes(4, "little")
    layout.arrays(tmp_path, 1).write_bytes(bytes(data))
    with pytest.raises(
        ArtefactError, match=r"4,294,967,294 bytes; the limit is .* \(arrays, unpacked"
    ):
        read_arrays(tmp_path, 1)


def test_a_member_that_is_not_what_numpy_writes_is_refused(tmp_path):
    (tmp_path / layout.ARRAYS).mkdir()
    header = b"\x93NUMPY\1\0\x3a\0{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }  \n"
    for data, packing, reason in (
        (header + bytes(16), zipfile.ZIP_BZIP2, "is packed in a way that NumPy has not"),
        (header + bytes(15), zipfile.ZIP_STORED, "is not of the size that its header tells"),
    ):
        with zipfile.ZipFile(layout.arrays(tmp_path, 1), "w", packing) as archive:
            archive.writestr("x.npy", data)
        with pytest.raises(ArtefactError, match=reason):
            read_arrays(tmp_path, 1)


def test_a_directory_of_members_that_is_padded_is_refused(tmp_path):
    write_arrays(DISK, tmp_path, 1, ARRAYS)
    padded = zipfile.ZipInfo("more.npy")
    padded.comment = b"x" * 60_000
    with zipfile.ZipFile(layout.arrays(tmp_path, 1), "a") as archive:
        archive.writestr(padded, b"")
    with pytest.raises(ArtefactError, match="longer than they need"):
        read_arrays(tmp_path, 1)
