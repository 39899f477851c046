import errno
import os
from pathlib import Path

import pytest

from moe_lab.errors import ArtefactError, StorageError
from moe_lab.store import files


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
    with pytest.raises(StorageError) as caught, files.writing(Path("runs/x")):
        raise OSError(number, os.strerror(number))
    text = caught.value.render()
    assert f"cannot write runs/x: {os.strerror(number)}" in text
    assert remedy in text
    assert caught.value.exit_code == 4


def test_a_new_file_is_private_and_never_replaces_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    files.write_new(path, b"1")
    with pytest.raises(StorageError, match="File exists"):
        files.write_new(path, b"2")
    assert path.read_bytes() == b"1"
    assert path.stat().st_mode & 0o777 == 0o600


def test_appending_follows_no_link_out_of_the_run(tmp_path: Path) -> None:
    outside, planted = tmp_path / "outside", tmp_path / "log.txt"
    outside.write_bytes(b"mine")
    planted.symlink_to(outside)
    with pytest.raises(StorageError):
        files.append(planted, b"yours")
    assert outside.read_bytes() == b"mine"


def test_json_is_replaced_whole_even_after_a_kill_in_between(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    files.replace_json(path, {"step": 1})
    with path.open() as reader:
        (tmp_path / ".status.json.new").write_text('{"st')  # what a kill leaves
        files.replace_json(path, {"step": 2})
        assert reader.read() == '{\n "step": 1\n}\n'
    assert files.read_json(path) == {"step": 2}
    assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ('{"a": 1', "is corrupt"),
        ('{"a": NaN}', "NaN is not JSON"),
        ('{"a": -Infinity}', "-Infinity is not JSON"),
        ('{"a": 1, "b": 2, "a": 3}', "key 'a' stands twice"),
        ('{"x": {"a": 1, "a": 1}}', "key 'a' stands twice"),
        ("[1]", "not a JSON object"),
        ("[" * 100_000, "is corrupt"),
        ('{"a": "\ud800"}', "is corrupt"),
        ('{"a": "' + "x" * 1_000_000 + '"}', "1,000,009 bytes, more than 1,000,000"),
    ],
    ids=lambda text: text[:20],
)
def test_json_that_is_not_ours_is_refused_with_path_and_reason(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(ArtefactError, match=reason) as caught:
        files.read_json(path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_only_plain_files_are_read(tmp_path: Path, make: object) -> None:
    path = tmp_path / "run.json"
    make(path)  # type: ignore[operator]
    with pytest.raises(ArtefactError, match="not a plain file"):
        files.read_json(path)


def test_a_later_schema_asks_for_an_update(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="schema 2; this moe-lab reads up to 1") as caught:
        files.check_schema({"schema": 2}, tmp_path / "run.json")
    assert "help: update moe-lab" in caught.value.render()
