"""Arrays of an evaluation that are no rows of a table: one `.npz` per evaluation, whole or absent, without pickle."""

import io
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from moe_lab.errors import ArtefactError
from moe_lab.store import files, layout, limits
from moe_lab.store.disk import Disk
from moe_lab.store.limits import Limit

_END = struct.Struct(
    "<4s4H2LH"
)  # of an archive: how many members, and the length of their directory
_LOCATOR = b"PK\6\7".ljust(20)  # before it in an archive of more than 4 GB
_ENTRY = 46 + 200  # bytes of the directory that a member takes, at most
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<dtype>[<|][biuf][1248])', "
    rb"'fortran_order': (?P<fortran>False|True), 'shape': \((?P<shape>[\d, ]{0,200})\), \} *\n",
    re.DOTALL,
)

Arrays = dict[str, NDArray[np.generic]]


def write_arrays(
    disk: Disk, directory: Path, step: int, arrays: Mapping[str, NDArray[np.generic]]
) -> None:
    """Writes an evaluation's arrays, in place of older ones of its step; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(arrays))  # type: ignore[arg-type]
    path = layout.arrays(directory, step)
    disk.make_folder(path.parent)
    disk.replace(path, buffer.getvalue())


def read_arrays(
    directory: Path, step: int, names: Collection[str] | None = None, limit: Limit = limits.UNPACKED
) -> Arrays:
    """The arrays of one evaluation, or those of some names that it has, up to a limit on their bytes.

    Raises ArtefactError if there are none, or if what is wanted of them is damaged.
    """
    with _archive(directory, step) as (archive, members):
        wanted = {n: member for n, member in members.items() if names is None or n in names}
        limit.check(sum(m.file_size for m in wanted.values()), layout.arrays(directory, step))
        return {name: _array(archive, member) for name, member in wanted.items()}


def array_names(directory: Path, step: int) -> list[str]:
    """The names of the arrays of one evaluation. Raises as `read_arrays` does."""
    with _archive(directory, step) as (_, members):
        return list(members)


@contextmanager
def _archive(
    directory: Path, step: int
) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """An evaluation's archive, and its members by the names of their arrays; damage is an ArtefactError."""
    path = layout.arrays(directory, step)
    with files.reading(path, limits.ARRAYS, root=directory) as file:
        try:
            _check_directory(path, file)
            with zipfile.ZipFile(file) as archive:
                yield archive, {m.filename.removesuffix(".npy"): m for m in archive.infolist()}
        except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, RuntimeError) as error:
            raise ArtefactError(f"{path} is damaged: {error}") from error


def array_steps(directory: Path) -> list[int]:
    """The steps whose evaluations left arrays, ascending; foreign names and links are not ours."""
    found = (
        layout.array_step(path)
        for path in files.inside(directory / layout.ARRAYS)
        if path.is_file() and not path.is_symlink()
    )
    return sorted(step for step in found if step is not None)


def _check_directory(path: Path, file: BinaryIO) -> None:
    """Raises ArtefactError for more arrays than a run has, before a record of each is made.

    Raises ValueError for an archive of more than 4 GB, or with a comment: NumPy writes none.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - len(_LOCATOR) - _END.size))
    tail = file.read()
    mark, *_, count, length, _, _ = _END.unpack(tail[-_END.size :].rjust(_END.size))
    if mark != b"PK\5\6" or tail.startswith(_LOCATOR[:4]):
        raise ValueError("no archive of arrays")
    limits.MEMBERS.check(count, path)
    if length > count * _ENTRY:
        raise ValueError("the directory of its arrays is longer than they need")


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[np.generic]:
    """One array. Its header is matched, not evaluated, and nothing is made before its size is known to be right."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{member.filename!r} is packed in a way that NumPy has not")
    with archive.open(member) as file:
        data = file.read(member.file_size)  # all of it at most, whatever else it would unpack to
    header = _HEADER.match(data)
    if not header:
        raise ValueError(f"{member.filename!r} is no array of numbers")
    dtype = np.dtype(header["dtype"].decode())
    shape = tuple(int(n) for n in header["shape"].replace(b",", b" ").split())
    if header.end() + dtype.itemsize * math.prod(shape) != len(data):
        raise ValueError(f"{member.filename!r} is not of the size that its header tells")
    order: Literal["C", "F"] = "F" if header["fortran"] == b"True" else "C"
    return np.frombuffer(data, dtype, offset=header.end()).reshape(shape, order=order)


def cut_arrays(disk: Disk, directory: Path, step: int) -> None:
    """Removes the arrays of evaluations after a step."""
    for later in array_steps(directory):
        if later > step:
            disk.discard(layout.arrays(directory, later))
