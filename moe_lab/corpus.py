"""Which files a text consists of, and what they may hold; nothing is read."""

import os.path
from pathlib import Path

BYTE_ORDERED = {
    "bytes": "u1",
    "uint16": "<u2",
    "uint32": "<u4",
}  # numpy's words for what files hold


def entries(folder: Path) -> list[Path]:
    """The regular files directly in a folder, sorted by name; hidden files and subfolders are not part of it."""
    return sorted(e for e in folder.iterdir() if e.is_file() and not e.name.startswith("."))


def files(path: str | dict[str, str]) -> dict[str, Path]:
    """Each file by its label: as the mapping says, or the name without its ending, of one file or all of a folder."""
    if isinstance(path, dict):
        return {label: Path(name) for label, name in path.items()}
    place = Path(path)
    return {file.stem: file for file in (entries(place) if is_folder(path) else [place])}


def is_folder(path: str | dict[str, str]) -> bool:
    """Whether it is the path of a folder; however long or odd, it is only looked at."""
    return isinstance(path, str) and os.path.isdir(path)  # noqa: PTH112 - Path's raises
