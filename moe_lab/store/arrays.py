"""Arrays of an evaluation that are no rows of a table: one `.npz` per evaluation, whole or absent, without pickle."""

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moe_lab.errors import ArtefactError
from moe_lab.store import files, layout
from moe_lab.store.disk import Disk

UNPACKED_LIMIT = 2**31  # bytes; a small file can unpack to far more than a run ever writes

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


def read_arrays(directory: Path, step: int) -> Arrays:
    """The arrays of one evaluation. Raises ArtefactError if there are none or they are damaged."""
    path = layout.arrays(directory, step)
    data = io.BytesIO(files.read_regular(path))
    try:
        with zipfile.ZipFile(data) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > UNPACKED_LIMIT:
            raise ArtefactError(f"{path} unpacks to {unpacked:,} bytes, more than a run writes")
        with np.load(data, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, KeyError) as error:
        raise ArtefactError(f"{path} is damaged: {error}") from error


def array_steps(directory: Path) -> list[int]:
    """The steps whose evaluations left arrays, ascending; foreign names and links are not ours."""
    found = (
        layout.array_step(path)
        for path in (directory / layout.ARRAYS).glob("step-*.npz")
        if path.is_file() and not path.is_symlink()
    )
    return sorted(step for step in found if step is not None)


def cut_arrays(disk: Disk, directory: Path, step: int) -> None:
    """Removes the arrays of evaluations after a step."""
    for later in array_steps(directory):
        if later > step:
            disk.discard(layout.arrays(directory, later))
