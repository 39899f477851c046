"""The folder of an export: whole or not at all, and never in place of what is not one."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from moe_lab.errors import ConfigError, StorageError
from moe_lab.store.disk import BUFFER, DISK, Disk
from moe_lab.store.exports import export_folder, finish
from moe_lab.store.system import System


def put(target: Path, text: str = "1", disk: Disk = DISK) -> None:
    with export_folder(disk, target) as folder:
        disk.make_folder(folder / "run")
        with disk.stream(folder / "run" / "a.csv") as file:
            file.write(text.encode())
        finish(disk, folder, {"to": "csv"})


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_an_export_appears_whole_private_and_with_a_list_of_its_files(tmp_path: Path) -> None:
    put(tmp_path / "new" / "x")
    assert tree(tmp_path) == ["new", "new/x", "new/x/EXPORT.json", "new/x/run", "new/x/run/a.csv"]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*.*")} == {0o600}
    record = json.loads((tmp_path / "new" / "x" / "EXPORT.json").read_text())
    assert (record["to"], record["files"]) == ("csv", ["run/a.csv"])


def test_an_older_export_is_replaced_as_a_whole(tmp_path: Path) -> None:
    put(tmp_path / "x", "1")
    put(tmp_path / "x", "2")
    assert (tmp_path / "x" / "run" / "a.csv").read_text() == "2"
    assert tree(tmp_path) == ["x", "x/EXPORT.json", "x/run", "x/run/a.csv"]


@pytest.mark.parametrize(
    "make",
    [
        Path.mkdir,
        Path.touch,
        lambda path: path.symlink_to("nowhere"),
        lambda path: (path.mkdir(), (path / "EXPORT.json").write_text("{}")),
        lambda path: (path.mkdir(), (path / "EXPORT.json").write_text('{"schema": 1}')),
    ],
)
def test_what_is_no_export_is_refused_and_left_alone(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "x")
    before = tree(tmp_path)
    with pytest.raises(ConfigError, match="x exists, and is no export of moe-lab"):
        put(tmp_path / "x")
    assert tree(tmp_path) == before


def test_a_link_to_an_export_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "x")
    (tmp_path / "link").symlink_to(tmp_path / "x")
    with pytest.raises(ConfigError, match="link exists, and is no export"):
        put(tmp_path / "link")


@pytest.mark.parametrize(
    "add",
    [
        lambda folder: (folder / "notes.txt").write_text("mine"),
        lambda folder: (folder / "run" / "notes.txt").write_text("mine"),
        lambda folder: (folder / "notes.txt").symlink_to("elsewhere"),
    ],
)
def test_an_export_that_holds_something_else_is_left_alone(
    tmp_path: Path, add: Callable[[Path], object]
) -> None:
    put(tmp_path / "x")
    add(tmp_path / "x")
    with pytest.raises(ConfigError, match=r"x holds a file that no export wrote: .*notes\.txt"):
        put(tmp_path / "x", "2")
    assert (tmp_path / "x" / "run" / "a.csv").read_text() == "1"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, ConfigError])
def test_an_error_leaves_the_older_export_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    def fail() -> None:
        with export_folder(DISK, tmp_path / "x") as folder:
            DISK.write_new(folder / "half", b"1")
            raise error("no")

    put(tmp_path / "x", "1")
    before = tree(tmp_path)
    with pytest.raises(error, match="no"):
        fail()
    assert tree(tmp_path) == before


def test_what_a_kill_left_is_removed_by_the_next_export(tmp_path: Path) -> None:
    left = tmp_path / ".staging-0"
    left.mkdir()
    (left / "half").touch()
    put(tmp_path / "x")
    assert not left.exists()


class Full(System):
    """A disk that is full after so many bytes."""

    def __init__(self, room: int):
        self.room = room

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = super().write(descriptor, data[: self.room])
        self.room -= taken
        return taken


@pytest.mark.parametrize("room", [0, 1, 100, BUFFER + 1, 3 * BUFFER])
def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path, room: int) -> None:
    with pytest.raises(StorageError, match=r"cannot write .*: No space left on device"):
        put(tmp_path / "x", "1" * 3 * BUFFER, Disk(Full(room)))
    assert tree(tmp_path) == []


class Grudging(System):
    """Takes few bytes at a time."""

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        return super().write(descriptor, data[:1000])


def test_a_stream_is_whole_whatever_the_system_takes_at_a_time(tmp_path: Path) -> None:
    data = os.urandom(2 * BUFFER + 12_345)
    with Disk(Grudging()).stream(tmp_path / "a") as file:
        file.write(data)
        file.write(b"end")
    assert (tmp_path / "a").read_bytes() == data + b"end"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_a_stream_never_replaces_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    with pytest.raises(StorageError, match="File exists"), DISK.stream(tmp_path / "a") as file:
        file.write(b"yours")
    assert (tmp_path / "a").read_text() == "mine"


class Watched(System):
    """Notes what is synced and renamed."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        self.done.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        self.done.append(f"-> {new.name}")


def test_every_file_and_folder_is_durable_before_the_export_has_its_name(tmp_path: Path) -> None:
    system = Watched()
    put(tmp_path / "x", disk=Disk(system))
    published = system.done.index("-> x")
    assert {"a.csv", "EXPORT.json", "run"} < set(system.done[:published])
    assert system.done[published - 1].startswith(".staging-")
    assert system.done[published + 1] == tmp_path.name
