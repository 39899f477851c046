"""The calls by which anything of ours changes a file system: a test hands the store others, which fail."""

import os
from pathlib import Path

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW  # Python adds close-on-exec
_EXTEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
_CHANGE = os.O_RDWR | os.O_NOFOLLOW


class System:
    """The operating system's own. What is made is its owner's alone; no link is followed; all raise OSError."""

    def make_folder(self, path: Path) -> None:
        """A new folder of mode 0700."""
        path.mkdir(0o700)

    def create(self, path: Path) -> int:
        """The descriptor of a new file of mode 0600."""
        return os.open(path, _CREATE, 0o600)

    def extend(self, path: Path) -> int:
        """The descriptor of a file whose end is written to; made if there is none."""
        return os.open(path, _EXTEND, 0o600)

    def change(self, path: Path) -> int:
        """The descriptor of a file that exists, to be read and written."""
        return os.open(path, _CHANGE)

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        """How many bytes were taken: at least one, perhaps not all."""
        return os.write(descriptor, data)

    def truncate(self, descriptor: int, length: int) -> None:
        """Cut a file off, or fill it up with zeros."""
        os.ftruncate(descriptor, length)

    def sync(self, descriptor: int) -> None:
        """Make the contents of a file, or the names in a folder, survive a power cut."""
        os.fsync(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        """In one step; replaces a file, or an empty folder."""
        old.rename(new)

    def remove(self, path: Path) -> None:
        """Remove a file, or a link itself."""
        path.unlink()

    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder."""
        path.rmdir()
