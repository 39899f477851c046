import errno
import os
from pathlib import Path

import pytest

from moe_lab.errors import StorageError
from moe_lab.store.disk import DISK, Disk, writing
from moe_lab.store.files import read_json
from moe_lab.store.system import System


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free space"),
        (errno.EDQUOT, "free space"),
        (errno.EROFS, "--runs-dir"),
        (errno.EACCES, "--runs-dir"),
        (errno.EIO, "check the disk"),
    ],
)
def test_an_os_error_names_path_reason_and_remedy(number: int, remedy: str) -> None:
    with pytest.raises(StorageError) as caught, writing(Path("runs/x")):
        raise OSError(number, os.strerror(number))
    text = caught.value.render()
    assert f"cannot write runs/x: {os.strerror(number)}" in text
    assert remedy in text
    assert caught.value.exit_code == 4


def test_a_new_file_is_private_and_never_replaces_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    DISK.write_new(path, b"1")
    with pytest.raises(StorageError, match="File exists"):
        DISK.write_new(path, b"2")
    assert path.read_bytes() == b"1"
    assert path.stat().st_mode & 0o777 == 0o600


def test_appending_follows_no_link_out_of_the_run(tmp_path: Path) -> None:
    outside, planted = tmp_path / "outside", tmp_path / "log.txt"
    outside.write_bytes(b"mine")
    planted.symlink_to(outside)
    with pytest.raises(StorageError):
        DISK.append(planted, b"yours")
    assert outside.read_bytes() == b"mine"


def test_json_is_replaced_whole_even_after_a_kill_in_between(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    DISK.replace_json(path, {"step": 1})
    with path.open() as reader:
        (tmp_path / ".status.json.new").write_text('{"st')  # what a kill leaves
        DISK.replace_json(path, {"step": 2})
        assert reader.read() == '{\n "step": 1\n}\n'
    assert read_json(path) == {"step": 2}
    assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]


class Faster(System):
    """Another process makes a folder at the same time."""

    def make_folder(self, path: Path) -> None:
        super().make_folder(path)
        super().make_folder(path)


def test_a_folder_that_another_process_has_just_made_will_do(tmp_path: Path) -> None:
    Disk(Faster()).make_folder(tmp_path / "runs")
    assert (tmp_path / "runs").is_dir()


def test_removing_a_tree_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "link").symlink_to(tmp_path / "mine")
    (tmp_path / "top").symlink_to("mine")
    DISK.discard_tree(tmp_path / "tree")
    DISK.discard_tree(tmp_path / "top")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert (tmp_path / "mine" / "file").exists()
