from collections.abc import Callable
from pathlib import Path

import pytest

from moe_lab.errors import ConfigError, StorageError
from moe_lab.store.disk import DISK
from moe_lab.store.folders import publish, refuse_existing, resume_command

TAKEN = pytest.mark.parametrize(
    "taken", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")]
)


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """A prepared folder."""
    (tmp_path / ".new").mkdir()
    (tmp_path / ".new" / "file").touch()
    return tmp_path / ".new"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_published_under_the_name_that_is_wanted(new: Path, tmp_path: Path) -> None:
    assert publish(DISK, new, tmp_path / "x", exact=True) == tmp_path / "x"
    assert names(tmp_path) == ["x"]
    assert names(tmp_path / "x") == ["file"]


@TAKEN
def test_what_has_the_name_is_refused_and_left_alone(
    new: Path, tmp_path: Path, taken: Callable[[Path], None]
) -> None:
    taken(tmp_path / "x")
    for refuse in (
        lambda: refuse_existing(tmp_path / "x"),
        lambda: publish(DISK, new, tmp_path / "x", exact=True),
    ):
        with pytest.raises(ConfigError, match="x already exists"):
            refuse()
    assert names(tmp_path) == [".new", "x"]
    refuse_existing(tmp_path / "y")


@TAKEN
def test_else_the_first_free_number_is_taken(
    new: Path, tmp_path: Path, taken: Callable[[Path], None]
) -> None:
    taken(tmp_path / "x")
    taken(tmp_path / "x-2")
    assert publish(DISK, new, tmp_path / "x", exact=False) == tmp_path / "x-3"
    assert names(tmp_path) == ["x", "x-2", "x-3"]


def test_a_folder_that_has_gone_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write .*x: No such file"):
        publish(DISK, tmp_path / "gone", tmp_path / "x", exact=False)


def test_a_command_can_be_pasted() -> None:
    assert resume_command(Path("runs/a b")) == "moe-lab resume 'runs/a b'"
