"""Files that no run has: links, pipes, pickles and forged archives."""

import io
import os
import pickle
import shutil
import socket
import zipfile
from pathlib import Path
from typing import Any

import numpy as np


class Evil:
    """Leaves a mark where it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("touch unpickled",)


def gone(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def linked(path: Path, target: Path) -> None:
    gone(path)
    path.symlink_to(target)


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps(Evil()))


def huge(path: Path, size: int) -> None:
    os.truncate(path, size)


def bound(path: Path) -> None:
    gone(path)
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind(path.name)
    os.chdir(here)


def crowded(folder: Path) -> None:
    for i in range(100_001):
        (folder / f"x{i}").touch()


def many_events(path: Path) -> None:
    path.write_bytes(b"{}\n" * 1_000_000)


def npy(array: Any, shape: str = "") -> bytes:
    """An array as NumPy stores it, with another shape in its header."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    data = buffer.getvalue()
    return data.replace(str(array.shape).encode(), shape.encode()) if shape else data


def objects() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([[Evil()]], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def lying_archive(run: Path) -> None:
    """100 MB that say of themselves to be 100 bytes."""
    for path in sorted((run / "router").iterdir()):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("layer_0.experts.npy", bytes(100_000_000))
        data = bytearray(buffer.getvalue())
        size = data.rindex(b"PK\1\2") + 24
        data[size : size + 4] = (100).to_bytes(4, "little")
        path.write_bytes(bytes(data))
