"""The first bytes of a table: what a checkpoint vouches for, and where a resumed run goes on."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from moe_lab.errors import ArtefactError
from moe_lab.store.files import reading
from moe_lab.store.limits import STREAMED

CHUNK = 2**20  # bytes read at a time


@dataclass(frozen=True)
class Prefix:
    """So many bytes of a table from its beginning, and what they are."""

    length: int = 0
    _hash: "hashlib._Hash" = field(default_factory=hashlib.sha256, compare=False, repr=False)

    @property
    def sha256(self) -> str:
        """Of the bytes, in hex."""
        return self._hash.hexdigest()

    def plus(self, data: bytes) -> "Prefix":
        """The longer prefix that a table has when data are written after this one."""
        longer = self._hash.copy()
        longer.update(data)
        return Prefix(self.length + len(data), longer)


def read_prefix(path: Path, length: int) -> Prefix:
    """The first bytes of a table as they lie on the disk. Raises ArtefactError if there are fewer."""
    prefix = Prefix()
    with reading(path, STREAMED) as file:
        while chunk := file.read(min(CHUNK, length - prefix.length)):
            prefix = prefix.plus(chunk)
    if prefix.length < length:
        raise ArtefactError(f"{path} has {prefix.length} bytes; its checkpoint counted {length}")
    return prefix
