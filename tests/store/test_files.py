import os
import socket
from functools import partial
from pathlib import Path

import pytest

from moe_lab.errors import ArtefactError
from moe_lab.store import files, limits


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ('{"a": 1', "is corrupt"),
        ('{"a": NaN}', "NaN is not JSON"),
        ('{"a": -Infinity}', "-Infinity is not JSON"),
        ('{"a": 1e999}', "1e999 is too large for a number"),
        ('{"a": ' + "9" * 21 + "}", r"9{20}\.\.\. is too long for a number"),
        ('{"a": 1, "b": 2, "a": 3}', "key 'a' stands twice"),
        ('{"x": {"a": 1, "a": 1}}', "key 'a' stands twice"),
        ("[1]", "not a JSON object"),
        ("[" * 100_000, "is corrupt"),
        ('{"a": "\ud800"}', "is corrupt"),
        (
            '{"a": "' + "x" * 1_000_000 + '"}',
            "has 1,000,009 bytes; the limit is 1,000,000 .JSON file",
        ),
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


@pytest.mark.parametrize(
    "make",
    [
        *(Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path)),
        *(lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(__file__)),
    ],
)
def test_only_plain_files_are_read(tmp_path: Path, make: object) -> None:
    path = tmp_path / "run.json"
    make(path)  # type: ignore[operator]
    with pytest.raises(ArtefactError, match="not a plain file"):
        files.read_json(path)


def test_a_later_schema_asks_for_an_update(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="schema 3; this moe-lab reads up to 2") as caught:
        files.check_schema({"schema": 3}, tmp_path / "run.json")
    assert "help: update moe-lab" in caught.value.render()


def test_a_socket_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind("run.json")
    with pytest.raises(ArtefactError, match="not a plain file"):
        files.read_json(tmp_path / "run.json")


def test_no_link_is_followed_below_the_root_which_may_be_one(tmp_path: Path) -> None:
    (tmp_path / "run" / "router").mkdir(parents=True)
    (tmp_path / "run" / "router" / "a.json").write_text("{}")
    (tmp_path / "named").symlink_to("run")
    (tmp_path / "run" / "other").symlink_to("router")
    read = partial(files.read_json, root=tmp_path / "named")
    assert read(tmp_path / "named" / "router" / "a.json") == {}
    with pytest.raises(ArtefactError, match="cannot read"):
        read(tmp_path / "named" / "other" / "a.json")


@pytest.mark.parametrize(
    ("levels", "fits"), [(limits.DEPTH.most, True), (limits.DEPTH.most + 1, False)]
)
def test_nesting_has_a_limit(tmp_path: Path, levels: int, fits: bool) -> None:
    path = tmp_path / "run.json"
    text = (
        '{"a":' * levels + "1" + "}" * levels
    )  # the number stands one level deeper than its object
    path.write_text(text)
    if fits:
        assert files.read_json(path)
    else:
        with pytest.raises(
            ArtefactError, match=r"21 levels of nesting; the limit is 20 \(JSON depth"
        ):
            files.read_json(path)


def test_a_folder_is_listed_up_to_a_limit(tmp_path: Path) -> None:
    for name in ("b", "a", ".c"):
        (tmp_path / name).touch()
    assert [path.name for path in files.entries(tmp_path)] == [".c", "a", "b"]
    assert files.inside(tmp_path / "nowhere") == []
    (tmp_path / "link").symlink_to(tmp_path)
    assert files.inside(tmp_path / "link") == []
    assert len(files.inside(tmp_path)) == 4
