"""What `report` writes: a page, and figures for papers. Their paths are printed on stdout, one a line."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import typer

from moe_lab import escape
from moe_lab.errors import ArtefactError, ConfigError, StorageError

FigureFormat = Literal["svg", "pdf", "png"]
PAGE = "report.html"  # in the folder of what it is about
OURS = b'<meta name="generator" content="moe-lab'  # near the beginning of what may be replaced
ROOM = 3_000_000  # bytes that are looked for before the work


def page(directories: Sequence[Path], target: str, margin: float, *, times: bool) -> None:
    """Write a page about runs or a sweep to a target; if that is empty, into the only directory."""
    from moe_lab import page
    from moe_lab.store.disk import DISK
    from moe_lab.store.folders import preflight

    path, option = _place(directories, target), "--html PATH.html"
    with writing(option):
        preflight(path.parent, ROOM)
    text = page.build(directories, margin=margin, times=times)
    with writing(option):
        DISK.make_folder(path.parent)
        DISK.replace(path, text.encode())
    typer.echo(path)


def _place(directories: Sequence[Path], target: str) -> Path:
    """Where the page goes. Raises ConfigError if that is not known, or holds what is no page of ours."""
    if not target and len(directories) > 1:
        raise ConfigError("a page about several runs needs a name", help="--html PATH.html")
    path = Path(target) if target else directories[0] / PAGE
    if os.path.lexists(path) and not _is_ours(path):
        raise ConfigError(f"{path} exists, and is no page of moe-lab", help="--html ANOTHER.html")
    return path


def _is_ours(path: Path) -> bool:
    from moe_lab.store import files, limits

    try:
        with files.reading(path, limits.STREAMED) as file:
            return OURS in file.read(1000)
    except ArtefactError:
        return False


def figures(
    directories: Sequence[Path],
    folder: Path,
    format: FigureFormat,
    margin: float,
) -> None:
    """Write every figure of runs or a sweep into a folder; what there is nothing for is named on stderr."""
    from moe_lab.figures import files, gallery
    from moe_lab.figures.base import Absent, Figure
    from moe_lab.store.folders import preflight

    option = "--figures FOLDER"
    with writing(option):
        preflight(folder, ROOM)
    drawn = [figure for wall in gallery.of(directories, margin=margin) for figure in wall.drawn]
    with writing(option):
        for figure in drawn:
            match figure:
                case Figure():
                    typer.echo(files.write(figure, folder, format))
                case Absent(name, _, why):
                    typer.echo(escape.line(f"no {name}: {why}"), err=True)


@contextmanager
def writing(option: str) -> Iterator[None]:
    """Lets a refusal of the disk name the option that chooses another place."""
    try:
        yield
    except StorageError as error:
        raise StorageError(str(error), help=f"choose another place: {option}") from error
