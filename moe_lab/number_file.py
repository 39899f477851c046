"""A long file of numbers, of which little is in memory: read where it is asked for."""

import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moe_lab.errors import ConfigError


class NumberFile:
    """The numbers of a file, as an array of which slices are read; the length is that at the beginning.

    Not a mapping into memory: where a mapped file is cut while it is used, the process dies of SIGBUS.
    """

    def __init__(self, path: Path, dtype: str):
        self.path, self.dtype = path, np.dtype(dtype)
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)
        self._length = os.fstat(self._descriptor).st_size // self.dtype.itemsize

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> NDArray[Any]:
        """The numbers from part.start up to part.stop. Raises ConfigError if the file has been cut before them."""
        start, stop, _ = part.indices(self._length)
        size, place = (stop - start) * self.dtype.itemsize, start * self.dtype.itemsize
        data = os.pread(self._descriptor, size, place)
        if len(data) < size:
            left = os.fstat(self._descriptor).st_size
            raise ConfigError(
                f"{self.path} was cut off while it was read: it has {left:,} bytes left",
                help="put the original file back, and go on with the run",
            )
        return np.frombuffer(data, self.dtype)
